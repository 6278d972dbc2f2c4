"""What is uploaded is checked as it will run, but for what it includes."""

from __future__ import annotations

import pytest

from mailstack.filters.sieve_options import SieveOptions, SieveSetting
from mailstack.filters.upload import Uploads
from mailstack.model.scripts import Checked


def check(source: bytes, *, there: dict[tuple[str, str], bytes] | None = None) -> Checked:
    return Uploads().check(source, "normal", lambda name, place: (there or {}).get((name, place)))


def test_mistakes_have_their_place() -> None:
    assert check(b"keep;") == Checked()
    assert check(b"keep;\r\nfoo;\r\n").errors == (
        "line 2, column 1: unknown command 'foo' (only reported once)",
    )


def test_line_ends_of_both_kinds_are_refused() -> None:
    assert check(b"keep;\r\nkeep;\nkeep;\r\n").errors[0].startswith("line 2, column ")


@pytest.mark.parametrize("place", ["personal", "global"])
def test_a_script_that_is_not_there_yet_is_a_warning(place: str) -> None:
    # RFC 6609 section 3.2
    source = f'require "include"; include :{place} "x";'.encode()
    column = source.index(b'"x"') + 1
    assert check(source).warnings == (
        f"line 1, column {column}: include: there is no {place} script 'x' yet",
    )
    assert not check(source).errors
    assert check(source, there={("x", place): b"this is not compiled"}) == Checked()
    assert check(source.replace(b'"x"', b':optional "x"')) == Checked()


def test_scripts_that_include_each_other_can_be_stored() -> None:
    # RFC 6609 section 3.2: no upload order is forced upon anybody.
    there = {
        ("a", "personal"): b'require "include"; include "b";',
        ("b", "personal"): b'require "include"; include "a";',
    }
    assert check(there["a", "personal"], there=there) == Checked()
    assert check(b'require "include"; include "a/b";', there=there).errors


def test_plans_differ() -> None:
    uploads = Uploads()
    assert uploads.terms("normal").notify == ("mailto",) and uploads.terms("free").notify == ()
    assert uploads.terms("normal").max_octets == 262_144 and uploads.terms("free").max_octets == 65_536
    source = b"#" * 65_536 + b"\nkeep;"
    assert not uploads.check(source, "normal", lambda name, place: None).errors
    assert uploads.check(source, "free", lambda name, place: None).errors


def test_the_operators_settings_count() -> None:
    source = b'require "vacation-seconds"; vacation :seconds 5 "gone";'
    options = SieveOptions(
        setting=(
            SieveSetting(name="sieve_max_script_size", value="20"),
            SieveSetting(name="sieve_max_redirects", value="2"),
        )
    )
    assert Uploads(options).terms("normal").max_redirects == 2
    assert not Uploads().check(source, "normal", lambda name, place: None).errors
    assert Uploads(options).check(source, "normal", lambda name, place: None).errors
