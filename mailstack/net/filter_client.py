"""smtp's side of the filter socket: one connection, many messages at a time, no exceptions.

A filter that is down, late or killed is an answer too: "unfiltered", and the message is
delivered marked (architecture, section 2).  A broken connection is made again at the
next message; a short pause keeps a dead filter from costing time.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import msgspec

from mailstack.model.verdict import FilterAnswer, FilterRequest, MessageVerdict
from mailstack.net.filter_wire import MAX_FRAME_OCTETS, Ask, FrameProtocol, Said

#: Connecting to a Unix socket takes microseconds, unless its backlog is full.
CONNECT_S = 2.0
#: A filter that was there a moment ago is being restarted: it is waited for this long.
RESTART_S = 2.0
RETRY_S = 0.05
#: After a failure nobody tries again for this long: each message would wait.
PAUSE_S = 0.2
#: The filter answers a little before our patience ends, so that its own word counts.
GRACE_S = 0.5

_encode = msgspec.msgpack.Encoder().encode
_said = msgspec.msgpack.Decoder(Said)
_answer = msgspec.msgpack.Decoder(FilterAnswer)


def unfiltered(why: str) -> FilterAnswer:
    """The answer when no filter ran."""
    return FilterAnswer(MessageVerdict(unfiltered=why))


class FilterClient:
    """Asks the filter daemon.  Belongs to one event loop."""

    def __init__(self, socket_path: Path | str, *, budget_s: float = 10.0) -> None:
        """`budget_s`: seconds one message may take in all."""
        self._path = str(socket_path)
        self._budget_s = budget_s
        self._connection: FrameProtocol | None = None
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._next = 0
        self._connecting: asyncio.Lock | None = None
        self._not_before = 0.0
        self._lost_at = float("-inf")
        self._is_closed = False

    async def ask(self, request: FilterRequest) -> FilterAnswer:
        """The filter's answer; never raises but when it is cancelled."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._budget_s + GRACE_S
        try:
            try:
                return await self._ask(request, until)
            except _Gone:
                # The parent reads nothing of a message, so no message can have killed it.
                return await self._ask(request, until)
        except TimeoutError:
            return unfiltered("timeout")
        except _Unavailable as error:
            return unfiltered(str(error))

    async def _ask(self, request: FilterRequest, until: float) -> FilterAnswer:
        """Raises TimeoutError at `until`, by the loop's clock."""
        connection = self._connection
        if connection is None or not connection.is_open:
            async with asyncio.timeout_at(until):
                connection = await self._connect()
        self._next += 1
        number = self._next
        payload = _encode(Ask(number, self._budget_s, msgspec.Raw(_encode(request))))
        if len(payload) > MAX_FRAME_OCTETS:
            raise _Unavailable("too large")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[msgspec.Raw] = loop.create_future()
        self._waiting[number] = future
        # A timer that ends the future costs a third of a scope with a deadline.
        timer = loop.call_at(until, _end, future)
        try:
            connection.send(payload)
            raw = await future
        finally:
            timer.cancel()
            del self._waiting[number]
        try:
            return _answer.decode(raw)
        except msgspec.MsgspecError:
            raise _Unavailable("garbage from the filter") from None

    async def _connect(self) -> FrameProtocol:
        if self._connection is not None and self._connection.is_open:
            return self._connection
        if self._connecting is None:
            self._connecting = asyncio.Lock()
        async with self._connecting:
            if self._connection is not None and self._connection.is_open:
                return self._connection
            loop = asyncio.get_running_loop()
            if self._is_closed or loop.time() < self._not_before:
                raise _Unavailable("filter down")
            while True:
                try:
                    async with asyncio.timeout(CONNECT_S):
                        _, self._connection = await loop.create_unix_connection(
                            lambda: FrameProtocol(self._received, self._lost), self._path
                        )
                    return self._connection
                except (OSError, TimeoutError):
                    if loop.time() - self._lost_at > RESTART_S:
                        self._not_before = loop.time() + PAUSE_S
                        raise _Unavailable("filter down") from None
                await asyncio.sleep(RETRY_S)

    def _received(self, connection: FrameProtocol, payload: bytes) -> None:
        try:
            said = _said.decode(payload)
        except msgspec.MsgspecError:
            connection.abort()
            return
        future = self._waiting.get(said.number)
        if future is not None and not future.done():
            future.set_result(said.answer)

    def _lost(self, connection: FrameProtocol) -> None:
        if connection is not self._connection:
            return
        self._connection = None
        self._lost_at = asyncio.get_running_loop().time()
        gone = _Unavailable if self._is_closed else _Gone
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(gone("filter gone"))

    async def close(self) -> None:
        """Ends the connection; messages that still wait are answered "filter gone"."""
        self._is_closed = True
        if self._connection is not None:
            self._connection.close()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)


def _end(future: asyncio.Future[msgspec.Raw]) -> None:
    if not future.done():
        future.set_exception(TimeoutError())


class _Unavailable(Exception):
    """No filter; `str()` is the word for the verdict."""


class _Gone(_Unavailable):
    """The filter has died with our message in its hands."""
