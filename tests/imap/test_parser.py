"""Words of a command."""

from __future__ import annotations

import pytest

from mailstack.imap.errors import Bad
from mailstack.imap.parser import Cursor, Head


@pytest.mark.parametrize(
    ("wire", "tag", "name", "at"),
    [
        (b"a1 NOOP", b"a1", b"NOOP", 7),
        (b"A.1 fetch 1 FLAGS", b"A.1", b"FETCH", 10),
        (b"x uid fetch 1 FLAGS", b"x", b"UID FETCH", 12),
        (b"x uid", b"x", b"UID", 5),
        (b"]1 NOOP", b"]1", b"NOOP", 7),
    ],
)
def test_a_head_has_tag_name_and_place(wire: bytes, tag: bytes, name: bytes, at: int) -> None:
    head = Head(wire)
    assert (head.tag, head.name, head.at) == (tag, name, at)


@pytest.mark.parametrize(
    "wire", [b"", b"* NOOP", b"+ NOOP", b'"a" NOOP', b"a*b NOOP", b"x" * 129 + b" NOOP", b"\x00 NOOP"]
)
def test_what_is_no_tag_is_answered_without_one(wire: bytes) -> None:
    # I2
    head = Head(wire)
    assert (head.tag, head.name) == (b"*", b"")


@pytest.mark.parametrize("wire", [b"a", b"a ", b"a 1", b"a  NOOP", b"a NOOP\x00", b"a NO-OP"])
def test_a_tag_without_a_command_keeps_its_tag(wire: bytes) -> None:
    head = Head(wire)
    assert (head.tag, head.name) == (b"a", b"")


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"abc", b"abc"),
        (b"a]b", b"a]b"),
        (b'"a b"', b"a b"),
        (b'""', b""),
        (b'"a\\"b\\\\"', b'a"b\\'),
        (b'"\\\\\\""', b'\\"'),
        (b"{3}\r\na\r\n", b"a\r\n"),
        (b"{3+}\r\nabc", b"abc"),
        (b"{0}\r\n", b""),
        (b'"\xc3\xa4"', b"\xc3\xa4"),
    ],
)
def test_an_astring_is_an_atom_a_quoted_string_or_a_literal(data: bytes, value: bytes) -> None:
    cursor = Cursor(data)
    assert cursor.astring() == value
    assert cursor.at_end


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b'"abc',
        b'"a\r\nb"',
        b'"a\\b"',
        b"(a",
        b"{3}abc",
        b"\xc3\xa4",
        b'"a\x00"',
        b"{1}\r\n\x00",
        b"%",
        b"*",
    ],
)
def test_anything_else_is_not(data: bytes) -> None:
    with pytest.raises(Bad):
        Cursor(data).astring()


def test_a_pattern_may_hold_wildcards() -> None:
    assert Cursor(b"INBOX/%*").list_mailbox() == b"INBOX/%*"


def test_nil_is_no_string() -> None:
    assert Cursor(b"nil").nstring() is None
    assert Cursor(b'"NIL"').nstring() == b"NIL"
    with pytest.raises(Bad):
        Cursor(b"NILS").nstring()


@pytest.mark.parametrize("data", [b"4294967296", b"-1", b"x", b"", b"9" * 30])
def test_a_number_has_32_bits(data: bytes) -> None:
    assert Cursor(b"4294967295").number() == 4_294_967_295
    with pytest.raises(Bad):
        Cursor(data).number()


def test_one_trailing_space_is_forgiven_and_two_are_not() -> None:
    Cursor(b" ").end()
    with pytest.raises(Bad):
        Cursor(b"  ").end()
