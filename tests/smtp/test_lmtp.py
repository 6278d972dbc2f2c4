"""LMTP sessions: what differs from SMTP (RFC 2033); whole dialogs stand in tests/dialogs/smtp."""

from __future__ import annotations

from mailstack.smtp.lmtp import MOST_NAMED
from tests.kit.bare_smtp import BareSmtp


def lmtp() -> BareSmtp:
    session = BareSmtp("lmtp")
    assert session.ask("LHLO front.example")[:3] == "250"
    return session


def test_a_recipient_that_is_named_again_and_again_is_answered_so_often_and_no_more() -> None:
    # RFC 2033 section 4.2; what a peer can make grow has a limit.
    session = lmtp()
    session.ask("MAIL FROM:<a@b.test>")
    for _ in range(MOST_NAMED):
        assert session.ask("RCPT TO:<bob@example.test>")[:3] == "250"
    assert session.ask("RCPT TO:<bob@example.test>")[:9] == "452 4.5.3"
    assert session.ask("DATA")[:3] == "354"
    session._lines.clear()
    session.send(b"a: b\r\n\r\nx\r\n.\r\n")
    assert [line[:3] for line in session._lines] == [b"250"] * MOST_NAMED
    assert len(session.acceptor.taken[0][0].recipients) == 1


def test_a_new_mail_forgets_whom_the_last_one_named() -> None:
    session = lmtp()
    for _ in range(2):
        session.ask("MAIL FROM:<a@b.test>")
        session.ask("RCPT TO:<bob@example.test>")
        session.ask("RSET")
    session.ask("MAIL FROM:<a@b.test>")
    session.ask("RCPT TO:<alice@example.test>")
    session.ask("DATA")
    session._lines.clear()
    session.send(b"a: b\r\n.\r\n")
    assert len(session._lines) == 1


def test_errors_end_no_session_and_delay_nothing() -> None:
    session = lmtp()
    for _ in range(200):
        assert session.ask("FOO")[:3] == "500"
        assert session.ask("NOOP")[:3] == "250"
    assert not session.is_closed()
    assert all(say.delay_s == 0 for say in session.says)


def test_there_is_no_end_of_messages_in_a_session() -> None:
    session = BareSmtp("lmtp", mx_messages_per_session=1)
    assert "MAILMAX" not in session.ask("LHLO front.example")
    for _ in range(3):
        session.ask("MAIL FROM:<a@b.test>")
        session.ask("RCPT TO:<bob@example.test>")
        session.ask("DATA")
        assert session.ask("a: b\r\n.")[:3] == "250"
