"""Accepting connections: our own loop, limits first, TLS context chosen per address.

`asyncio.start_server` is not used: it spins when descriptors run out, cannot choose a
TLS context by the peer's address, and accepts without asking.  Here a connection is
counted before anything is made for it, an implicit-TLS connection never has a clear
text phase (`connect_accepted_socket(ssl=...)`), and one task serves it from the
accept to the close:

    listener = Listener(sock, factory, admission=Admission(caps), tls=contexts.for_ip)
    listener.start()
    ...
    listener.stop()                    # accepts no more; running connections go on
    await listener.finish(grace_s)     # waits for them

Several processes may share the socket; who loses the race for a connection goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Final, Protocol, cast

from mailstack.model.network import network_of, unmap
from mailstack.net.counts import Counts, LocalCounts, Prefixed
from mailstack.net.handshake import explain_handshake
from mailstack.net.proxy_wire import Proxies
from mailstack.net.rates import Rates
from mailstack.smtp.proxy import ProxyError

#: A worker that took a connection leaves the next to others for so long, in seconds.
_SHARE_S: Final = 0.001
#: Pause when descriptors or memory ran out, in seconds.
_EXHAUSTED_S: Final = 1.0
#: At most one line about that in this many seconds.
_COMPLAIN_S: Final = 60.0
#: Pause before a connection above the total is taken and refused: another worker may have room.
_FULL_S: Final = 0.2
#: Addresses whose networks are remembered.
_KEYS: Final = 10_000
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


@dataclass(frozen=True, slots=True)
class Peer:
    """Who connected, and where.

    Attributes:
        ip: textual, v4-mapped unmapped; "" for a Unix socket.
        sock: the accepted socket; owned by the transport, only to be peeked at.
        listener: name of the listener.
    """

    ip: str
    port: int
    sock: socket.socket
    listener: str


class Connection(Protocol):
    """What a factory makes: an asyncio protocol with its whole life in `run`.

    `connection_made` must not raise (uvloop would wait for ever), and a transport is
    no instance of `asyncio.Transport` under uvloop: cast it.
    """

    async def run(self) -> None:
        """Serves the connection; called once it is made (after TLS); returns when it is over."""
        ...


@dataclass(frozen=True, slots=True)
class ConnectionCaps:
    """How many connections; None: no limit; 0: none at all.

    Attributes:
        total: in this process.
        per_ip, per_network, per_wide_network: one address; IPv4 /24 or IPv6 /64; IPv6 /48;
            in all processes that share the counts.
        per_minute: new connections of one IPv4 address or IPv6 /64 a minute in the long run, `burst` at once.
    """

    total: int | None = None
    per_ip: int | None = None
    per_network: int | None = None
    per_wide_network: int | None = None
    per_minute: int | None = None
    burst: int = 100


class Admission:
    """Counts connections; may be shared by several listeners.  One event loop only."""

    def __init__(
        self,
        caps: ConnectionCaps,
        *,
        now: Callable[[], float] = time.monotonic,
        counts: Counts | None = None,
        exempt: Container[str] = (),
    ) -> None:
        """`counts`: where connections are counted; `exempt`: addresses only the total counts."""
        self._caps = caps
        self._counts = counts if counts is not None else LocalCounts()
        self._rates = None
        if caps.per_minute is not None:
            self._rates = Rates(
                Prefixed(self._counts, "rate "), per_minute=caps.per_minute, burst=caps.burst, now=now
            )
        self._exempt = exempt
        self._known_keys: dict[str, list[tuple[str, int, str]]] = {}
        self.total = 0

    @property
    def is_full(self) -> bool:
        """True when the total is reached."""
        return self._caps.total is not None and self.total >= self._caps.total

    def share_used(self) -> float:
        """Total in use, 0 to 1; 0 without a limit."""
        return self.total / self._caps.total if self._caps.total else 0.0

    def admit(self, ip: str) -> str:
        """Counts a connection of `ip` in; "" or why it is refused."""
        if self.is_full:
            return "too many connections"
        if ip and ip not in self._exempt:
            if self._rates is not None and not self._rates.allows(network_of(ip, 32, 64)):
                return "too many new connections from your address"
            whom = self._count(ip)
            if whom:
                self._counts.reap()  # of workers that died
                whom = self._count(ip)
            if whom:
                return f"too many connections from your {whom}"
        self.total += 1
        return ""

    def _count(self, ip: str) -> str:
        """Counts a connection in; "" or whose limit is passed, and nothing is counted."""
        keys = self._keys(ip)
        for number, (key, limit, whom) in enumerate(keys):
            # First counted, then compared: two workers at once never let in one too many.
            if self._counts.add(key, 1) > limit:
                for counted, _, _ in keys[: number + 1]:
                    self._counts.add(counted, -1)
                return whom
        return ""

    def release(self, ip: str) -> None:
        """Gives back what `admit` counted."""
        self.total -= 1
        for key, _, _ in self._keys(ip) if ip and ip not in self._exempt else ():
            self._counts.add(key, -1)

    def _keys(self, ip: str) -> list[tuple[str, int, str]]:
        known = self._known_keys.get(ip)
        if known is None:
            if len(self._known_keys) >= _KEYS:
                self._known_keys.clear()
            known = self._known_keys[ip] = self._make_keys(ip)
        return known

    def _make_keys(self, ip: str) -> list[tuple[str, int, str]]:
        caps = self._caps
        keys = []
        if caps.per_ip is not None:
            keys.append((ip, caps.per_ip, "address"))
        if caps.per_network is not None:
            keys.append((network_of(ip, 24, 64), caps.per_network, "network"))
        if caps.per_wide_network is not None and ":" in ip:
            keys.append((network_of(ip, 24, 48), caps.per_wide_network, "network"))
        return keys


class Watcher:
    """What a listener reports; override what you need.  Calls must not block."""

    def refused(self, peer: Peer, why: str) -> bytes:
        """A connection above a limit; gives what to tell it (plain listeners only)."""
        return b""

    def handshake_failed(self, peer: Peer, why: str) -> None:
        """TLS did not come about; `why` in words."""

    def proxy_failed(self, proxy: Peer, why: str) -> None:
        """A listed proxy did not say for whom it speaks."""

    def exhausted(self, listener: str, why: str) -> None:
        """Descriptors or memory ran out; at most once a minute."""

    def crashed(self, peer: Peer, error: BaseException) -> None:
        """`run` raised: a mistake of ours."""


class Listener:
    """One listening socket.

    Args:
        sock: bound and listening; becomes non-blocking.  Closed by `close()`.
        factory: makes the connection of an admitted peer.
        name: for `Peer.listener`.
        tls: gives the context for an address (implicit TLS); None: plain.
        handshake_s: seconds a handshake may take now.
        proxies: who must say for whom it connects; everything below sees that client.
    """

    def __init__(
        self,
        sock: socket.socket,
        factory: Callable[[Peer], Connection],
        *,
        name: str = "",
        admission: Admission | None = None,
        tls: Callable[[str], ssl.SSLContext] | None = None,
        watcher: Watcher | None = None,
        handshake_s: Callable[[], float] = lambda: 30.0,
        proxies: Proxies | None = None,
    ) -> None:
        self._sock = sock
        self._factory = factory
        self._name = name
        self.admission = admission if admission is not None else Admission(ConnectionCaps())
        self._tls = tls
        self._watcher = watcher if watcher is not None else Watcher()
        self._handshake_s = handshake_s
        self._proxies = proxies
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._resume: asyncio.TimerHandle | None = None
        self._complained_at = -_COMPLAIN_S
        self._refuse_now = False

    def start(self) -> None:
        """Accepts from now on; call it inside the running loop."""
        self._loop = asyncio.get_running_loop()
        self._sock.setblocking(False)
        if self._sock.family in (socket.AF_INET, socket.AF_INET6):
            # Accepted sockets inherit both (Linux): no 40 ms waits, no dead peers for ever.
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._loop.add_reader(self._sock.fileno(), self._accept)

    def stop(self) -> None:
        """Accepts no more; what is connected goes on."""
        if self._loop is None:
            return
        self._loop.remove_reader(self._sock.fileno())
        if self._resume is not None:
            self._resume.cancel()
        self._loop = None

    def close(self) -> None:
        """stop(), and closes the socket."""
        self.stop()
        self._sock.close()

    @property
    def connections(self) -> int:
        """Connections being served, also those in their TLS handshake."""
        return len(self._tasks)

    async def finish(self, grace_s: float) -> int:
        """Waits until all connections are over, then cuts the rest; gives how many were cut."""
        tasks = set(self._tasks)
        if not tasks:
            return 0
        _, late = await asyncio.wait(tasks, timeout=grace_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1.0)
        return len(late)

    # -- accepting --------------------------------------------------------------

    def _accept(self) -> None:
        if self.admission.is_full and not self._refuse_now:
            self._pause(_FULL_S, refuse=True)
            return
        self._refuse_now = False
        try:
            sock, address = self._sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            self._failed(error)
            return
        self._accepted(sock, address)
        # Whoever takes one lets the others go first for the next, or a burst of
        # connections would all end in one worker while another has nothing to do.
        self._pause(_SHARE_S, refuse=False)

    def _accepted(self, sock: socket.socket, address: object) -> None:
        ip, port = (unmap(address[0]), address[1]) if isinstance(address, tuple) else ("", 0)
        peer = Peer(ip, port, sock, self._name)
        is_proxy = self._proxies is not None and ip in self._proxies
        why = self.admission.admit("" if is_proxy else ip)
        if why:
            self._refuse(peer, why)
            return
        assert self._loop is not None
        task = self._loop.create_task(self._serve_behind(peer) if is_proxy else self._serve(peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _refuse(self, peer: Peer, why: str) -> None:
        text = self._watcher.refused(peer, why)
        with contextlib.suppress(OSError):
            peer.sock.setblocking(False)
            if text and self._tls is None:
                peer.sock.send(text)
                peer.sock.shutdown(socket.SHUT_WR)
        peer.sock.close()

    def _failed(self, error: OSError) -> None:
        # Left alone, a level-triggered loop would try again at once, for ever.
        if error.errno not in _EXHAUSTED:
            self._pause(_FULL_S, refuse=False)
            return
        now = time.monotonic()
        if now - self._complained_at >= _COMPLAIN_S:
            self._complained_at = now
            self._watcher.exhausted(self._name, error.strerror or str(error))
        self._pause(_EXHAUSTED_S, refuse=False)

    def _pause(self, seconds: float, *, refuse: bool) -> None:
        assert self._loop is not None
        self._loop.remove_reader(self._sock.fileno())
        self._resume = self._loop.call_later(seconds, self._go_on, refuse)

    def _go_on(self, refuse: bool) -> None:
        if self._loop is not None:
            self._refuse_now = refuse
            self._loop.add_reader(self._sock.fileno(), self._accept)

    # -- one connection ------------------------------------------------------------

    async def _serve_behind(self, proxy: Peer) -> None:
        """Finds out who is behind the proxy; from then on it is as if that client had connected."""
        assert self._proxies is not None
        try:
            origin = await self._proxies.read(proxy.sock)
        except (asyncio.CancelledError, ProxyError) as error:
            if isinstance(error, ProxyError):
                self._watcher.proxy_failed(proxy, error.why)
            proxy.sock.close()
            return
        finally:
            self.admission.release("")
        peer = Peer(origin.ip, origin.port, proxy.sock, proxy.listener) if origin.ip else proxy
        why = self.admission.admit(peer.ip)
        if why:
            self._refuse(peer, why)
        else:
            await self._serve(peer)

    async def _serve(self, peer: Peer) -> None:
        transport: asyncio.BaseTransport | None = None
        connection: Connection | None = None
        try:
            connection = self._factory(peer)
            if self._tls is None:
                protocol = cast(asyncio.BaseProtocol, connection)
                transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: protocol, peer.sock
                )
            else:
                transport = await self._encrypt(peer, connection)
            if transport is not None:
                await connection.run()
        except asyncio.CancelledError:
            pass  # finish() has waited long enough
        except Exception as error:  # a session that broke must not take the listener with it
            self._watcher.crashed(peer, error)
        finally:
            self.admission.release(peer.ip)
            if transport is not None:
                transport.close()
            elif connection is None:
                peer.sock.close()

    async def _encrypt(self, peer: Peer, connection: Connection) -> asyncio.BaseTransport | None:
        assert self._tls is not None
        protocol, context = cast(asyncio.BaseProtocol, connection), self._tls(peer.ip)
        try:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol,
                peer.sock,
                ssl=context,
                ssl_handshake_timeout=self._handshake_s(),
                ssl_shutdown_timeout=5.0,
            )
        except (TimeoutError, OSError) as error:
            self._watcher.handshake_failed(peer, explain_handshake(error, context))
            return None
        return transport
