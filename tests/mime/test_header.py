"""Splitting a header block: offsets, junk, limits."""

from __future__ import annotations

import time

import pytest

from mailstack.mime import header
from mailstack.mime.header import Headers


def names(block: bytes) -> list[bytes]:
    return [field.name for field in Headers.parse(block).fields]


@pytest.mark.parametrize("end", [b"\r\n", b"\n"], ids=repr)
def test_fields_are_found_with_their_offsets(end: bytes) -> None:
    data = end.join([b"From: a@b", b"Subject: one", b" two", b"", b"body: x", b""])
    headers = Headers.parse(data)
    assert [field.name for field in headers.fields] == [b"from", b"subject"]
    subject = headers.fields[1]
    assert data[subject.start : subject.end] == b"Subject: one" + end + b" two" + end
    assert headers.first("SUBJECT") == b"one two"
    fields_end, body = header.find_end(data)
    assert data[body:] == b"body: x" + end
    assert data[fields_end:body] == end


def test_a_space_before_the_colon_still_makes_a_field() -> None:
    # T20: Python drops it as a defect and takes the other From.
    assert Headers.parse(b"From : a@bad\r\nFrom: b@good\r\n\r\n").all("from") == [b"a@bad", b"b@good"]


@pytest.mark.parametrize("odd", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r", "\0"], ids=repr)
def test_only_a_line_feed_ends_a_line(odd: str) -> None:
    # M21: str.splitlines would see a Bcc field here.
    data = b"Subject: x" + odd.encode() + b"Bcc: evil@x\r\n\r\n"
    assert names(data) == [b"subject"]


def test_junk_lines_are_skipped_with_their_continuations() -> None:
    data = b"From alice Mon Jan  1 00:00:01 2001\r\n also: junk\r\nno colon here\r\nTo: x@y\r\n\r\n"
    assert names(data) == [b"to"]


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"", b""),
        (b"\r\n", b""),
        (b"\r\nbody", b"body"),
        (b"\nbody", b"body"),
        (b"A: b", b""),
        (b"A: b\r\n", b""),
        (b"A: b\r\n\r\n", b""),
        (b"A: b\n\r\nbody", b"body"),
        (b"A: b\r\n \r\n\r\nbody", b"body"),
        (b"A: b\r\n\nbody\r\n\r\nmore", b"body\r\n\r\nmore"),
    ],
    ids=repr,
)
def test_the_body_begins_behind_the_first_empty_line(data: bytes, body: bytes) -> None:
    assert data[header.find_end(data)[1] :] == body


def test_a_range_is_never_left() -> None:
    data = b"A: b\r\n\r\nB: c\r\n\r\n"
    assert header.find_end(data, 0, 4) == (4, 4)
    assert header.find_end(data, 0, 0) == (0, 0)
    assert header.find_end(data, 6, 7) == (6, 7)


def test_a_thousand_fields_are_read_and_not_one_more() -> None:
    block = b"".join(b"X-%d: y\r\n" % n for n in range(header.MAX_FIELDS + 1)) + b"\r\n"
    assert len(Headers.parse(block).fields) == header.MAX_FIELDS


def test_a_value_is_cut_at_its_limit() -> None:
    size = header.MAX_FIELD_OCTETS
    for length, kept in ((size - 1, size - 1), (size, size - 1 + 1), (size + 1, size)):
        value = Headers.parse(b"A:" + b"x" * length + b"\r\n\r\n").first("a")
        assert value is not None
        assert len(value) == kept


def test_a_block_is_cut_at_its_limit() -> None:
    block = b"A: " + b"x" * header.MAX_BLOCK_OCTETS + b"\r\nB: y\r\n\r\n"
    assert names(block) == [b"a"]


def test_half_a_million_hostile_lines_take_no_time() -> None:
    # M6: 500 000 header lines, and one line of 4 MB without a colon.
    started = time.process_time()
    Headers.parse(b"a: b\r\n" * 500_000)
    Headers.parse(b"a" * 4_000_000)
    Headers.parse((b"a" * 1000 + b" " * 1000) * 500)
    assert time.process_time() - started < 5
