"""SMTP sessions: any octets give valid replies; how they are cut changes nothing."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tests.kit.bare_smtp import BareSmtp
from tests.kit.fuzzing import FUZZ

PIECES = st.sampled_from(
    [
        b"EHLO x\r\n",
        b"HELO x\r\n",
        b"LHLO x\r\n",
        b"MAIL FROM:<a@b.test>\r\n",
        b"MAIL FROM:<> SIZE=10 BODY=8BITMIME\r\n",
        b"RCPT TO:<bob@example.test>\r\n",
        b"RCPT TO:<any@example.test> NOTIFY=NEVER\r\n",
        b"DATA\r\n",
        b"a: b\r\n\r\n.\r\n",
        b"MAIL FROM:<a@b.test> BODY=BINARYMIME SMTPUTF8 RET=HDRS ENVID=x\r\n",
        "RCPT TO:<any@example.test> ORCPT=utf-8;\u00f6\r\n".encode(),
        b"BDAT 3\r\n",
        b"BDAT 2 LAST\r\n",
        b"BDAT x\r\n",
        b"RSET\r\n",
        b"AUTH LOGIN\r\n",
        b"AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABhJDEgZ2VoZWlt\r\n",
        b"STARTTLS\r\n",
        b"QUIT\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b"\0",
        b".",
        b" ",
        b"<",
        b">",
        b'"',
        b"=",
        b"@",
        b"x" * 1000,
    ]
)
LINES = st.lists(st.one_of(PIECES, PIECES, st.binary(max_size=12)), max_size=30)
REPLY = re.compile(rb"(?:[2345]\d\d(?:-| (?:[245]\.\d{1,3}\.\d{1,3} )?)[\x20-\x7e]*)\Z")


def run(name: str, blocks: list[bytes]) -> tuple[list[bytes], int, bool]:
    session = BareSmtp(name, memory_octets=10_000)
    for block in blocks:
        session.send(block)
    return session._lines, len(session.acceptor.taken), session._closed


@FUZZ
@given(st.sampled_from(["mx", "submission", "submissions", "lmtp"]), LINES)
def test_any_octets_give_valid_replies(name: str, pieces: list[bytes]) -> None:
    lines, _, _ = run(name, pieces)
    for line in lines:
        assert REPLY.match(line), line
        assert len(line) <= 510
        # RFC 2034 section 4: the class of the status is that of the code.
        status = line[4:6]
        assert status[1:] != b"." or not status[:1].isdigit() or status[:1] == line[:1]


@FUZZ
@given(st.sampled_from(["mx", "submissions", "lmtp"]), LINES, st.integers(2, 40))
def test_cutting_changes_nothing_but_who_spoke_early(name: str, pieces: list[bytes], size: int) -> None:
    # Octets that arrive before our answer are an offence, those that arrive after it are not:
    # so whole lines are kept apart here, and cut inside.
    wire = b"".join(pieces)
    lines = [line + b"\r\n" for line in wire.split(b"\r\n")][:-1]
    whole = run(name, lines)
    single = run(name, [line[at : at + 1] for line in lines for at in range(len(line))])
    cut = run(name, [line[at : at + size] for line in lines for at in range(0, len(line), size)])
    assert single == cut == whole
