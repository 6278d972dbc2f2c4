"""RFC 6533: addresses with letters beyond ASCII, written in ASCII."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.model import unitext


@pytest.mark.parametrize(
    ("plain", "encoded"),
    [
        ("ü@y.org", r"\x{FC}@y.org"),
        ("a+b=c\\@y.org", r"a\x{2B}b\x{3D}c\x{5C}@y.org"),
        ("用户@y.org", r"\x{7528}\x{6237}@y.org"),
    ],
)
def test_what_may_not_stand_there_is_escaped(plain: str, encoded: str) -> None:
    assert unitext.encode(plain) == encoded
    assert unitext.decode(encoded) == plain


@pytest.mark.parametrize("text", [r"\x{0A}", r"\x{D800}", r"\x{110000}", r"\x{}", r"\x{FC", "\\"])
def test_what_is_no_printable_character_stays_as_it_is(text: str) -> None:
    assert unitext.decode(text) == text


@given(st.text(st.characters(blacklist_categories=["C", "Z"])))
def test_there_and_back(text: str) -> None:
    assert unitext.encode(text).isascii()
    assert unitext.decode(unitext.encode(text)) == text
    assert unitext.decode(unitext.encode(text, keep_utf8=True)) == text
