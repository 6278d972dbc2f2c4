"""What a submission gets and loses before it is signed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mime.header import Headers
from mailstack.model.address import Address
from mailstack.smtp.fixups import DEVICE_CLOCK_S, Wishes, fix, rewrite_from

PRINTER = Address("printer", "example.test")
WHOLE = b"Date: x\r\nMessage-ID: <a@b>\r\nFrom: a@b\r\n"


NOW = 1_763_776_800.0


def fixed(message: bytes, device: Address | None = None, **more: Any) -> bytes:
    return b"".join(fix(message, Wishes(NOW, "id1", "mx.test", device, **more)))


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


def test_a_large_text_without_any_header_is_not_copied() -> None:
    text = b"just text\r\n\r\n" + b"more\r\n" * 300_000
    pieces = list(fix(text, Wishes(NOW, "id1", "mx.test", PRINTER)))
    assert max(map(len, pieces)) < 100_000
    assert b"".join(pieces).partition(b"\r\n\r\n")[2] == text


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


def test_a_device_may_use_what_it_was_granted() -> None:
    block = b"From: Scan <scan@example.test>\r\n"
    assert rewrite_from(block, PRINTER, may_send_as=lambda a: a.local == "scan") == block
    assert rewrite_from(block, PRINTER, may_send_as=lambda a: a.local == "other") != block


def test_a_devices_raw_name_in_from_is_kept_and_gets_the_replies() -> None:
    out = fixed(b"From: B\xfcro <scan@b.example>\r\n\r\nx\r\n", PRINTER)
    headers = Headers.parse(out)
    assert headers.first("from") == b"=?utf-8?b?QsO8cm8=?= <printer@example.test>"
    assert headers.first("reply-to") == b"=?utf-8?b?QsO8cm8=?= <scan@b.example>"


@pytest.mark.parametrize(
    ("date", "stays"),
    [
        (b"Sat, 22 Nov 2025 02:00:00 +0000", True),
        (b"Thu, 20 Nov 2025 03:00:00 +0000", True),
        (b"Wed, 19 Nov 2025 02:00:00 +0000", False),
        (b"Thu, 01 Jan 1970 00:00:00 +0000", False),
        (b"soon", False),
        (b"", False),
    ],
)
def test_the_date_of_a_device_that_lost_its_clock_is_replaced(date: bytes, stays: bool) -> None:
    assert DEVICE_CLOCK_S == 2 * 86_400
    block = b"Date: " + date + b"\r\nFrom: printer@example.test\r\n\r\n"
    out = Headers.parse(fixed(block, PRINTER))
    assert out.count("date") == 1
    assert out.first("date") == (date if stays else b"Sat, 22 Nov 2025 02:00:00 +0000")
    # A person's own Date is a person's own business.
    assert Headers.parse(fixed(block)).first("date") == date


@pytest.mark.parametrize("empty", [b"", b" ", b"<>", b"< >"])
def test_an_empty_message_id_is_none(empty: bytes) -> None:
    out = fixed(b"Date: x\r\nMessage-ID: " + empty + b"\r\nFrom: a@b\r\n\r\n")
    assert Headers.parse(out).all("message-id") == [b"<id1@mx.test>"]


def test_the_separator_of_a_mail_folder_file_is_no_field() -> None:
    # RFC 4155
    assert fixed(b"From me Sat Nov 22 02:00:00 2025\r\n" + WHOLE + b"\r\nFrom here\r\n") == (
        WHOLE + b"\r\nFrom here\r\n"
    )


@pytest.mark.parametrize("space", [b" ", b" \t "])
def test_an_author_with_a_space_before_the_colon_is_no_separator(space: bytes) -> None:
    # T20: what the check of senders takes for the author stays the author.
    message = b"From" + space + b": a@b\r\nDate: x\r\nMessage-ID: <a@b>\r\n\r\nx\r\n"
    assert fixed(message) == message


@pytest.mark.parametrize("junk", [b" ", b"\t", b"From me\r\n ", b"From me\r\n\tx\r\n "], ids=repr)
def test_what_continues_no_field_continues_none_of_ours(junk: bytes) -> None:
    out = fixed(junk + b"From: boss@bank.test\r\nSubject: x\r\n\r\nx\r\n", PRINTER)
    assert Headers.parse(out).all("from") == [b"<printer@example.test>"]
    assert b"boss" not in out
    assert b"\r\nSubject: x\r\n\r\nx\r\n" in out


EIGHT_BIT = "\r\nSchöne Grüße an alle\r\n".encode() + b"z" * 1200 + b"\r\n"


def test_eight_bit_and_long_lines_are_encoded_before_anybody_signs() -> None:
    # RFC 6376 section 5.3; RFC 5321 section 4.5.3.1.6
    out = fixed(WHOLE + "Subject: Grüße\r\nBcc: x@y\r\n".encode() + EIGHT_BIT)
    assert out.isascii()
    assert max(map(len, out.split(b"\r\n"))) <= 78
    headers = Headers.parse(out)
    assert headers.count("bcc") == 0
    assert headers.first("content-transfer-encoding") == b"quoted-printable"
    assert headers.first("content-type") == b"text/plain; charset=utf-8"
    assert headers.first("mime-version") == b"1.0"


def test_smtputf8_keeps_its_header_and_still_has_a_plain_body() -> None:
    # RFC 6531
    subject = "Subject: Grüße\r\n".encode()
    out = fixed(WHOLE + subject + EIGHT_BIT, smtputf8=True)
    assert subject in out
    assert out.partition(b"\r\n\r\n")[2].isascii()


@pytest.mark.parametrize(
    "signed",
    [
        b"DKIM-Signature: v=1; d=x; b=y\r\n",
        b"Resent-From: a@b\r\n",
        b"ARC-Seal: i=1; b=y\r\n",
        b"Content-Type: multipart/signed; boundary=b\r\n",
    ],
    ids=lambda field: field[:12].decode(),
)
def test_what_somebody_signed_keeps_its_octets(signed: bytes) -> None:
    body = b"\r\n--b\r\n" + EIGHT_BIT + b"--b--\r\n"
    assert fixed(WHOLE + signed + b"Bcc: x@y\r\n" + body) == WHOLE + signed + body


def test_nothing_is_encoded_where_it_is_switched_off() -> None:
    assert fixed(WHOLE + EIGHT_BIT, seven_bit=False) == WHOLE + EIGHT_BIT


OCTETS = st.binary(max_size=200).map(lambda b: b.replace(b"\r", b"").replace(b"\n", b"\r\n") + b"\r\n")


@given(OCTETS, st.booleans(), st.booleans())
def test_fixing_twice_changes_nothing_more(message: bytes, is_device: bool, seven_bit: bool) -> None:
    device = PRINTER if is_device else None
    once = fixed(message, device, seven_bit=seven_bit)
    assert fixed(once, device, seven_bit=seven_bit) == once
    assert not Headers.parse(once).count("bcc")
    if not seven_bit and message.find(b"\r\n\r\n") > 0:
        assert once.endswith(message[message.find(b"\r\n\r\n") :])
