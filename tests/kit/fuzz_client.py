"""Fuzz targets of what a far server says to us: replies, and whole dialogs with TLS and a login."""

from __future__ import annotations

import io
import re
import smtplib
from collections.abc import Iterable

from mailstack.model.reply import Reply
from mailstack.sasl.client import Login
from mailstack.smtp.client import ClientSession
from mailstack.smtp.client_events import (
    Done,
    OutgoingRecipient,
    Ready,
    SendBody,
    StartTls,
    TlsMode,
    Transaction,
)
from mailstack.smtp.client_reply import MAX_LINE_OCTETS, MAX_LINES, BadReply, ReplyReader, with_status

_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_RECIPIENTS = (
    OutgoingRecipient("b@y.org"),
    OutgoingRecipient("c@y.org", frozenset({"NEVER"}), "rfc822;d@z.org"),
)
_TRANSACTION = Transaction("a@x.org", _RECIPIENTS, 40, has_8bit=True, envid="e+", ret="HDRS")
_MODES: tuple[TlsMode, ...] = ("none", "opportunistic", "require")


def reply(octets: bytes) -> None:
    """Python's own client reads the same replies, however the octets come."""
    found, is_bad = _read([octets])
    assert (found, is_bad) == _read([octets[n : n + 1] for n in range(len(octets))])
    theirs = smtplib.SMTP()
    theirs.file = io.BytesIO(octets)
    for one in found:
        code, said = theirs.getreply()
        assert code == one.code
        assert [_seen(line) for line in said.split(b"\n")] == one.text.split("\n")
        plain = with_status(one)
        assert plain.code == one.code
        assert len(plain.text) <= len(one.text) <= MAX_LINES * MAX_LINE_OCTETS


def _read(blocks: Iterable[bytes]) -> tuple[list[Reply], bool]:
    reader = ReplyReader()
    found: list[Reply] = []
    for block in blocks:
        reader.receive(block)
        try:
            while (one := reader.next_reply()) is not None:
                assert 200 <= one.code <= 599
                found.append(one)
        except BadReply:
            return found, True
    return found, False


def _seen(line: bytes) -> str:
    return _UNSEEN.sub(" ", line.decode("utf-8", "replace")).strip()


def client(octets: bytes) -> None:
    """A dialog always ends, answers every recipient once, and says one line at a time.

    The first octet chooses who we are; the rest is what the server says.
    """
    kind = octets[0] if octets else 0
    session = ClientSession(
        helo="us.test",
        tls=_MODES[kind % 3],
        login=(lambda: Login("me", "secret", b"nonce", b"bound" if kind & 16 else b"")) if kind & 4 else None,
        protocol="lmtp" if kind & 8 else "smtp",
        loop_name="us.test",
    )
    messages, said = 3, 0
    for block in [octets[n : n + 1] for n in range(1, len(octets))] + [b""]:
        session.receive(block)
        while (event := session.next_event()) is not None:
            if isinstance(event, StartTls):
                session.tls_done(is_verified=bool(kind & 32))
            elif isinstance(event, SendBody):
                session.body_done()
            elif isinstance(event, Done):
                assert len(event.answers) == len(_RECIPIENTS)
            if session.is_ready and isinstance(event, Ready | Done) and messages:
                messages -= 1
                session.send(_TRANSACTION)
        for line in session.data_to_send().split(b"\r\n")[:-1]:
            assert b"\r" not in line and b"\n" not in line
            assert session.is_tls or not line.startswith(b"AUTH")
            said += 1
    assert session.closed
    # Nobody makes us say more than the answers to what was asked allow.
    assert said <= 4 * (session.replies + 2) + 12
