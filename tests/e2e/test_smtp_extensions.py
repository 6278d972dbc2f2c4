"""What EHLO offers, carried out by the whole instance: BDAT, binary, any script, REQUIRETLS."""

from __future__ import annotations

import email
import email.policy
import poplib
from collections.abc import Iterator

import pytest

from tests.kit.demo import PASSWORD, Demo
from tests.kit.smtp_probe import Probe, mail

ALICE = "alice@example.test"
BINARY = bytes(range(256)) * 5 + b"\r\n\n\r\n\r\r\n.\r\n"
PARTS = (
    b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=edge\r\n"
    b"Content-Transfer-Encoding: binary\r\n"
)
BODY = (
    b"--edge\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    b"gr\xc3\xbc\xc3\x9fe\r\n--edge\r\nContent-Type: application/octet-stream\r\n"
    b"Content-Transfer-Encoding: binary\r\n\r\n%s\r\n--edge--\r\n"
)


def sent_in_chunks(probe: Probe, message: bytes, size: int) -> None:
    for at in range(0, len(message), size):
        chunk = message[at : at + size]
        probe.send(b"BDAT %d\r\n%s" % (len(chunk), chunk))
        assert probe.reply().code == 250
    assert probe.ask("BDAT 0 LAST").code == 250


def contents(message: bytes) -> list[bytes]:
    parsed = email.message_from_bytes(message, policy=email.policy.default)
    return [part.get_payload(decode=True) for part in parsed.walk() if not part.is_multipart()]  # type: ignore[misc]


@pytest.mark.parametrize("copies", [1, 400], ids=["in memory", "in a file"])
def test_binary_content_reaches_mail_programs_whole(demo: Demo, probe: Probe, copies: int) -> None:
    # RFC 3030 section 3: all bits of each octet, also where a mail program cannot take NUL
    mark = f"binary-{copies}"
    message = mail(mark, head=PARTS, body=BODY % (BINARY * copies))
    probe.envelope([ALICE], more=f" BODY=BINARYMIME SIZE={len(message)}")
    sent_in_chunks(probe, message, 100_000)
    stored = demo.wait_for_message(ALICE, mark.encode())
    assert b"\0" not in stored
    assert contents(stored) == ["grüße".encode(), BINARY * copies]
    with demo.imap(ALICE) as client:
        client.select()
        _, found = client.search(None, "SUBJECT", mark)
        _, fetched = client.fetch(found[0].decode(), "(BODY.PEEK[])")
        assert isinstance(fetched[0], tuple)
        assert fetched[0][1] == stored


def test_chunked_text_is_stored_as_it_came(demo: Demo, probe: Probe) -> None:
    # S37
    message = mail("chunked-text", body=b".\r\n..\r\nlast line\r\n")
    probe.envelope([ALICE])
    sent_in_chunks(probe, message, 7)
    assert demo.wait_for_message(ALICE, b"chunked-text").endswith(message)


def test_mail_in_any_script_reaches_an_address_in_any_script(demo: Demo, probe: Probe) -> None:
    # RFC 6531; S29
    address = "jörg.probe@example.test"
    demo.cli("user", "add", address, "--password", PASSWORD)
    assert probe.ask(f"MAIL FROM:<{ALICE}>").code == 250
    assert probe.ask(f"RCPT TO:<{address}>").status == "5.6.7"
    probe.ask("RSET")
    probe.envelope([address], sender="δοκιμή@outside.test", more=" SMTPUTF8 BODY=8BITMIME")
    message = "From: δοκιμή <δοκιμή@outside.test>\r\nSubject: unicode-mark grüße\r\n\r\nhallo\r\n".encode()
    assert probe.message(message).code == 250
    # It is stored before the 250.
    client = poplib.POP3_SSL("localhost", demo.port("pop3s"), context=demo.tls(), timeout=30)
    client.utf8()
    client.encoding = "utf-8"
    client.user(address)
    client.pass_(PASSWORD)
    stored = b"\r\n".join(client.retr(1)[1]) + b"\r\n"
    client.quit()
    assert "Return-Path: <δοκιμή@outside.test>\r\n".encode() in stored
    assert b"with UTF8SMTP id" in stored
    assert f"for <{address}>".encode() in stored
    assert stored.endswith(message)


def test_requiretls_wants_tls(demo: Demo, probe: Probe) -> None:
    # RFC 8689 section 2
    assert "REQUIRETLS" not in probe.keywords
    assert probe.ask("MAIL FROM:<a@outside.test> REQUIRETLS").code == 555
    probe.start_tls(demo.tls())
    probe.hello()
    assert "REQUIRETLS" in probe.keywords
    probe.envelope([ALICE], more=" REQUIRETLS")
    assert probe.message(mail("requiretls-mark")).code == 250
    demo.wait_for_message(ALICE, b"requiretls-mark")


@pytest.fixture
def laptop(demo: Demo) -> Iterator[Probe]:
    """A program of alice's, logged in on port 465."""
    with Probe((demo.host, demo.port("submissions")), tls=demo.tls()) as probe:
        probe.open()
        assert probe.login(ALICE, demo.users[ALICE]).code == 235
        probe.hello()
        yield probe


def test_a_login_sends_binary_mail_here_and_outside(demo: Demo, laptop: Probe) -> None:
    head = b"From: alice@example.test\r\nTo: bob@example.test\r\nSubject: binary-out\r\n" + PARTS
    message = head + b"\r\n" + BODY % BINARY
    laptop.envelope(["bob@example.test", "friend@outside.test"], sender=ALICE, more=" BODY=BINARYMIME")
    sent_in_chunks(laptop, message, 3000)
    for arrived in (
        demo.wait_for_message("bob@example.test", b"Subject: binary-out"),
        demo.wait_for_outside(b"Subject: binary-out"),
    ):
        assert contents(arrived) == ["grüße".encode(), BINARY]


def test_a_signed_binary_message_stays_whole_or_comes_back(demo: Demo, laptop: Probe) -> None:
    # What is signed cannot be re-encoded on its way out: who cannot take it as it is does not get it (5.6.3).
    head = (
        b"From: alice@example.test\r\nTo: bob@example.test\r\nSubject: binary-signed\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/signed; boundary=outer; protocol=x; micalg=y\r\n"
    )
    inner = PARTS.removeprefix(b"MIME-Version: 1.0\r\n") + b"\r\n" + BODY % BINARY
    message = head + b"\r\n--outer\r\n" + inner + b"\r\n--outer\r\n\r\nsignature\r\n--outer--\r\n"
    laptop.envelope(["bob@example.test"], sender=ALICE, more=" BODY=BINARYMIME")
    sent_in_chunks(laptop, message, 3000)
    arrived = demo.wait_for_message("bob@example.test", b"Subject: binary-signed")
    assert contents(arrived)[:2] == ["grüße".encode(), BINARY]


def test_a_login_sends_mail_in_any_script(demo: Demo, laptop: Probe) -> None:
    message = "From: alice@example.test\r\nTo: δοκιμή@outside.test\r\nSubject: unicode-out ß\r\n\r\nhi\r\n"
    laptop.envelope(["δοκιμή@outside.test"], sender=ALICE, more=" SMTPUTF8")
    assert laptop.message(message.encode()).code == 250
    demo.wait_for_outside("unicode-out ß".encode())
