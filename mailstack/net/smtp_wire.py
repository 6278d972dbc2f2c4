"""The octets of an SMTP connection: what came in, what goes out, and until when.

`SmtpWire` is an `aiosmtpd.smtp.SMTP` whose constructor, input, output and deadlines are
replaced; it knows lines and blocks, not SMTP.  Upstream keeps a StreamReader with a
1,001-octet limit, a write per reply, a timer per command, and cancels the handler when
the client goes away.  Here:

- Input is held as it came, up to a bound, then the client has to wait.
- Replies gather and leave in one write.
- One timer per connection is moved only when it fires too early.
- The end of the connection wakes the session and cancels nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final, cast

from aiosmtpd.smtp import SMTP

from mailstack.model.reply import Reply
from mailstack.net.listener import Peer
from mailstack.smtp import replies

#: Input held before the client is made to wait, in octets.
_HELD_OCTETS: Final = 131_072
#: Replies that leave together at most.
_BATCH: Final = 50
#: A connection we end is read on so long and so far, so that the last reply arrives.
_LINGER_S: Final = 2.0
_LINGER_OCTETS: Final = 4_194_304
_PEEK: Final = int(socket.MSG_PEEK | socket.MSG_DONTWAIT)
#: So much of what comes too early tells what kind of client it is, in octets.
_SHOWN_EARLY: Final = 16
#: The timer looks at the deadline at least so often, in seconds.
_TICK_S: Final = 60.0
NEVER: Final = float("inf")


class SmtpWire(SMTP):
    """One connection's octets.

    aiosmtpd's constructor is not called: it inspects itself and the handler for every
    connection, which costs more than a whole mail does here.
    """

    def __init__(self, peer: Peer) -> None:
        self.loop = asyncio.get_running_loop()
        self._peer = peer
        self._wire: asyncio.Transport
        self._chunks: list[bytes] = []
        self._held = 0
        self._lines: list[bytes] = []
        self._buffer = b""
        self._out: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER
        self._deadline = NEVER
        self._is_timeout = False
        self._is_read_paused = False
        self._is_write_paused = False
        self._is_dropping = False
        self._last_word: Reply | None = None
        self._has_eof = False
        self._is_lost = False

    def __del__(self) -> None:
        """aiosmtpd's would look for a future we do not have."""

    # -- what the transport calls -----------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Also called after an implicit TLS handshake; must not raise."""
        self._wire = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Holds it; `_next_line`, `_take` and the reader of messages take it."""
        self._held += len(data)
        if self._is_dropping:
            self._wake()
            return
        self._chunks.append(data)
        if self._held > _HELD_OCTETS and not self._is_read_paused:
            self._is_read_paused = True
            self._wire.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """The client says no more; it may still want our reply (not under TLS)."""
        self._has_eof = True
        self._wake()
        # asyncio's TLS transport knows nothing any more once we have closed it.
        return not (self._wire.is_closing() or self.is_encrypted)

    @property
    def is_encrypted(self) -> bool:
        """True under TLS."""
        return self._wire.get_extra_info("ssl_object") is not None

    def connection_lost(self, error: Exception | None) -> None:
        """Whatever is being delivered goes on."""
        self._is_lost = self._has_eof = True
        self._wake()

    def pause_writing(self) -> None:
        """The client does not read."""
        self._is_write_paused = True

    def resume_writing(self) -> None:
        """It does again."""
        self._is_write_paused = False
        self._wake()

    def end(self, last_word: Reply) -> None:
        """Ends the session with these words once no message is being taken."""
        self._last_word = last_word
        self._wake()

    def wake(self) -> None:
        """Lets a waiting session look at `is_stopping`."""
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- input ---------------------------------------------------------------------------

    async def _input(self, deadline: float, *, is_reading: bool = True) -> bool:
        """Waits for input, end or a change of the output; False at the deadline."""
        if self._is_lost:
            return True
        if self._is_read_paused and is_reading:
            self._is_read_paused = False
            self._wire.resume_reading()
        self._arm(deadline)
        self._waiter = self.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._deadline = NEVER
        is_timeout, self._is_timeout = self._is_timeout, False
        return not is_timeout

    async def _output(self, deadline: float) -> bool:
        """Waits until the client has read what was said; nothing is read from it meanwhile."""
        if not self._is_read_paused and not self._is_lost:
            self._is_read_paused = True
            self._wire.pause_reading()
        while self._is_write_paused and not self._is_lost:
            if not await self._input(deadline, is_reading=False):
                return False
        return True

    def _arm(self, deadline: float) -> None:
        # One timer per connection, which fires now and then and is moved on; a timer per
        # command would cost more than the command.
        self._deadline = deadline
        if self._timer is not None:
            if self._timer_at <= deadline:
                return
            self._timer.cancel()
        self._timer_at = min(deadline, self.loop.time() + _TICK_S)
        self._timer = self.loop.call_at(self._timer_at, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._deadline == NEVER:
            return
        if self.loop.time() < self._deadline - 0.001:
            self._arm(self._deadline)
        else:
            self._on_deadline()

    def _on_deadline(self) -> None:
        self._is_timeout = True
        self._wake()

    def _next_line(self) -> bytes | None:
        """A whole line without its CRLF; None when there is none yet."""
        if self._lines:
            return self._lines.pop()
        chunks = self._chunks
        if not chunks:
            return None
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        if self._buffer:
            data = self._buffer + data
        # Split at CRLF and nothing else: a bare CR or LF never ends a command.
        lines = data.split(b"\r\n")
        self._buffer = lines.pop()
        if not lines:
            return None
        lines.reverse()
        self._lines = lines
        return lines.pop()

    def _take(self, most: int) -> bytes:
        """Octets that stand behind the line taken last, at most `most`; b"" when none are held."""
        taken: list[bytes] = []
        lines = self._lines
        while lines and most:
            whole = lines.pop() + b"\r\n"
            taken.append(whole[:most])
            if len(whole) > most:
                self._put_back(whole[most:])
            most -= min(most, len(whole))
        if self._buffer and most:
            taken.append(self._buffer[:most])
            self._buffer = self._buffer[most:]
            most -= len(taken[-1])
        while self._chunks and most:
            chunk = self._chunks.pop(0)
            if len(chunk) > most:
                self._chunks.insert(0, chunk[most:])
                chunk = chunk[:most]
            taken.append(chunk)
            most -= len(chunk)
        if not self._has_pending():
            self._held = 0
        return taken[0] if len(taken) == 1 else b"".join(taken)

    def _put_back(self, rest: bytes) -> None:
        """The end of a line that was taken in part, with its LF or CRLF."""
        if rest != b"\n":
            self._lines.append(rest[:-2])
        elif self._lines:
            self._lines[-1] = b"\n" + self._lines[-1]
        else:
            self._buffer = b"\n" + self._buffer

    def _has_pending(self) -> bool:
        return bool(self._buffer or self._chunks or self._lines)

    def _early(self) -> bytes:
        """What the client said before it was greeted, at least its first octets."""
        if self._chunks:
            return self._chunks[0]
        if self.is_encrypted:
            return b""
        try:
            return self._peer.sock.recv(_SHOWN_EARLY, _PEEK)
        except OSError:
            return b""

    # -- output ---------------------------------------------------------------------------

    def _write(self, reply: Reply) -> None:
        self._out.append(replies.wire(reply))
        if len(self._out) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._is_lost:
            self._out.clear()
        elif self._out:
            self._wire.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
            self._out.clear()

    async def _linger(self, *, may_be_sending: bool) -> None:
        """Closing with unread input would reset the connection and eat the last reply."""
        self._flush()
        if not (may_be_sending or self._has_pending()) or self._has_eof or self.is_encrypted:
            return
        self._buffer = b""
        self._lines.clear()
        self._chunks.clear()
        self._held = 0
        self._is_dropping = True
        with contextlib.suppress(OSError, RuntimeError, NotImplementedError):
            self._wire.write_eof()
        deadline = self.loop.time() + _LINGER_S
        while not self._has_eof and self._held < _LINGER_OCTETS:
            if not await self._input(deadline):
                return
