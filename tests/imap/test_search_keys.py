"""SEARCH's criteria as a tree."""

from __future__ import annotations

import pytest

from mailstack.imap.errors import Bad, No
from mailstack.imap.parser import Cursor
from mailstack.imap.search_keys import (
    MAX_DEPTH,
    MAX_KEYS,
    Age,
    ChangedSince,
    Dated,
    Everything,
    Group,
    HasFlag,
    HasKeyword,
    InBody,
    InHeader,
    InSet,
    Key,
    ObjectId,
    Size,
    leaves,
    parse_charset,
    parse_search,
)
from mailstack.model.mailbox import Flags


def parse(text: bytes) -> Key:
    cursor = Cursor(text)
    key = parse_search(cursor)
    cursor.end()
    return key


SEEN = HasFlag(Flags.SEEN)
DRAFT = HasFlag(Flags.DRAFT)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (b"ALL", Everything()),
        (b"seen", SEEN),
        (b"SEEN DRAFT", Group("AND", (SEEN, DRAFT))),
        (b"(SEEN DRAFT)", Group("AND", (SEEN, DRAFT))),
        (b"OR SEEN DRAFT", Group("OR", (SEEN, DRAFT))),
        (b"NOT SEEN", Group("NOT", (SEEN,))),
        (b"NOT NOT SEEN", SEEN),
        (b"NOT UNSEEN", SEEN),
        (b"1:5,*", InSet(((1, 5), (0, 0)), uid=False)),
        (b"UID 7", InSet(((7, 7),), uid=True)),
        (b"LARGER 5", Size(True, 5)),
        (b"SMALLER 5", Size(False, 5)),
        (b"BEFORE 2-Jan-1970", Dated("<", 1, "arrived")),
        (b'SENTON "2-Jan-1970"', Dated("=", 1, "sent")),
        (b"SAVEDSINCE 2-Jan-1970", Dated(">=", 1, "saved")),
        (b"SAVEDATESUPPORTED", Everything()),
        (b"OLDER 60", Age(True, 60)),
        (b"younger 1", Age(False, 1)),
        (b"EMAILID M6d99ac", ObjectId("email", "M6d99ac")),
        (b"THREADID T64b_-", ObjectId("thread", "T64b_-")),
        (b"MODSEQ 620162338", ChangedSince(620_162_338)),
        (b'MODSEQ "/flags/\\\\draft" all 9223372036854775807', ChangedSince(2**63 - 1)),
        (b"$", InSet(((-1, -1),), uid=False)),
        (b"UID 1,$", InSet(((1, 1), (-1, -1)), uid=True)),
        (b"FROM bob", InHeader("from", "bob")),
        (b'HEADER X-Foo ""', InHeader("x-foo", "")),
        (b"BODY {3+}\r\na b", InBody("a b", False)),
        (b"TEXT {2+}\r\n\xc3\xa4", InBody("ä", True)),
        (b"KEYWORD $Junk", HasKeyword("$junk")),
    ],
)
def test_criteria(text: bytes, key: Key) -> None:
    found = parse(text)
    if isinstance(found, Group):
        assert isinstance(key, Group)
        assert (found.kind, found.children) == (key.kind, key.children)
    else:
        assert found == key


def test_a_chain_of_ors_is_one_node() -> None:
    found = parse(b"OR FROM a OR FROM b OR FROM c FROM d")
    assert isinstance(found, Group) and found.kind == "OR" and len(found.children) == 4


@pytest.mark.parametrize(
    "text",
    [
        b"", b"FOO", b"OR SEEN", b"NOT", b"(SEEN", b"SEEN)", b"()", b"OR (SEEN) ", b"FROM", b"FROM ",
        b"LARGER x", b"BEFORE 1",
        b"UID", b"KEYWORD", b"HEADER x", b"SEEN  DRAFT", b"CHARSET utf-8", b"OR SEEN )",
        b"OLDER 0", b"YOUNGER x", b"EMAILID a.b", b"THREADID", b"MODSEQ -1", b'MODSEQ "/flags/x" 1',
        b'MODSEQ "/flags/x" some 1', b"MODSEQ 9223372036854775808", b"FUZZY SUBJECT x", b"SAVEDON 1",
        b"TEXT {1+}\r\n\xff", b"KEYWORD \\Seen",
    ],
)  # fmt: skip
def test_what_is_no_criterion_is_refused(text: bytes) -> None:
    with pytest.raises(Bad):
        parse(text)


def test_an_unknown_charset_names_those_we_know() -> None:
    # RFC 3501 section 6.4.4
    for name in (b"X-NONE", b"UTF-7", b"\xff", b"idna"):
        with pytest.raises(No) as refused:
            parse_charset(name)
        assert refused.value.code.startswith("BADCHARSET (UTF-8 US-ASCII ")


@pytest.mark.parametrize(
    ("charset", "octets", "text"),
    [
        (b"utf-8", "Süd".encode(), "Süd"),
        (b"ISO-8859-1", b"S\xfcd", "Süd"),
        (b"koi8-r", "мир".encode("koi8-r"), "мир"),
        (b"iso-2022-jp", "日本".encode("iso-2022-jp"), "日本"),
        (b"ascii", b"Sued", "Sued"),
    ],
)
def test_texts_are_read_in_their_charset(charset: bytes, octets: bytes, text: str) -> None:
    found = parse_search(Cursor(b"BODY {%d}\r\n%b" % (len(octets), octets)), parse_charset(charset))
    assert found == InBody(text, False)


def test_text_that_does_not_fit_its_charset_is_refused() -> None:
    for charset, octets in ((b"US-ASCII", b"\xfc"), (b"UTF-8", b"\xfc"), (b"ISO-2022-JP", b"\x1b$B\xff")):
        with pytest.raises(Bad):
            parse_search(Cursor(b"BODY {%d}\r\n%b" % (len(octets), octets)), parse_charset(charset))


def test_leaves_are_the_criteria_in_order() -> None:
    assert list(leaves(parse(b"OR SEEN (DRAFT NOT (BODY a SEEN)) LARGER 1"))) == [
        SEEN,
        DRAFT,
        InBody("a", False),
        SEEN,
        Size(True, 1),
    ]


def test_brackets_have_a_depth() -> None:
    # I9, T61
    assert parse(b"(" * MAX_DEPTH + b"SEEN" + b")" * MAX_DEPTH) == SEEN
    with pytest.raises(Bad):
        parse(b"(" * (MAX_DEPTH + 1) + b"SEEN" + b")" * (MAX_DEPTH + 1))


def test_keys_are_counted() -> None:
    # I9
    parse(b" ".join([b"SEEN"] * MAX_KEYS))
    parse(b"OR SEEN " * 499 + b"SEEN")
    for text in (b" ".join([b"SEEN"] * (MAX_KEYS + 1)), b"NOT " * 2_000 + b"SEEN", b"(" * 10_000):
        with pytest.raises(Bad):
            parse(text)


def test_not_and_or_in_turns_cannot_nest_without_end() -> None:
    with pytest.raises(Bad):
        parse(b"NOT OR DRAFT " * 300 + b"SEEN")
