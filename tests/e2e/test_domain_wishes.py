"""What a domain wants of mail to its addresses, through running daemons: lists, marks, attachments."""

from __future__ import annotations

import imaplib
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.kit.demo import Demo
from tests.kit.process import eventually

DOMAIN, OWNER = "wishes.test", "owner@wishes.test"
PASSWORD = "a domain of 3 wishes"
PROGRAM = (
    'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nHere.\r\n--b\r\n'
    'Content-Type: application/octet-stream; name="run.exe"\r\nContent-Disposition: attachment;'
    ' filename="run.exe"\r\nContent-Transfer-Encoding: base64\r\n\r\nTVqQAAMAAAAEAAAA\r\n--b--\r\n'
)
TEXT = "\r\nHello, are you there?\r\n"


@pytest.fixture(scope="module")
def domain(demo: Demo) -> None:
    demo.cli("domain", "add", DOMAIN)
    demo.cli("user", "add", OWNER, "--password-stdin", stdin=PASSWORD)
    demo.cli(
        "domain", "mail", DOMAIN, "--mark-outside", "on", "--outside-prefix", "[EXT]", "--refuse", "program"
    )


def send(demo: Demo, mark: str, rest: str = TEXT, sender: str = "x@far.test") -> None:
    head = f"From: {sender}\r\nTo: {OWNER}\r\nSubject: {mark}\r\nMessage-ID: <{mark}@far.test>\r\n"
    with demo.smtp() as client:
        client.sendmail("x@far.test", [OWNER], (head + rest).encode())


@contextmanager
def imap(demo: Demo) -> Iterator[imaplib.IMAP4_SSL]:
    with imaplib.IMAP4_SSL("localhost", demo.port("imaps"), timeout=30, ssl_context=demo.tls()) as client:
        client.login(OWNER, PASSWORD)
        yield client


@pytest.mark.usefixtures("domain")
def test_mail_from_outside_is_marked_for_every_program(demo: Demo, mark: str) -> None:
    send(demo, mark)
    kept = demo.wait_for_message(OWNER, mark.encode())
    assert f"Subject: [EXT] {mark}\r\n".encode() in kept and b"X-Mailstack-Outside: yes\r\n" in kept
    with imap(demo) as client:
        client.select("INBOX", readonly=True)
        (found,) = client.search(None, "KEYWORD", "Outside", "SUBJECT", mark)[1]
        assert len(found.split()) == 1


@pytest.mark.usefixtures("domain")
def test_what_the_domain_blocks_is_spam_and_the_log_says_so(demo: Demo, mark: str) -> None:
    demo.cli("list", "block", "--domain", DOMAIN, "shop.test")
    send(demo, mark, sender="offers@mail.shop.test")
    demo.wait_for_message(OWNER, mark.encode(), ".Spam")
    why = "shop.test is on the blocked list of the domain"
    eventually(lambda: why in demo.cli("log", "explain", f"<{mark}@far.test>", check=False))
    demo.cli("list", "allow", OWNER, "offers@mail.shop.test")
    demo.cli("list", "remove", "--domain", DOMAIN, "shop.test")
    send(demo, f"{mark}-later", sender="offers@mail.shop.test")
    demo.wait_for_message(OWNER, f"{mark}-later".encode())


@pytest.mark.usefixtures("domain")
def test_attachments_it_does_not_take_are_refused_in_the_session(demo: Demo, mark: str) -> None:
    with pytest.raises(smtplib.SMTPDataError) as refused:
        send(demo, mark, PROGRAM)
    assert refused.value.smtp_code == 550
    assert "run.exe falls under 'program'" in str(refused.value.smtp_error)
    eventually(lambda: "refused with 550" in demo.cli("log", "show", OWNER))
