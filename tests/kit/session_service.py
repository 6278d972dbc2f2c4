"""What the servers of IMAP and POP3 in this process have in common, for tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mailstack.net.listener import Listener, Peer, Watcher
from mailstack.net.session_hub import SessionHub


class SessionService(Watcher):
    """A server on loopback ports.

    Attributes:
        crashes: exceptions that left a session: mistakes of ours.
        published: account and folder of what was announced.
        stamp: what the directory says an account is like now.
    """

    hub: SessionHub[Any]
    _listeners: Sequence[Listener]

    def __init__(self) -> None:
        self.crashes: list[BaseException] = []
        self.published: list[tuple[str, str]] = []
        self.stamp = "one"
        self.threads = ThreadPoolExecutor(4)

    def crashed(self, peer: Peer, error: BaseException) -> None:
        self.crashes.append(error)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serves; at the end no session may have broken."""
        self.start()
        try:
            yield
        finally:
            await self.stop()
        assert not self.crashes, self.crashes

    def start(self) -> None:
        """Accepts from now on."""
        self.hub.start()
        for listener in self._listeners:
            listener.start()

    async def stop(self) -> None:
        """Ends everything."""
        for listener in self._listeners:
            listener.stop()
        self.hub.end_all("The server is shutting down")
        await asyncio.gather(*(listener.finish(2) for listener in self._listeners))
        await self.hub.stop()
        for listener in self._listeners:
            listener.close()
        self.threads.shutdown()
