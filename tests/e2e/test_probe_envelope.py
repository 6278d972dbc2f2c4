"""A black-box probe of what an envelope asks for: internationalized mail (RFC 6531), DSN (RFC 3461)."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from email.message import EmailMessage, Message

import pytest

from tests.kit.demo import Demo, new_account
from tests.kit.smtp_probe import Probe, mail

ALICE, BOB = "alice@example.test", "bob@example.test"
DOERTE = "d\u00f6rte@b\u00fccher.test"


@pytest.fixture
def mx(demo: Demo) -> Iterator[Probe]:
    with Probe((demo.host, demo.port("mx"))) as probe:
        yield probe.open()


@pytest.fixture
def sender(demo: Demo, request: pytest.FixtureRequest) -> str:
    return new_account(demo, request)


@pytest.fixture
def submission(demo: Demo, sender: str) -> Iterator[Probe]:
    """Logged in as `sender`."""
    with Probe((demo.host, demo.port("submissions")), tls=demo.tls()) as probe:
        assert probe.open().login(sender, "pass word $1 long").code == 235
        yield probe


def own(sender: str, mark: str) -> bytes:
    return f"From: {sender}\r\nTo: {BOB}\r\nSubject: {mark}\r\n\r\nHello.\r\n".encode()


def parse(octets: bytes) -> EmailMessage:
    found = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


def status_of(report: EmailMessage) -> list[Message]:
    """RFC 3464 section 2: the blocks of message/delivery-status, the one about the message first."""
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") in ("delivery-status", "global-delivery-status")
    parts = list(report.iter_parts())
    assert 2 <= len(parts) <= 3
    assert parts[1].get_content_type() in ("message/delivery-status", "message/global-delivery-status")
    blocks = parts[1].get_payload()
    assert isinstance(blocks, list)
    return [block for block in blocks if block.keys()]


def test_internationalized_mail_arrives_as_it_was(demo: Demo, mx: Probe, mark: str) -> None:
    # RFC 6531 section 3, RFC 6532
    text = f"From: D\u00f6rte <{DOERTE}>\r\nSubject: {mark} Gr\u00fc\u00dfe\r\n\r\nHallo.\r\n".encode()
    mx.envelope([ALICE], sender=DOERTE, more=" SMTPUTF8 BODY=8BITMIME")
    assert mx.message(text).code == 250
    found = demo.wait_for_message(ALICE, mark.encode())
    assert found.endswith(text)
    received = found.split(b"Received:", 1)[1].split(b"\r\nFrom:")[0]
    assert re.search(rb"with UTF8SMTP\b", received)


@pytest.mark.parametrize("recipient", [DOERTE, "\u4f60\u597d@example.test"])
def test_an_unknown_internationalized_recipient_is_refused(mx: Probe, recipient: str) -> None:
    # RFC 6531 section 3.5 and 3.7.4.2
    assert mx.ask("MAIL FROM:<a@outside.test> SMTPUTF8").code == 250
    answer = mx.ask(f"RCPT TO:<{recipient}>")
    assert answer.code in (250, 550, 553, 554)
    if answer.code == 250:
        assert recipient.endswith("example.test"), "relayed"


def test_vrfy_takes_an_internationalized_address(mx: Probe) -> None:
    # RFC 6531 section 3.7.4.2
    assert mx.ask("VRFY d\u00f6rte SMTPUTF8").code in (252, 502, 504, 553)


def test_success_is_reported_once_it_is_asked_for(
    demo: Demo, submission: Probe, sender: str, mark: str
) -> None:
    # RFC 3461 sections 4.1, 5.2.3 and 6.3; RFC 3464 section 2
    assert submission.ask(f"MAIL FROM:<{sender}> RET=HDRS ENVID=QQ+2B{mark}").code == 250
    answer = submission.ask(f"RCPT TO:<{BOB}> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob+2BX@example.test")
    assert answer.code == 250
    assert submission.message(own(sender, mark)).code == 250
    report = parse(demo.wait_for_message(sender, mark.encode()))
    assert report["Return-Path"] == "<>"
    about, *each = status_of(report)
    assert about["Original-Envelope-Id"] == f"QQ+{mark}"
    assert about["Reporting-MTA"].startswith("dns;")
    (recipient,) = each
    assert recipient["Final-Recipient"].replace(" ", "").lower() == f"rfc822;{BOB}"
    assert recipient["Original-Recipient"].replace(" ", "") == "rfc822;Bob+X@example.test"
    assert recipient["Action"].lower().startswith("delivered")
    assert re.fullmatch(r"2\.\d{1,3}\.\d{1,3}", recipient["Status"].split()[0])
    returned = list(report.iter_parts())[2]
    assert returned.get_content_type() in ("text/rfc822-headers", "message/global-headers")
    assert b"Hello." not in returned.as_bytes()


def test_without_a_wish_success_is_not_reported(
    demo: Demo, submission: Probe, sender: str, mark: str
) -> None:
    # RFC 3461 section 4.1: without NOTIFY failure and delay only
    submission.envelope([BOB], sender=sender)
    assert submission.message(own(sender, f"{mark}-quiet")).code == 250
    assert submission.ask(f"MAIL FROM:<{sender}>").code == 250
    assert submission.ask(f"RCPT TO:<{BOB}> NOTIFY=SUCCESS").code == 250
    assert submission.message(own(sender, f"{mark}-told")).code == 250
    demo.wait_for_message(sender, f"{mark}-told".encode())
    assert not any(f"{mark}-quiet".encode() in message for message in demo.messages(sender))


def test_the_null_sender_is_told_nothing(demo: Demo, mx: Probe, mark: str) -> None:
    # RFC 3461 section 6.1 (no report to <>)
    before = len(demo.outside())
    assert mx.ask("MAIL FROM:<>").code == 250
    assert mx.ask(f"RCPT TO:<{BOB}> NOTIFY=SUCCESS").code == 250
    assert mx.message(mail(mark)).code == 250
    demo.wait_for_message(BOB, mark.encode())
    assert len(demo.outside()) == before
