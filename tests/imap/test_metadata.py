"""METADATA entries: names, options, changes, what is picked."""

from __future__ import annotations

import pytest

from mailstack.imap.errors import Bad
from mailstack.imap.metadata import (
    Options,
    limit,
    parse_changes,
    parse_entries,
    parse_entry,
    pick,
    response,
    take_options,
)
from mailstack.imap.parser import Cursor


@pytest.mark.parametrize(
    "text",
    [
        b"/private",
        b"/shared",
        b"comment",
        b"/private/",
        b"/private/a/",
        b"/private//a",
        b'"/private/a*b"',
        b'"/private/a%b"',
        b"/public/a",
        b"/shared/vendor",
        b"/shared/vendor/x",
        b'"/private/\x01"',
        b'"/private/\xc3\xa4"',
        b"/private/" + b"x" * 255,
    ],
)
def test_names_that_are_none(text: bytes) -> None:
    with pytest.raises(Bad):
        parse_entry(Cursor(text))


def test_names_are_lower_case_and_may_hold_spaces() -> None:
    assert parse_entry(Cursor(b'"/Private/A b"')) == "/private/a b"
    assert parse_entries(Cursor(b"/private/a /private/A /shared/b")) == ("/private/a", "/shared/b")


def test_options_are_told_from_entries() -> None:
    assert take_options(Cursor(b"(/private/a)")) is None
    assert take_options(Cursor(b'("/private/a")')) is None
    assert take_options(Cursor(b"/private/a")) is None
    assert take_options(Cursor(b"(maxsize 10 depth infinity)")) == Options(10, None)


def test_depth_counts_levels() -> None:
    there = {"/private/a": b"1", "/private/a/b": b"22", "/private/a/b/c": b"333", "/private/ab": b"4"}
    assert pick(there, ["/private/a"], Options()) == {"/private/a": b"1"}
    assert list(pick(there, ["/private/a"], Options(depth=1))) == ["/private/a", "/private/a/b"]
    found = pick(there, ["/private/a", "/private/x"], Options(depth=None))
    assert list(found) == ["/private/a", "/private/a/b", "/private/a/b/c", "/private/x"]
    assert limit(found, Options(max_size=1)) == ({"/private/a": b"1", "/private/x": None}, 3)


def test_values_are_strings_literals_or_nil() -> None:
    text = b'(/private/a NIL /private/b "x" /private/c ~{2}\r\n\0y)'
    assert parse_changes(Cursor(text)) == {"/private/a": None, "/private/b": b"x", "/private/c": b"\0y"}


def test_an_answer_can_add_no_line_of_its_own() -> None:
    line = response(b'"INBOX"', {"/private/a b": b"x\r\n* BYE", "/private/c": b"\0", "/private/d": None})
    assert line == (
        b'* METADATA "INBOX" ("/private/a b" {8}\r\nx\r\n* BYE /private/c ~{1}\r\n\0 /private/d NIL)\r\n'
    )
