"""BDAT in a session: order, refusals, and a clean state after all of them."""

from __future__ import annotations

import pytest

from tests.kit.bare_smtp import BareSmtp

BOB = "RCPT TO:<bob@example.test>"


def begun(*recipients: str, more: str = "", octets: int = 52_428_800) -> BareSmtp:
    session = BareSmtp(message_octets=octets)
    session.ask("EHLO client.example")
    assert session.ask(f"MAIL FROM:<a@b.test>{more}")[:3] == "250"
    for recipient in recipients or (BOB,):
        session.ask(recipient)
    return session


def chunk(session: BareSmtp, octets: bytes, *, last: bool = False) -> str:
    """One chunk; its reply."""
    session._lines.clear()
    session.send(b"BDAT %d%s\r\n%s" % (len(octets), b" LAST" if last else b"", octets))
    said, session._lines = session._lines, []
    return said[-1].decode() if said else ""


def test_a_message_comes_in_chunks() -> None:
    # RFC 3030 section 4.1
    session = begun()
    assert chunk(session, b"Subject: x\r\n\r\nhel") == "250 2.0.0 Chunk ok"
    assert chunk(session, b"") == "250 2.0.0 Chunk ok"
    assert chunk(session, b"lo\r\n.\r\n..\r\n") == "250 2.0.0 Chunk ok"
    assert chunk(session, b"", last=True) == "250 2.0.0 Ok id=id1"
    assert session.acceptor.taken[0][1] == b"Subject: x\r\n\r\nhello\r\n.\r\n..\r\n"
    assert session.acceptor.taken[0][0].body == "7BIT"


def test_pipelined_chunks_are_answered_in_order() -> None:
    # RFC 3030 section 4.2
    session = BareSmtp()
    session.ask("EHLO client.example")
    session.send(
        b"MAIL FROM:<a@b.test> BODY=BINARYMIME\r\nRCPT TO:<bob@example.test>\r\n"
        b"BDAT 8\r\na: b\r\n\r\nBDAT 4\r\n\n\r\0\xffBDAT 0 LAST\r\nQUIT\r\n"
    )
    assert [line[:3] for line in session._lines[-6:]] == [b"250", b"250", b"250", b"250", b"250", b"221"]
    envelope, message, _ = session.acceptor.taken[0]
    assert (envelope.body, message) == ("BINARYMIME", b"a: b\r\n\r\n\n\r\0\xff")


@pytest.mark.parametrize(
    "octets", [b"QUIT\r\n", b"RSET\r\nMAIL FROM:<evil@b.test>\r\n", b"\r\n.\r\n"], ids=repr
)
def test_a_chunk_is_never_a_command(octets: bytes) -> None:
    # S37: refused chunks are read away
    session = BareSmtp()
    session.ask("EHLO x")
    assert chunk(session, octets)[:9] == "503 5.5.1"
    assert chunk(session, octets, last=True)[:9] == "503 5.5.1"
    assert session.ask("MAIL FROM:<a@b.test>")[:3] == "250"
    assert chunk(session, octets, last=True)[:9] == "503 5.5.1"
    assert session.acceptor.taken == []


def test_bdat_before_hello_or_login_is_refused_and_read_away() -> None:
    for name, said in (("mx", "503 5.5.1"), ("submission", "503 5.5.1"), ("submissions", "503 5.5.1")):
        session = BareSmtp(name)
        assert chunk(session, b"QUIT\r\n", last=True)[:9] == said
        session.ask("EHLO x")
        assert chunk(session, b"QUIT\r\n", last=True)[:9] == said
        assert session.ask("NOOP")[:3] == "250"


def test_after_refused_recipients_chunks_go_nowhere_and_the_next_mail_is_clean() -> None:
    session = begun("RCPT TO:<nobody@example.test>")
    assert chunk(session, b"QUIT\r\n")[:9] == "554 5.5.1"
    assert chunk(session, b"QUIT\r\n", last=True)[:9] == "503 5.5.1"
    # RFC 3030 section 2 asks for RSET; who forgets it is not punished.
    assert session.ask("MAIL FROM:<a@b.test>")[:3] == "250"
    assert session.ask(BOB)[:3] == "250"
    assert chunk(session, b"a: b\r\n", last=True)[:3] == "250"
    assert len(session.acceptor.taken) == 1


@pytest.mark.parametrize(
    "line", ["BDAT", "BDAT -1", "BDAT abc LAST", "BDAT 5 NEXT", "BDAT 99999999999999999999"]
)
def test_a_size_that_is_none_fails_the_mail(line: str) -> None:
    # S37
    session = begun()
    assert session.ask(line)[:9] == "501 5.5.4"
    assert chunk(session, b"a: b\r\n", last=True)[:9] == "503 5.5.1"
    assert session.ask("RSET")[:3] == "250"
    assert session.ask("MAIL FROM:<a@b.test>")[:3] == "250"
    assert session.acceptor.taken == []


