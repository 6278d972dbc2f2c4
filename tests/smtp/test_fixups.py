"""What a submission gets and loses before it is signed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mime.header import Headers
from mailstack.model.address import Address
from mailstack.smtp.fixups import fix, rewrite_from

PRINTER = Address("printer", "example.test")
WHOLE = b"Date: x\r\nMessage-ID: <a@b>\r\nFrom: a@b\r\n"


def fixed(message: bytes, device: Address | None = None) -> bytes:
    return fix(message, now=1_763_776_800.0, accept_id="id1", message_id_domain="mx.test", device=device)


def test_a_whole_message_is_left_as_it_is() -> None:
    message = WHOLE + b"\r\nBcc: in the body\r\n.\r\n"
    assert fixed(message) == message


def test_missing_date_and_message_id_are_added() -> None:
    # S46; RFC 6409 section 8.2 and 8.3
    out = fixed(b"From: a@b\r\n\r\nbody\r\n")
    assert out == (
        b"Date: Sat, 22 Nov 2025 02:00:00 +0000\r\nMessage-ID: <id1@mx.test>\r\nFrom: a@b\r\n\r\nbody\r\n"
    )


@pytest.mark.parametrize("name", [b"Bcc", b"BCC", b"bcc ", b"Resent-Bcc", b"Return-Path"], ids=repr)
def test_blind_copies_and_return_path_are_removed_with_their_folds(name: bytes) -> None:
    # S47
    message = WHOLE + name + b": x@y,\r\n\tz@y\r\nTo: t@u\r\n\r\nbody\r\n"
    assert fixed(message) == WHOLE + b"To: t@u\r\n\r\nbody\r\n"


def test_text_without_any_header_becomes_the_body() -> None:
    out = fixed(b"just text\r\nmore\r\n", PRINTER)
    assert out.partition(b"\r\n\r\n")[2] == b"just text\r\nmore\r\n"


def test_a_device_is_made_the_author_and_replies_go_to_whom_it_named() -> None:
    out = rewrite_from(b"From: Jo <jo@office.test>\r\nSender: jo@office.test\r\nTo: x@y\r\n", PRINTER)
    assert out == b"From: Jo <printer@example.test>\r\nReply-To: Jo <jo@office.test>\r\nTo: x@y\r\n"


def test_a_device_keeps_its_own_reply_to_and_its_own_from() -> None:
    block = b"From: jo@office.test\r\nReply-To: r@office.test\r\n"
    assert rewrite_from(block, PRINTER) == b"From: <printer@example.test>\r\nReply-To: r@office.test\r\n"
    own = b"From: Scanner <Printer@example.test>\r\n"
    assert rewrite_from(own, PRINTER) == own


@pytest.mark.parametrize(
    "block",
    [b"", b"From: <scan\r\n", b"From: a@b\r\nFrom: c@d\r\n", b"From: =?utf-8?q?x=0D=0ABcc:_e@x?= <a@b>\r\n"],
)
def test_a_device_has_exactly_one_from_afterwards(block: bytes) -> None:
    headers = Headers.parse(rewrite_from(block, PRINTER))
    assert headers.count("from") == 1
    assert b"<printer@example.test>" in headers.all("from")[0]
    assert headers.count("bcc") == 0


@given(st.binary(max_size=200).map(lambda b: b.replace(b"\r", b"").replace(b"\n", b"\r\n") + b"\r\n"))
def test_the_body_never_changes_and_fixing_twice_changes_nothing_more(message: bytes) -> None:
    once = fixed(message)
    assert fixed(once) == once
    assert not Headers.parse(once).count("bcc")
    if message.find(b"\r\n\r\n") > 0:
        assert once.endswith(message[message.find(b"\r\n\r\n") :])
