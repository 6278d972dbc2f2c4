"""Reading the PROXY header off an accepted socket, before TLS and before any limit."""

from __future__ import annotations

import asyncio
import socket

from mailstack.model.network import Networks
from mailstack.net.proxy_options import ProxyOptions
from mailstack.smtp.proxy import Origin, ProxyError, parse, wanted


class Proxies:
    """The proxies of one listener.  Args: `name`: of the listener in `[listen]`."""

    def __init__(self, options: ProxyOptions, name: str) -> None:
        self._options = options
        self._networks = Networks(options.networks if name in options.listeners else ())

    def __contains__(self, ip: object) -> bool:
        return ip in self._networks

    async def read(self, sock: socket.socket) -> Origin:
        """Reads the header, and nothing behind it.

        Raises:
            ProxyError: there is none, or not in time.
        """
        try:
            async with asyncio.timeout(self._options.header_wait_s):
                return await self._read(sock)
        except TimeoutError:
            raise ProxyError(f"sent no whole PROXY header in {self._options.header_wait_s:g} s") from None
        except OSError:
            raise ProxyError("went away before its PROXY header") from None

    async def _read(self, sock: socket.socket) -> Origin:
        loop = asyncio.get_running_loop()
        sock.setblocking(False)
        held = b""
        while True:
            more = await loop.sock_recv(sock, wanted(held))
            if not more:
                raise ProxyError("went away before its PROXY header")
            held += more
            found = parse(held, max_octets=self._options.header_octets)
            if found is not None:
                return found