def test_octets_behind_a_size_that_is_none_end_the_session() -> None:
    session = begun()
    session._lines.clear()
    session.send(b"BDAT -1\r\nRSET\r\nMAIL FROM:<evil@b.test>\r\n")
    assert [line[:3] for line in session._lines] == [b"554"]
    assert session.is_closed() or session._closed


def test_data_and_bdat_do_not_mix() -> None:
    # S37; RFC 3030 section 2
    session = begun()
    assert chunk(session, b"a: b\r\n")[:3] == "250"
    assert session.ask("DATA")[:9] == "503 5.5.1"
    assert session.ask(BOB)[:9] == "503 5.5.1"
    assert session.ask("MAIL FROM:<a@b.test>")[:9] == "503 5.5.1"
    assert session.ask("STARTTLS")[:9] == "503 5.5.1"
    assert chunk(session, b"c: d\r\n", last=True)[:3] == "250"
    assert chunk(session, b"e: f\r\n", last=True)[:9] == "503 5.5.1"
    session.ask("MAIL FROM:<a@b.test>")
    session.ask(BOB)
    assert session.ask("DATA")[:3] == "354"
    assert session.ask("a: b\r\n.")[:3] == "250"
    assert chunk(session, b"x", last=True)[:9] == "503 5.5.1"
    assert [message for _, message, _ in session.acceptor.taken] == [b"a: b\r\nc: d\r\n", b"a: b\r\n"]


def test_a_binary_message_does_not_come_by_data() -> None:
    # RFC 3030 section 3
    session = begun(more=" BODY=BINARYMIME")
    assert session.ask("DATA")[:9] == "503 5.5.1"
    assert chunk(session, b"\r\n\n", last=True)[:3] == "250"


@pytest.mark.parametrize("line", ["RSET", "EHLO again.example"])
def test_reset_between_chunks_forgets_them(line: str) -> None:
    # S37, S21
    session = begun()
    chunk(session, b"old: 1\r\n")
    assert session.ask(line)[:3] == "250"
    session.ask("MAIL FROM:<c@d.test>")
    session.ask(BOB)
    assert chunk(session, b"new: 2\r\n", last=True)[:3] == "250"
    assert session.acceptor.taken[0][1] == b"new: 2\r\n"


def test_chunks_above_the_limit_are_refused_as_soon_as_they_are_told() -> None:
    # S13
    session = begun(octets=65_536)
    assert chunk(session, b"x" * 60_000)[:3] == "250"
    assert chunk(session, b"y" * 6000)[:9] == "552 5.3.4"
    assert chunk(session, b"", last=True)[:9] == "503 5.5.1"
    session.ask("RSET")
    session.ask("MAIL FROM:<c@d.test>")
    session.ask(BOB)
    assert chunk(session, b"z\n" * 30_000, last=True)[:9] == "552 5.3.4"  # 90,000 octets once put right
    assert session.acceptor.taken == []


def test_too_many_recipients_of_an_account_reach_nobody() -> None:
    # S9
    session = BareSmtp("submissions", normal_recipients=1)
    session.ask("EHLO x")
    assert session.ask("AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABhJDEgZ2VoZWlt")[:3] == "235"
    session.ask("MAIL FROM:<alice@example.test>")
    session.ask(BOB)
    assert session.ask("RCPT TO:<any@example.test>")[:9] == "550 5.5.3"
    assert chunk(session, b"From: alice@example.test\r\n", last=True)[:9] == "554 5.5.3"
    assert session.acceptor.taken == []


def test_chunks_that_were_on_their_way_are_forgiven() -> None:
    # RFC 3030 section 2
    session = begun("RCPT TO:<nobody@example.test>")
    assert chunk(session, b"x" * 2000)[:9] == "554 5.5.1"
    for _ in range(400):
        assert chunk(session, b"x" * 2000)[:9] == "503 5.5.1"
    assert chunk(session, b"x" * 2000, last=True)[:9] == "503 5.5.1"
    assert session.ask("QUIT")[:3] == "221"


@pytest.mark.parametrize("recipient", [BOB, "RCPT TO:<nobody@example.test>"])
def test_chunks_without_use_end_the_session(recipient: str) -> None:
    # S18
    session = begun(recipient)
    said = [chunk(session, b"") for _ in range(60)]
    assert said[-1] == ""
    assert any(line.startswith("421") for line in said)


def test_lmtp_answers_the_last_chunk_for_each_recipient() -> None:
    # RFC 2033 section 4.3
    session = BareSmtp("lmtp")
    session.ask("LHLO x")
    session.ask("MAIL FROM:<a@b.test>")
    session.ask(BOB)
    session.ask("RCPT TO:<alice@example.test>")
    session._lines.clear()
    session.send(b"BDAT 3\r\na: BDAT 3 LAST\r\nb\r\n")
    assert [line[:3] for line in session._lines] == [b"250"] * 3
