"""What a bounce is about."""

# ruff: noqa: E501  # tables of fields read better unbroken

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.model.address import Address
from mailstack.smtp.bounces import MAX_NAMES, Bounce, Failure, failures, is_sender_system, read

DSN = (
    b"From: MAILER-DAEMON@far.test\r\nTo: alice@example.test\r\nMessage-ID: <bounce-1@far.test>\r\n"
    b'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="b"\r\n\r\n'
    b"--b\r\n\r\nYour mail could not be delivered.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
    b"Reporting-MTA: dns; far.test\r\n\r\nFinal-Recipient: rfc822; Nobody@Far.test\r\nAction: failed\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: alice@example.test\r\nMessage-Id: <1@example.test>\r\n"
    b"\r\nhi\r\n--b--\r\n"
)


def test_a_report_names_message_and_recipient() -> None:
    assert read(DSN) == Bounce(("<1@example.test>",), ("nobody@far.test",))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        # qmail: plain text, the message below
        (
            b"From: MAILER-DAEMON@far.test\r\n\r\nHi. This is the qmail-send program\r\n\r\n--- Below this line\r\n"
            b"Return-Path: <alice@example.test>\r\nMessage-ID: <2@example.test>\r\n\r\nhi\r\n",
            Bounce(("<2@example.test>",), ()),
        ),
        # Exim
        (
            b"X-Failed-Recipients: x@far.test, y@far.test\r\nFrom: Mail Delivery System <Mailer-Daemon@far.test>\r\n"
            b"References: <3@example.test>\r\n\r\nThis message was created automatically\r\n",
            Bounce(("<3@example.test>",), ("x@far.test", "y@far.test")),
        ),
        # quoted
        (
            b"From: postmaster@far.test\r\n\r\n> Message-ID: <4@example.test>\r\n",
            Bounce(("<4@example.test>",), ()),
        ),
        (b"From: Mail Delivery Subsystem <x@far.test>\r\n\r\nsorry\r\n", Bounce((), ())),
    ],
    ids=["qmail", "exim", "quoted", "nothing named"],
)
def test_other_forms_are_read_too(message: bytes, expected: Bounce) -> None:
    assert read(message) == expected


@pytest.mark.parametrize(
    "head",
    [
        b"From: bob@far.test\r\nContent-Type: multipart/report; report-type=disposition-notification",
        b"From: postmaster@far.test\r\nContent-Type: multipart/report; report-type=disposition-notification",
        b"From: bob@far.test\r\nAuto-Submitted: auto-replied\r\nIn-Reply-To: <5@example.test>",
        b"From: bob@far.test\r\nSubject: undeliverable",
    ],
    ids=["receipt", "receipt of a postmaster", "vacation", "person"],
)
def test_receipts_and_automatic_replies_are_no_bounces(head: bytes) -> None:
    assert read(head + b"\r\n\r\nMessage-ID: <5@example.test>\r\n") is None


def test_senders_of_bounces() -> None:
    assert is_sender_system(None)
    assert is_sender_system(Address.parse("MAILER-DAEMON@far.test"))
    assert not is_sender_system(Address.parse("bob@far.test"))


@given(st.binary(max_size=2000))
def test_any_octets_name_little(octets: bytes) -> None:
    for message in (octets, b"From: mailer-daemon@x\r\n\r\n" + octets):
        found = read(message)
        assert found is None or max(len(found.messages), len(found.recipients)) <= MAX_NAMES


def test_a_hostile_bounce_costs_little() -> None:
    import time

    began = time.process_time()
    for line in (b"Message-ID: <" * 40_000, b"> \t" * 170_000, b"Final-Recipient: rfc822;" * 20_000):
        read(b"From: mailer-daemon@x\r\n\r\n" + line)
        read(b"From: mailer-daemon@x\r\n\r\n" + line.replace(b" ", b" \r\n"))
    assert time.process_time() - began < 5


GROUP = (
    b"Final-Recipient: rfc822; Nobody@Far.test\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    b"Diagnostic-Code: smtp; 550 5.1.1 no such\r\n user\r\n"
)


def report(*groups: bytes) -> bytes:
    head, _, tail = DSN.partition(b"Final-Recipient: rfc822; Nobody@Far.test\r\nAction: failed\r\n")
    return head + b"\r\n".join(groups) + tail


def test_a_report_says_who_refused_for_good_and_why() -> None:
    other = GROUP.replace(b"Nobody", b"two").replace(b"5.1.1\r\n", b"5.2.2 (full)\r\n", 1)
    assert failures(report(GROUP, other)) == (
        Failure("nobody@far.test", "5.1.1", "550 5.1.1 no such user"),
        Failure("two@far.test", "5.2.2", "550 5.1.1 no such user"),
    )


@pytest.mark.parametrize(
    "message",
    [
        report(GROUP.replace(b"failed", b"delayed")),
        report(GROUP.replace(b"Status: 5.1.1", b"Status: 4.2.2")),
        report(GROUP.replace(b"Status: 5.1.1\r\n", b"")),
        report(GROUP).replace(b"report-type=delivery-status", b"report-type=disposition-notification"),
        b"From: MAILER-DAEMON@far.test\r\n\r\n" + GROUP,
        b"",
    ],
    ids=range(6),
)
def test_what_is_no_such_report_says_nothing(message: bytes) -> None:
    assert failures(message) == ()


def test_many_recipients_are_bounded() -> None:
    groups = [GROUP.replace(b"Nobody", b"n%d" % n) for n in range(MAX_NAMES + 5)]
    assert len(failures(report(*groups))) == MAX_NAMES
