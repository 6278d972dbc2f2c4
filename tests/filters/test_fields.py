"""The header as fields: octets kept, one split for all checks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailstack.filters.fields import Header
from mailstack.mime.scanner import MIME_FIELDS, Part, scan


def test_fields_keep_their_octets() -> None:
    message = b"A: 1\r\nB :  two\r\n\tmore \r\nfrom:x\r\nFrom: y\r\n\r\nFrom: body\r\n"
    header = Header(message)
    assert [field.raw for field in header.fields] == [message[f.start : f.end] for f in header.fields]
    assert [f.name for f in header.fields] == [b"a", b"b", b"from", b"from"]
    assert header.first(b"b") == b"two\tmore"
    assert header.all(b"from")[1].value == b" y\r\n"
    assert message[header.body_at :] == b"From: body\r\n"
    assert not header.has(b"c")
    assert header.first(b"c") == b""


def test_a_message_without_body_has_its_last_field() -> None:
    header = Header(b"A: 1\r\nB: 2")
    assert header.first(b"b") == b"2"
    assert header.body_at == 10


def test_counts_are_bounded() -> None:
    assert len(Header(b"A: 1\r\n" * 5000 + b"\r\n").fields) == 1000


@given(st.binary(max_size=300))
def test_no_octets_raise(message: bytes) -> None:
    header = Header(message)
    assert 0 <= header.body_at <= len(message)
    for field in header.fields:
        assert field.raw.rstrip(b"\r\n") == message[field.start : field.end].rstrip(b"\r\n")


PIECES = st.sampled_from(
    [b"Content-Type", b"content-id ", b"Content-Disposition", b"X", b"From x", b":", b": a/b; c=d", b" ",
     b"\t", b"\r\n", b"\n", b"\r", b"\r\n ", b"\n\t", b"multipart/mixed; boundary=x", b"--x", b"--x--"]
)  # fmt: skip


def outline(part: Part) -> object:
    mime = {name: value for name, value in part.fields.items() if name in MIME_FIELDS}
    place = part.start, part.header_end, part.end
    return place, part.content_type, part.parameters, mime, [outline(child) for child in part.children]


@given(st.lists(PIECES, max_size=30).map(b"".join))
def test_parts_are_found_as_if_the_header_were_read_again(message: bytes) -> None:
    assert outline(scan(message, known=Header(message).mime)) == outline(scan(message))


def test_what_tells_of_the_parts_is_found_behind_a_thousand_fields() -> None:
    message = b"X: 1\r\n" * 1_000 + b"Content-Type: text/html\r\n\r\nx"
    assert scan(message, known=Header(message).mime).content_type == "text/html"
