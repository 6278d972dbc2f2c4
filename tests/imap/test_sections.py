"""Octets of sections, by offset."""

from __future__ import annotations

import pytest

from mailstack.imap.fetch_items import parse_items
from mailstack.imap.sections import WHOLE_OCTETS, Source, Span, find, is_header
from tests.kit.memory_folder import File

MESSAGE = (
    b"From: a@b.test\r\n"
    b"Subject: outer\r\n"
    b" folded\r\n"
    b"MIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="x"\r\n'
    b"\r\n"
    b"preamble\r\n"
    b"--x\r\n"
    b"Content-Type: text/plain\r\n"
    b"\r\n"
    b"first\r\n"
    b"--x\r\n"
    b"Content-Type: message/rfc822\r\n"
    b"\r\n"
    b"Subject: inner\r\n"
    b'Content-Type: multipart/alternative; boundary="y"\r\n'
    b"\r\n"
    b"--y\r\n"
    b"\r\n"
    b"plain\r\n"
    b"--y\r\n"
    b"Content-Type: text/html\r\n"
    b"\r\n"
    b"<p>html\r\n"
    b"--y--\r\n"
    b"\r\n"
    b"--x--\r\n"
    b"epilogue\r\n"
)


def section(text: bytes, data: bytes = MESSAGE) -> bytes | Span | None:
    return find(Source(File(data)), parse_items(b"BODY.PEEK[" + text).sections[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"]", MESSAGE),
        (b"HEADER]", MESSAGE[: MESSAGE.index(b"preamble")]),
        (b"TEXT]", MESSAGE[MESSAGE.index(b"preamble") :]),
        (b"HEADER.FIELDS (subject)]", b"Subject: outer\r\n folded\r\n\r\n"),
        (b"HEADER.FIELDS (x)]", b"\r\n"),
        (b"HEADER.FIELDS.NOT (subject mime-version content-type)]", b"From: a@b.test\r\n\r\n"),
        (b"1]", b"first"),
        (b"1.MIME]", b"Content-Type: text/plain\r\n\r\n"),
        (b"1.HEADER]", None),
        (b"1.1]", None),
        (b"2.HEADER.FIELDS (SUBJECT)]", b"Subject: inner\r\n\r\n"),
        (b"2.1]", b"plain"),
        (b"2.2.MIME]", b"Content-Type: text/html\r\n\r\n"),
        (b"2.2]", b"<p>html"),
        (b"2.MIME]", b"Content-Type: message/rfc822\r\n\r\n"),
        (b"3]", None),
        (b"2.3]", None),
        (b"]<0.4>", b"From"),
        (b"]<5.0000003>", b" a@"),
        (b"]<100000.5>", b""),
        (b"]<4294967295.4294967295>", b""),
        (b"1]<2.100>", b"rst"),
        (b"HEADER.FIELDS (subject)]<9.5>", b"outer"),
    ],
)
def test_sections_of_a_nested_message(text: bytes, expected: bytes | None) -> None:
    assert section(text) == expected


def test_the_text_of_an_enclosed_message_is_its_body() -> None:
    found = section(b"2.TEXT]")
    assert isinstance(found, bytes) and found.startswith(b"--y\r\n\r\nplain") and found.endswith(b"--y--\r\n")


def test_part_one_of_a_plain_message_is_its_body() -> None:
    data = b"Subject: x\r\n\r\nbody\r\n"
    assert section(b"1]", data) == b"body\r\n"
    assert section(b"2]", data) is None
    assert section(b"1.1]", data) is None
    assert section(b"HEADER]", b"no header at all") == b"no header at all"
    assert section(b"TEXT]", b"\r\nonly text") == b"only text"
    assert section(b"]", b"") == b""


def test_of_a_large_message_only_what_is_asked_for_is_read() -> None:
    data = b"Subject: x\r\n\r\n" + b"y" * (4 * WHOLE_OCTETS)
    file = File(data)
    source = Source(file)
    wanted = parse_items(b"(BODY[HEADER.FIELDS (SUBJECT)] BODY[]<100.10> BODY[])").sections
    values = [find(source, one) for one in wanted]
    assert values == [b"Subject: x\r\n\r\n", b"y" * 10, Span(0, len(data))]
    assert file.octets_read < 50_000


def test_a_known_structure_is_not_scanned_again() -> None:
    data = MESSAGE + b"z" * (2 * WHOLE_OCTETS)
    first = Source(File(data))
    wanted = parse_items(b"BODY[2.1]").sections[0]
    assert find(first, wanted) == b"plain"
    file = File(data)
    assert find(Source(file, first.scanned), wanted) == b"plain"
    assert file.octets_read == 5


def test_for_a_header_a_small_message_is_not_read_whole() -> None:
    file = File(b"Subject: x\r\n\r\n" + b"y" * 200_000)
    wanted = parse_items(b"BODY[HEADER.FIELDS (SUBJECT)]").sections[0]
    assert is_header(wanted)
    assert find(Source(file, header_only=True), wanted) == b"Subject: x\r\n\r\n"
    assert file.octets_read < 20_000


def test_a_header_of_half_a_megabyte_is_found() -> None:
    data = b"X: " + b"y" * 600_000 + b"\r\nSubject: z\r\n\r\nbody"
    assert section(b"TEXT]", data) == b"body"
    assert isinstance(section(b"HEADER]", data), Span)
