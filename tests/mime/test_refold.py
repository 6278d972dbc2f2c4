"""Header fields made fit to travel."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mime import encoding
from mailstack.mime.header import Headers
from mailstack.mime.refold import is_plain, put_right


def right(block: bytes, *, keep_utf8: bool = False) -> bytes:
    return put_right(block, fields={}, keep_utf8=keep_utf8)


def test_a_block_that_needs_nothing_is_the_same() -> None:
    block = b"From: a@b\r\nSubject: " + b"s" * 989 + b"\r\nX: y\r\n"
    assert right(block) is block


def test_a_long_line_is_folded_where_white_space_stands() -> None:
    # RFC 5322 section 2.2.3: unfolding gives the same value
    ids = b" ".join(b"<%d@mail.example>" % n for n in range(200))
    out = right(b"References: " + ids + b"\r\nTo: x@y\r\n")
    assert max(map(len, out.split(b"\r\n"))) <= 998
    headers = Headers.parse(out)
    assert headers.first("references") == ids
    assert headers.first("to") == b"x@y"


def test_a_word_no_line_can_hold_becomes_encoded_words_where_those_may_stand() -> None:
    out = right(b"X-Blob: " + b"z" * 3000 + b"\r\n")
    assert max(map(len, out.split(b"\r\n"))) <= 998
    assert encoding.decode_words(Headers.parse(out).first("x-blob") or b"") == "z" * 3000
    whole = b"Message-ID: <" + b"m" * 1100 + b"@x>\r\n"
    assert right(whole) == whole


@pytest.mark.parametrize("value", ["Prüfung".encode(), b"Pr\xfcfung"])
def test_a_raw_subject_becomes_encoded_words(value: bytes) -> None:
    # RFC 2047; a printer does not know it
    out = right(b"Subject: " + value + b"\r\n")
    assert out.isascii()
    assert encoding.decode_words(Headers.parse(out).first("subject") or b"") == "Prüfung"


def test_a_raw_display_name_is_encoded_and_the_address_stays() -> None:
    out = right("From: Büro <scan@b.example>, x@y\r\n".encode())
    assert out == b"From: =?utf-8?b?QsO8cm8=?= <scan@b.example>, <x@y>\r\n"


@pytest.mark.parametrize(
    "block",
    [
        "From: ü@b.example\r\n".encode(),
        "To: Gruppe ü: a@b;\r\n".encode(),
        b"Message-ID: <\xff@x>\r\n",
        b"Date: \xff\r\n",
    ],
    ids=repr,
)
def test_what_has_no_other_form_stays(block: bytes) -> None:
    assert right(block) == block


@pytest.mark.parametrize(
    "block",
    [
        "To: " + ", ".join(f"é <a{n}@b.test>" for n in range(1_100)) + "\r\n",
        "Content-Type: text/plain; " + "; ".join(f"p{n}=é" for n in range(140)) + "\r\n",
    ],
    ids=["addresses", "parameters"],
)
def test_nothing_behind_what_is_read_is_lost(block: str) -> None:
    out = right(block.encode())
    assert "".join(out.decode().split()) == "".join(block.split())


def test_utf8_may_stay_when_everybody_agreed_to_it() -> None:
    # RFC 6532
    block = "Subject: Prüfung\r\n".encode()
    assert right(block, keep_utf8=True) == block


def test_fields_are_replaced_once_and_added_when_there_are_none() -> None:
    block = b"A: 1\r\nContent-Type: x\r\nB: 2\r\nContent-Type: y\r\n"
    out = put_right(block, fields={b"content-type": b"Content-Type: z\r\n", b"m": b"M: 1\r\n"})
    assert out == b"A: 1\r\nContent-Type: z\r\nB: 2\r\nM: 1\r\n"


@given(
    st.lists(st.sampled_from([b"w" * 40, b" ", b"  ", b"\t", b"x", b"v" * 500]), max_size=40).map(b"".join)
)
def test_folding_changes_no_value_and_makes_no_empty_line(value: bytes) -> None:
    block = b"X-A: " + value + b"\r\nX-B: end\r\n"
    out = right(block)
    headers = Headers.parse(out)
    assert [field.name for field in headers.fields] == [b"x-a", b"x-b"]
    assert all(line.strip() for line in out.split(b"\r\n")[:-1]) or not value.strip()
    if is_plain(out) and b"=?utf-8?" not in out:
        assert headers.first("x-a") == Headers.parse(block).first("x-a")
