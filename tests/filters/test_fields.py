"""The header as fields: octets kept, one split for all checks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailstack.filters.fields import Header


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
