"""Frames on the filter's sockets: four octets of length, big-endian, then msgpack.

One kind of frame in each direction between smtp and filter, one between the filter's
parent and its workers.  The request and the answer inside are passed on unread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

#: A message of up to 256 KiB with its envelope; a verdict with messages that scripts changed
#: (filters/case.py, MAX_WISHES_OCTETS).
MAX_FRAME_OCTETS = 8_388_608
_HEAD_OCTETS = 4


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """smtp to filter: one message.  `budget_s`: seconds until the answer is of no use."""

    number: int
    budget_s: float
    request: msgspec.Raw


class Said(msgspec.Struct, frozen=True, array_like=True):
    """filter to smtp: the answer to `number`; `answer` is a FilterAnswer."""

    number: int
    answer: msgspec.Raw


def frame(payload: bytes) -> bytes:
    """The payload with its length in front."""
    return len(payload).to_bytes(_HEAD_OCTETS, "big") + payload


class FrameReader:
    """Cuts a stream into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete now.

        Raises:
            ValueError: a frame is longer than `MAX_FRAME_OCTETS`; the stream is of no use then.
        """
        buffer = self._buffer
        buffer += data
        found = []
        at = 0
        while len(buffer) - at >= _HEAD_OCTETS:
            length = int.from_bytes(buffer[at : at + _HEAD_OCTETS], "big")
            if length > MAX_FRAME_OCTETS:
                raise ValueError("a frame is too long")
            end = at + _HEAD_OCTETS + length
            if len(buffer) < end:
                break
            found.append(bytes(buffer[at + _HEAD_OCTETS : end]))
            at = end
        if at:
            del buffer[:at]
        return found


class FrameProtocol(asyncio.Protocol):
    """A connection that gives whole frames to a callback.

    Attributes:
        is_open: frames can be sent.
    """

    def __init__(
        self, received: Callable[[FrameProtocol, bytes], None], lost: Callable[[FrameProtocol], None]
    ) -> None:
        self._received = received
        self._lost = lost
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's has another base class
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        try:
            frames = self._reader.feed(data)
        except ValueError:
            self.abort()
            return
        for payload in frames:
            self._received(self, payload)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._lost(self)

    def send(self, payload: bytes) -> None:
        """Sends one frame; nothing when the connection is gone."""
        if self.is_open and self._transport is not None:
            self._transport.write(frame(payload))

    def close(self) -> None:
        """Ends the connection after what was sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Ends the connection now."""
        if self._transport is not None:
            self._transport.abort()
