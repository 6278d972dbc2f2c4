"""Message sets, flags, dates."""

from __future__ import annotations

import pytest

from mailstack.imap.errors import Bad, No
from mailstack.imap.grammar import SAVED, SAVED_PAIR, parse_date, parse_date_time, parse_flags, parse_set
from mailstack.imap.parser import Cursor
from mailstack.model.mailbox import Flags


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        (b"1", ((1, 1),)),
        (b"1:*", ((1, 0),)),
        (b"*", ((0, 0),)),
        (b"*:4,7", ((0, 4), (7, 7))),
        (b"4294967295", ((4_294_967_295, 4_294_967_295),)),
    ],
)
def test_a_set_is_pairs_of_numbers(text: bytes, pairs: tuple[tuple[int, int], ...]) -> None:
    assert parse_set(text) == pairs


def test_a_dollar_is_what_the_last_search_saved() -> None:
    # RFC 9051 section 9, seq-last-command
    assert parse_set(b"$") == SAVED
    assert parse_set(b"1:2,$") == ((1, 2), SAVED_PAIR)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"0",
        b"1:0",
        b"4294967296",
        b"1,,2",
        b"1:2:3",
        b":",
        b"1:",
        b"-1",
        b"1 2",
        b"9" * 40,
        "²".encode(),
    ],
)
def test_what_is_no_set_is_refused(text: bytes) -> None:
    # I10
    with pytest.raises(Bad):
        parse_set(text)


def test_flags_are_bits_and_words() -> None:
    flags = parse_flags(Cursor(b"(\\Seen \\DELETED $Junk Work $Junk)"), most_keywords=100)
    assert flags.flags == Flags.SEEN | Flags.DELETED
    assert flags.keywords == ("$Junk", "Work")
    assert parse_flags(Cursor(b"\\Seen Work"), most_keywords=100).keywords == ("Work",)
    assert parse_flags(Cursor(b"()"), most_keywords=100).flags == Flags.NONE


@pytest.mark.parametrize(
    "text", [b"(\\Recent)", b"(\\Foo)", b"(\xe4)", b"(a", b"(a  b)", b"", b"(\\)", b"(a b]", b'("a")']
)
def test_what_cannot_be_set_is_refused(text: bytes) -> None:
    # I18
    with pytest.raises(Bad):
        cursor = Cursor(text)
        parse_flags(cursor, most_keywords=100)
        cursor.end()


def test_keywords_have_a_length_and_a_number() -> None:
    # I18; limits, section 6
    parse_flags(Cursor(b"(" + b"x" * 50 + b")"), most_keywords=100)
    for text in (b"(" + b"x" * 51 + b")", b"(" + b" ".join(b"k%d" % n for n in range(101)) + b")"):
        with pytest.raises(No) as refused:
            parse_flags(Cursor(text), most_keywords=100)
        assert refused.value.code == "LIMIT"


def test_a_date_time_is_unix_seconds() -> None:
    # RFC 3501 section 9
    assert parse_date_time(Cursor(b'"17-Jul-1996 02:44:25 -0700"')) == 837_596_665
    assert parse_date_time(Cursor(b'" 1-Jan-1970 00:00:00 +0000"')) == 0


@pytest.mark.parametrize(
    "text",
    [
        b'"31-Feb-2020 00:00:00 +0000"',
        b'"01-Foo-2020 00:00:00 +0000"',
        b'"01-Jan-2020 25:00:00 +0000"',
        b'"01-Jan-2020"',
        b"",
        b'"01-Jan-2020 00:00:00 +0000',
    ],
)
def test_what_is_no_date_time_is_refused(text: bytes) -> None:
    with pytest.raises(Bad):
        parse_date_time(Cursor(text))


def test_a_date_is_days() -> None:
    assert parse_date(Cursor(b"1-Jan-1970")) == 0
    assert parse_date(Cursor(b'"02-JAN-1971"')) == 366


@pytest.mark.parametrize("text", [b"31-Feb-2020", b"0-Jan-2020", b"1-Jan-0000", b"1-Jan-20", b"yesterday"])
def test_what_is_no_date_is_refused(text: bytes) -> None:
    with pytest.raises(Bad):
        parse_date(Cursor(text))
