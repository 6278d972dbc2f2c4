"""Devices on 465 and 587: odd names, no login, senders nobody can read."""

from __future__ import annotations

import base64

import pytest

from mailstack.smtp.submission import tolerable_hello
from tests.kit.accounts import PRINTER
from tests.kit.bare_smtp import BareSmtp
from tests.kit.smtp_acceptor import FakeAcceptor

IP = "192.0.2.7"


def plain(user: str, password: str) -> str:
    return "AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode()


def by_address(name: str = "submission", *, hello: bool = True) -> BareSmtp:
    session = BareSmtp(name, acceptor=FakeAcceptor(devices={IP: PRINTER}))
    if hello:
        session.ask("HELO printer")
    return session


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b"EHLO printer", b"EHLO printer"),
        (b"HELO", b"HELO unnamed"),
        (b"helo  \t ", b"helo unnamed"),
        (b"EHLO B\xfcro Drucker 2", b"EHLO B-ro-Drucker-2"),
        (b"EHLO a\0\x07b", b"EHLO a-b"),
        (b"EHLO " + b"x" * 300, b"EHLO " + b"x" * 255),
        (b"EHLOS x", b"EHLOS x"),
        (b"EHLO [192.168.1.9]", b"EHLO [192.168.1.9]"),
    ],
)
def test_any_name_a_device_gives_itself_is_taken(line: bytes, kept: bytes) -> None:
    # S22 for submission: product page, section 6
    assert tolerable_hello(line) == kept


@pytest.mark.parametrize("line", [b"HELO", b"EHLO \xff\xfe", b"EHLO a\tb", b"EHLO " + b"n" * 1000])
def test_port_25_is_as_strict_as_ever(line: bytes) -> None:
    session = BareSmtp("mx")
    session.line()
    session.send(line + b"\r\n")
    assert session.line()[:1] == b"5"
    patient = BareSmtp("submission")
    patient.line()
    patient.send(line + b"\r\n")
    assert patient.line()[:3] == b"250"


def test_a_device_known_by_its_address_sends_without_login_and_tls() -> None:
    # limits, section 8: an address-bound entry with a fixed sender
    session = by_address()
    assert session.ask("MAIL FROM: scan@local")[:3] == "250"
    assert session.ask("RCPT TO:<bob@example.test>")[:3] == "250"
    assert session.ask("DATA")[:3] == "354"
    assert session.ask("Subject: scan\r\n\r\nx\r\n.")[:3] == "250"
    envelope = session.acceptor.taken[0][0]
    assert envelope.sender == "printer@example.test"
    assert envelope.client.login == "printer@example.test"
    assert envelope.client.by_address
    assert envelope.client.protocol == "SMTP"


def test_nobody_else_sends_without_a_login() -> None:
    session = BareSmtp("submission", acceptor=FakeAcceptor(devices={"192.0.2.8": PRINTER}))
    session.ask("EHLO printer")
    assert session.ask("MAIL FROM:<scan@local>")[:9] == "530 5.7.0"
    mx = BareSmtp("mx", acceptor=FakeAcceptor(devices={IP: PRINTER}))
    mx.ask("EHLO printer")
    assert mx.ask("MAIL FROM:<scan@local>")[:3] == "250"
    assert mx.ask("RCPT TO:<x@elsewhere.test>")[:9] == "550 5.7.1"


def test_a_password_in_clear_is_no_better_from_a_devices_address() -> None:
    # A1
    session = by_address()
    assert session.ask(plain("printer@example.test", "printer-pw"))[:9] == "530 5.7.0"
    assert "AUTH" not in session.ask("EHLO printer")
    assert not session.acceptor.logins


def test_who_logs_in_from_there_is_who_it_says() -> None:
    session = by_address("submissions")
    assert session.ask(plain("alice@example.test", "a$1 geheim"))[:3] == "235"
    assert session.ask("MAIL FROM:<alice@example.test>")[:3] == "250"
    assert not session.session.client.by_address


def test_a_login_is_possible_after_mail_without_one_but_not_inside_it() -> None:
    session = by_address("submissions")
    session.ask("MAIL FROM:<scan@local>")
    assert session.ask(plain("alice@example.test", "a$1 geheim"))[:9] == "503 5.5.1"
    session.ask("RSET")
    assert session.session.client.by_address
    assert session.ask(plain("alice@example.test", "a$1 geheim"))[:3] == "235"
    assert session.session.client.login == "alice@example.test"


def test_a_second_hello_does_not_make_it_a_login() -> None:
    session = by_address()
    session.ask("MAIL FROM:<scan@local>")
    session.ask("EHLO again")
    assert session.session.client.by_address
    session.session.tls_started("TLSv1.3 X")
    assert not session.session.client.by_address
    assert not session.session.client.login


@pytest.mark.parametrize(
    "path",
    [
        "<scanner>",
        "scanner",
        "<scan ner@local>",
        "<>x",
        "Scanner <a@b>",
        "<a@b",
        "<a@b> SIZE=many",
        "<ä@b.test>",
    ],
)
def test_what_a_device_writes_as_its_sender_need_not_be_read(path: str) -> None:
    # product page, section 6: bare host names, addresses without <>
    session = BareSmtp("submissions")
    session.ask("EHLO printer")
    session.ask(plain("printer@example.test", "printer-pw"))
    assert session.ask(f"MAIL FROM:{path}")[:3] == "250"
    session.ask("RCPT TO:<bob@example.test>")
    session.ask("DATA")
    session.ask("x\r\n.")
    assert session.acceptor.taken[0][0].sender == "printer@example.test"


def test_a_person_must_write_what_can_be_read() -> None:
    session = BareSmtp("submissions")
    session.ask("EHLO laptop")
    session.ask(plain("alice@example.test", "a$1 geheim"))
    assert session.ask("MAIL FROM:<alice>")[:3] == "501"
    session = BareSmtp("submissions")
    session.ask("EHLO printer")
    session.ask(plain("printer@example.test", "printer-pw"))
    assert session.ask("MAIL printer@example.test")[:3] == "501"
