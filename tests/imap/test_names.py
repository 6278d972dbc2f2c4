"""Mailbox names and LIST's patterns."""

from __future__ import annotations

import time

import pytest

from mailstack.imap.errors import Bad, No
from mailstack.imap.names import Pattern, check_new_name, decode_name, decode_pattern, wire_name


@pytest.mark.parametrize(
    ("wire", "name"),
    [
        (b"inBox", "INBOX"),
        (b"inbox/Sub", "INBOX/Sub"),
        (b"inboxes", "inboxes"),
        (b"Entw&APw-rfe", "Entwürfe"),
        (b"a&-b", "a&b"),
        (b"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),  # RFC 3501 section 5.1.3
    ],
)
def test_a_name_has_one_form_inside(wire: bytes, name: str) -> None:
    assert decode_name(wire) == name


@pytest.mark.parametrize(
    "wire", [b"&AAA", b"&-&", b"&AGEAYg-", b"&2D0-", b"\xc3\xa4", b"a\r\nb", b"a\x00", b"x" * 1021]
)
def test_bad_encodings_are_refused(wire: bytes) -> None:
    # I15, T66
    with pytest.raises(No) as refused:
        decode_name(wire)
    assert refused.value.code == "CANNOT"


def test_two_forms_of_one_letter_are_one_name() -> None:
    # I15: NFD and NFC twins
    assert decode_name(b"u&Awg-") == decode_name(b"&APw-") == "ü"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "//",
        "a//b",
        "/a",
        "../../etc",
        "INBOX/../x",
        ".",
        "a/./b",
        "a%b",
        "a*b",
        "a\x00b",
        "a\rb",
        "a\x7fb",
        "\u2028",
        "x" * 256,
        "ü" * 128,
    ],
)
def test_names_that_cannot_be_made(name: str) -> None:
    # I14
    with pytest.raises(No):
        check_new_name(name)


def test_one_trailing_separator_is_allowed() -> None:
    # RFC 3501 section 6.3.3
    assert check_new_name("a/b/") == "a/b"
    assert check_new_name("x" * 255)


def test_a_name_is_quoted_on_the_wire() -> None:
    assert wire_name('a"b\\c') == b'"a\\"b\\\\c"'
    assert wire_name("Entwürfe") == b'"Entw&APw-rfe"'


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*", ["a", "a/b", "INBOX"], []),
        ("%", ["a", "INBOX"], ["a/b"]),
        ("a/%", ["a/b"], ["a", "a/b/c", "b/a"]),
        ("a*c", ["ac", "a/b/c", "abc"], ["acd", "ca"]),
        ("%/%", ["a/b"], ["a", "a/b/c"]),
        ("inbox*", ["INBOX", "INBOX/x", "inboxes"], ["INBOXES"]),
        ("INB%", ["INBOX", "INBa"], ["inBa"]),
        ("in", [], ["INBOX"]),
        ("*%", ["a/b"], []),
        ("", [], ["", "a"]),
    ],
)
def test_patterns_match_as_in_rfc_3501(pattern: str, matching: list[str], others: list[str]) -> None:
    found = Pattern(pattern)
    assert [name for name in matching + others if found.matches(name)] == matching


def test_matching_is_linear() -> None:
    # I23
    patterns = [Pattern("*a" * 50), Pattern("%" * 1000), Pattern("*%" * 250)]
    names = ["a" * 200 + "b", "x/" * 120]
    begin = time.perf_counter()
    for _ in range(5):
        for pattern in patterns:
            for name in names:
                pattern.matches(name)
    assert time.perf_counter() - begin < 5


def test_a_pattern_has_a_length_and_bad_utf7_matches_nothing() -> None:
    with pytest.raises(Bad):
        decode_pattern(b"x" * 513)
    assert not Pattern(decode_pattern(b"&AAA")).matches("&AAA")
