"""Drives an SMTP session without sockets, loop or clock: its shell, for tests and dialogs."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from mailstack.model.envelope import Body, Client
from mailstack.model.reply import Reply
from mailstack.net.smtp_sessions import make_session
from mailstack.sasl import exchange
from mailstack.smtp.chunks import ChunkReader
from mailstack.smtp.data import DotReader
from mailstack.smtp.events import (
    AskLogin,
    AskRecipient,
    AskSender,
    BeginData,
    BeginTls,
    Event,
    ReadChunk,
    Say,
)
from mailstack.smtp.lmtp import LmtpSession
from mailstack.smtp.options import SmtpOptions
from mailstack.smtp.policy import headers
from mailstack.smtp.setting import Setting
from mailstack.smtp.text import Text
from tests.kit.smtp_acceptor import FakeAcceptor


def at_once(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("the fake acceptor waited")


class BareSmtp:
    """`send` octets, read `line()`; a peer for dialogs.

    Attributes:
        says: everything the session said, with delays and refusals.
    """

    def __init__(
        self,
        name: str = "mx",
        *,
        tls: str = "",
        starttls: bool = True,
        acceptor: FakeAcceptor | None = None,
        offer: exchange.Offer = exchange.PASSWORDS,
        **options: object,
    ) -> None:
        self.acceptor = acceptor or FakeAcceptor()
        self.options = SmtpOptions(**options)  # type: ignore[arg-type]
        secure = tls or ("TLSv1.3 X" if name == "submissions" else "")
        setting = Setting(
            "mx.example.test",
            self.options,
            starttls=starttls and name != "submissions",
            is_submission=name.startswith("submission"),
        )
        client = Client("192.0.2.7", 4711, tls=secure, listener=name)
        self.session = make_session(setting, client, self.acceptor, offer=lambda: offer)
        self.says: list[Say] = []
        self._one_from = name == "mx"
        self._input = b""
        self._lines: list[bytes] = []
        self._reader: DotReader | None = None
        self._chunks: ChunkReader | None = None
        self._chunk: ReadChunk | None = None
        self._left = 0
        self._closed = False
        self._reply(self.session.greeting())

    # -- as a dialog's peer --------------------------------------------------------------

    def send(self, data: bytes, /) -> None:
        """Octets for the server."""
        self._input += data
        while not self._closed and self._step():
            pass

    def line(self) -> bytes | None:
        """The next line without CRLF."""
        return self._lines.pop(0) if self._lines else None

    def is_closed(self) -> bool:
        """True when the session has ended."""
        return self._closed and not self._lines

    def close(self) -> None:
        """Hangs up."""
        self._closed = True

    def ask(self, line: bytes | str) -> str:
        """One command, one reply (its last line)."""
        self._lines.clear()
        self.send((line.encode() if isinstance(line, str) else line) + b"\r\n")
        said, self._lines = self._lines, []
        return said[-1].decode() if said else ""

    # -- the shell ---------------------------------------------------------------------------

    def _step(self) -> bool:
        if self._reader is not None:
            return self._data()
        if self._chunk is not None:
            return self._read_chunk(self._chunk)
        session = self.session
        line, crlf, rest = self._input.partition(b"\r\n")
        if len(line) > session.line_limit(line):
            self._say(session.line_too_long(line))
            return True
        if not crlf:
            if self._input and session.is_foreign(self._input):
                self._say(session.spoke_tls())
            return False
        self._input = rest
        self._answer(session.receive(line))
        return True

    def _answer(self, event: Event) -> None:
        session, acceptor = self.session, self.acceptor
        match event:
            case Say():
                self._say(event)
            case AskSender():
                refusal = at_once(acceptor.check_sender(session.client, event.account, event.mail))
                self._say(session.sender_answered(refusal))
            case AskRecipient():
                asked = acceptor.check_recipient(session.client, event.account, event.sender, event.recipient)
                self._say(session.recipient_answered(at_once(asked)))
            case AskLogin():
                given = event.credentials
                answer = at_once(acceptor.authenticate(session.client, given, event.mechanism))
                self._say(session.login_answered(answer))
            case BeginTls():
                if self._input:
                    self._say(session.spoke_early())
                else:
                    self._reply(event.reply)
                    session.tls_started("TLSv1.3 X")
            case BeginData():
                if self._input:
                    self._say(session.spoke_early())
                else:
                    self._reply(event.reply)
                    self._reader = DotReader(
                        max_octets=event.max_octets, max_line_octets=self.options.line_octets
                    )
            case ReadChunk():
                self._chunk, self._left = event, event.octets
                if event.is_first:
                    self._chunks = ChunkReader(
                        max_octets=event.max_octets,
                        max_line_octets=self.options.line_octets,
                        is_binary=event.is_binary,
                    )

    def _read_chunk(self, event: ReadChunk) -> bool:
        block, self._input = self._input[: self._left], self._input[self._left :]
        self._left -= len(block)
        if event.refusal is None and self._chunks is not None:
            self._chunks.feed(block)
        if self._left:
            return False
        self._chunk = None
        if event.refusal is not None:
            self._say(event.refusal)
        elif not event.is_last:
            self._say(self.session.chunk_taken(event.octets))
        else:
            assert self._chunks is not None
            self._chunks.end()
            self._end(self._chunks)
        return True

    def _data(self) -> bool:
        reader, self._input, block = self._reader, b"", self._input
        assert reader is not None
        rest = reader.feed(block)
        if rest is None:
            return False
        self._reader, self._input = None, rest
        self._end(reader)
        return True

    def _end(self, reader: Text) -> None:
        message = reader.take()
        refusal = reader.fault() or headers.check(message, self.options, one_from=self._one_from)
        if refusal is None:
            envelope = self.session.envelope(self.acceptor.new_id(), self.acceptor.now())
            body = Body(message, "", len(message))
            if isinstance(self.session, LmtpSession):
                self._say(self.session.each_ended(at_once(self.acceptor.accept_each(envelope, body))))
                return
            refusal = at_once(self.acceptor.accept(envelope, body, self.session.account))
        self._say(self.session.message_ended(refusal))

    def _say(self, say: Say) -> None:
        if say.is_last and self._input:
            say = self.session.spoke_early()
        self.says.append(say)
        for reply in say.before:
            self._reply(reply)
        self._reply(say.reply)
        if say.then is not None:
            self._reply(say.then)
        self._closed = self._closed or say.close

    def _reply(self, reply: Reply) -> None:
        self._lines += reply.to_bytes().split(b"\r\n")[:-1]
