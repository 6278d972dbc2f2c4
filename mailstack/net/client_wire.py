"""The octets of a connection we opened: held until they are asked for, and room to write.

A protocol of our own, so that what came in clear before a TLS handshake is seen (T4, L15).
"""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

from mailstack.delivery.options import UNIX
from mailstack.delivery.remote import Host

#: Octets held for the session before the server is made to wait.
MAX_HELD_OCTETS = 131_072
HANDSHAKE_S = 30.0
#: How long the other side may take to say that it has heard the end of TLS.
SHUTDOWN_S = 5.0


class Wire(asyncio.Protocol):
    """What comes in, held until it is asked for; and room to write."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.is_over = False
        self.held = bytearray()
        self._is_paused = False
        self._heard = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.held += data
        self._heard.set()
        if len(self.held) > MAX_HELD_OCTETS and not self._is_paused and self.transport is not None:
            self._is_paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self._end()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._end()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def _end(self) -> None:
        self.is_over = True
        self._heard.set()
        self._room.set()

    @property
    def is_heard(self) -> bool:
        """There is something to read, or never will be."""
        return bool(self.held) or self.is_over

    @property
    def has_room(self) -> bool:
        """`drain` would return at once."""
        return self._room.is_set()

    def read(self) -> bytes:
        """What was heard; b"" for ever when there is no more."""
        data = bytes(self.held)
        self.held.clear()
        if self._is_paused and self.transport is not None and not self.is_over:
            self._is_paused = False
            self.transport.resume_reading()
        return data

    async def wait(self) -> None:
        """Returns when something is heard."""
        while not self.is_heard:
            self._heard.clear()
            await self._heard.wait()

    async def drain(self) -> None:
        """Returns when there is room to write, or nobody to write to."""
        await self._room.wait()

    def close(self, last: bytes = b"", *, is_deaf: bool = False) -> None:
        """Closes, with some last words if there is somebody to take them.

        Args:
            is_deaf: the other side neither reads nor answers; waiting for it would be for ever.
        """
        if self.transport is None:
            return
        if is_deaf or self.transport.get_write_buffer_size():
            self.transport.abort()
            return
        if last and not self.is_over:
            self.transport.write(last)
        self.transport.close()

    def address(self, end: str) -> str:
        """The IP address of one end, "sockname" or "peername"; "" where there is none."""
        found = self.transport.get_extra_info(end) if self.transport is not None else None
        return str(found[0]) if isinstance(found, tuple) else ""

    async def start_tls(self, context: ssl.SSLContext, name: str) -> bool:
        """The handshake; False when the connection broke.

        Raises:
            OSError, TimeoutError: it failed.
        """
        assert self.transport is not None
        transport = await asyncio.get_running_loop().start_tls(
            self.transport,
            self,
            context,
            server_hostname=name,
            ssl_handshake_timeout=HANDSHAKE_S,
            ssl_shutdown_timeout=SHUTDOWN_S,
        )
        if transport is None:
            return False
        self.transport = transport
        return True


async def open_wire(host: Host, source: str) -> Wire:
    """Connects.

    Args:
        source: our address; "": the system chooses.

    Raises:
        OSError: no connection.
    """
    loop, wire = asyncio.get_running_loop(), Wire()
    if host.ip.startswith(UNIX):
        await loop.create_unix_connection(lambda: wire, host.ip.removeprefix(UNIX))
    else:
        await loop.create_connection(
            lambda: wire, host.ip, host.port, local_addr=(source, 0) if source else None
        )
    return wire
