"""Asks the filter daemon, and never lets it stand in the way of a message.

One connection carries many questions at once; whatever goes wrong (nobody there, no
answer in time, garbage, killed in the middle) becomes an answer that says so, and the
message is delivered unfiltered (promise P13).

Wire: 4 octets big-endian length, then msgpack of [number, FilterRequest]; back comes
[number, FilterAnswer].
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import struct
from pathlib import Path

import msgspec

from mailstack.model.verdict import FilterAnswer, FilterRequest, MessageVerdict

#: A frame holds a message of 256 KiB at most; larger ones travel by path.
MAX_FRAME_OCTETS = 4 << 20
#: After a failed connection nobody tries again for this long.
RETRY_S = 0.25

_HEAD = struct.Struct(">I")
_log = logging.getLogger(__name__)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[int, FilterAnswer])


def unfiltered(why: str) -> FilterAnswer:
    """The answer when there is none."""
    return FilterAnswer(MessageVerdict(unfiltered=why))


class FilterClient:
    """One process's line to the filter daemon."""

    def __init__(self, socket_path: Path, *, budget_s: float) -> None:
        """`budget_s`: how long an answer may take."""
        self._path = socket_path
        self._budget_s = budget_s
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[FilterAnswer]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._not_before = 0.0

    async def ask(self, request: FilterRequest) -> FilterAnswer:
        """The answer, or why there is none; never raises, never longer than the budget."""
        try:
            async with asyncio.timeout(self._budget_s):
                return await self._ask(request)
        except TimeoutError:
            return unfiltered("timeout")
        except OSError as error:
            return unfiltered(f"filter down ({error.strerror or 'connection lost'})")

    async def _ask(self, request: FilterRequest) -> FilterAnswer:
        number = next(self._numbers)
        frame = _encoder.encode((number, request))
        if len(frame) > MAX_FRAME_OCTETS:
            return unfiltered("too large for the filter")
        # A filter that is killed while it works on the message is asked once more: it is
        # back within a second, and the question changes nothing.
        for last in (False, True):
            writer = await self._connected()
            answer: asyncio.Future[FilterAnswer] = asyncio.get_running_loop().create_future()
            self._waiting[number] = answer
            try:
                writer.write(_HEAD.pack(len(frame)) + frame)
                await writer.drain()
                return await answer
            except OSError:
                if last:
                    raise
            finally:
                self._waiting.pop(number, None)
        raise AssertionError("the loop returns or raises")

    async def _connected(self) -> asyncio.StreamWriter:
        async with self._connecting:
            if self._writer is not None and not self._writer.is_closing():
                return self._writer
            loop = asyncio.get_running_loop()
            if loop.time() < self._not_before:
                raise ConnectionRefusedError(111, "nobody listens")
            try:
                reader, writer = await asyncio.open_unix_connection(str(self._path))
            except OSError:
                self._not_before = loop.time() + RETRY_S
                raise
            self._writer = writer
            self._reading = loop.create_task(self._read(reader, writer))
            return writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (length,) = _HEAD.unpack(await reader.readexactly(_HEAD.size))
                if length > MAX_FRAME_OCTETS:
                    break
                number, answer = _decoder.decode(await reader.readexactly(length))
                waiting = self._waiting.get(number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        except msgspec.DecodeError as error:
            _log.error("the filter answered garbage: %s", error)
        finally:
            writer.close()
            if self._writer is writer:
                self._writer = None
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionResetError(104, "connection lost"))

    async def close(self) -> None:
        """Ends the connection."""
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        if self._writer is not None:
            self._writer.close()
            self._writer = None
