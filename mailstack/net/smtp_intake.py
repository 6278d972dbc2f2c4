"""Messages come in: up to the lone dot, or chunk by chunk, each with a deadline.

A client must bring a message at a rate, not only an octet now and then (S16).  What is
refused is read all the same and thrown away, so that the next command is where the
client means it to be.

Standards: RFC 5321 section 4.5.3.2.5 (waits), RFC 3030 section 2 (chunks).
"""

from __future__ import annotations

from typing import Final

from mailstack.net.listener import Peer
from mailstack.net.smtp_body import Incoming
from mailstack.net.smtp_wire import NEVER, SmtpWire
from mailstack.smtp import replies
from mailstack.smtp.events import Refusal, Say
from mailstack.smtp.options import SmtpOptions

#: The client is not there any more: nothing is said.
GONE: Final = Say(replies.BYE, close=True)


class SmtpIntake(SmtpWire):
    """A connection that messages come through."""

    def __init__(self, peer: Peer, options: SmtpOptions) -> None:
        super().__init__(peer)
        self._options = options
        self._session_end = NEVER

    async def _read_to_dot(self, message: Incoming, *, wait_s: float) -> Say | None:
        """Reads to the lone dot; a Say when there is no message: gone, or too slow."""
        started_at, octets = self.loop.time(), 0
        while True:
            chunks, self._chunks, self._held = self._chunks, [], 0
            for n, chunk in enumerate(chunks):
                octets += len(chunk)
                rest = message.feed(chunk)
                if rest is not None:
                    self._chunks = [rest, *chunks[n + 1 :], *self._chunks] if rest else chunks[n + 1 :]
                    return None
            if message.must_spill:
                await message.spill()
            if self._chunks:
                continue
            said = await self._wait_for_octets(started_at, octets, wait_s, self._session_end)
            if said is not None:
                return said

    async def _read_octets(
        self, count: int, message: Incoming | None, *, wait_s: float, latest: float
    ) -> Say | None:
        """Reads a chunk; a Say when it does not come.

        Args:
            message: takes the octets; None: nobody.
            latest: when it must be there, by the loop's clock.
        """
        started_at, left = self.loop.time(), count
        while True:
            block = self._take(left)
            left -= len(block)
            if message is not None and block:
                message.feed(block)
                if message.must_spill:
                    await message.spill()
            if not left:
                return None
            if self._chunks:
                continue
            self._flush()  # the answers to what stood before the chunk
            said = await self._wait_for_octets(started_at, count - left, wait_s, latest)
            if said is not None:
                return said

    async def _wait_for_octets(
        self, started_at: float, octets: int, wait_s: float, latest: float
    ) -> Say | None:
        if self._has_eof:
            return GONE  # S14: nothing of it stays
        now = self.loop.time()
        # S16: after the first wait, a client must have brought its octets a second.
        due = started_at + wait_s + octets / max(1, self._options.data_octets_per_s)
        deadline = min(now + wait_s, due, latest)
        if await self._input(deadline):
            return None
        slow = replies.TOO_SLOW if deadline < now + wait_s else replies.TIMEOUT
        return Say(slow, close=True, refusal=Refusal("data", "too_slow"))
