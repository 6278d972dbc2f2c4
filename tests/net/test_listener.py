"""The accept loop: limits, TLS, exhaustion, several loops."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from mailstack.net import rates
from mailstack.net.listener import Admission, ConnectionCaps, Listener, Peer, Watcher
from mailstack.net.tls import TlsContexts
from mailstack.net.tls_options import TlsOptions
from tests.kit import certificates
from tests.kit.loops import both_loops, until


class Echo(asyncio.Protocol):
    """Greets, echoes, ends at EOF."""

    def __init__(self) -> None:
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop transports are no subclass
        self.transport.write(b"hello\n")

    def data_received(self, data: bytes) -> None:
        if data == b"crash":
            self.over.set_exception(RuntimeError("boom"))
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)

    async def run(self) -> None:
        await self.over


class Notes(Watcher):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def refused(self, peer: Peer, why: str) -> bytes:
        self.lines.append(f"refused {peer.ip} {why}")
        return b"421 " + why.encode() + b"\r\n"

    def handshake_failed(self, peer: Peer, why: str) -> None:
        self.lines.append(f"handshake {why}")

    def exhausted(self, listener: str, why: str) -> None:
        self.lines.append(f"exhausted {why}")

    def crashed(self, peer: Peer, error: BaseException) -> None:
        self.lines.append(f"crashed {error}")


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def serve(
    sock: socket.socket,
    caps: ConnectionCaps | None = None,
    tls: Callable[[str], ssl.SSLContext] | None = None,
) -> tuple[Listener, Notes]:
    notes = Notes()
    listener = Listener(
        sock,
        lambda peer: Echo(),
        name="test",
        admission=Admission(caps or ConnectionCaps()),
        watcher=notes,
        tls=tls,
        handshake_s=lambda: 0.3,
    )
    listener.start()
    return listener, notes


async def connect(sock: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*sock.getsockname())


async def leave(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.close()
        try:
            await writer.wait_closed()
        except OSError:
            pass


@both_loops
async def test_a_connection_is_served_and_its_slot_given_back(sock: socket.socket) -> None:
    listener, notes = serve(sock)
    reader, writer = await connect(sock)
    assert await reader.readline() == b"hello\n"
    writer.write(b"x\n")
    assert await reader.readline() == b"x\n"
    assert (listener.connections, listener.admission.total) == (1, 1)
    await leave(writer)
    await until(lambda: listener.connections == 0)
    assert listener.admission.total == 0
    assert notes.lines == []
    listener.stop()


@pytest.mark.parametrize(
    ("caps", "why"),
    [
        (ConnectionCaps(per_ip=2), "address"),
        (ConnectionCaps(per_network=2), "network"),
        (ConnectionCaps(total=2), "too many connections"),
        (ConnectionCaps(per_minute=1, burst=2), "too many new connections"),
    ],
    ids=str,
)
@both_loops
async def test_the_third_connection_is_refused_in_words_at_a_limit_of_two(
    sock: socket.socket, caps: ConnectionCaps, why: str
) -> None:
    listener, _ = serve(sock, caps)
    first, second = [await connect(sock) for _ in range(2)]
    assert await first[0].readline() == b"hello\n"
    assert await second[0].readline() == b"hello\n"
    reader, writer = await connect(sock)
    line = await reader.readline()
    assert line.startswith(b"421 ")
    assert why in line.decode()
    assert await reader.read() == b""
    await leave(first[1], second[1], writer)
    await until(lambda: listener.connections == 0)
    if caps.per_minute is None:
        again = await connect(sock)
        assert await again[0].readline() == b"hello\n"
        await leave(again[1])
    await listener.finish(1)
    listener.stop()


@both_loops
async def test_zero_means_zero(sock: socket.socket) -> None:
    listener, _ = serve(sock, ConnectionCaps(per_ip=0))
    reader, writer = await connect(sock)
    assert (await reader.readline()).startswith(b"421")
    await leave(writer)
    listener.stop()


def test_ipv6_networks_are_counted_as_64_and_48() -> None:
    admission = Admission(ConnectionCaps(per_network=1, per_wide_network=2))
    assert admission.admit("2001:db8:0:1::1") == ""
    assert "network" in admission.admit("2001:db8:0:1::2")
    assert admission.admit("2001:db8:0:2::1") == ""
    assert "network" in admission.admit("2001:db8:0:3::1")
    admission.release("2001:db8:0:1::1")
    assert admission.admit("2001:db8:0:3::1") == ""
    assert admission.total == 2


def test_the_rate_recovers_with_time_and_its_table_is_bounded() -> None:
    clock = [0.0]
    admission = Admission(ConnectionCaps(per_minute=60, burst=1), now=lambda: clock[0])
    assert admission.admit("192.0.2.1") == ""
    assert admission.admit("192.0.2.1") != ""
    clock[0] = 2.0
    assert admission.admit("192.0.2.1") == ""
    for n in range(rates.MAX_KEYS + 1000):
        admission.admit(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")
    assert admission._rates is not None
    assert len(admission._rates._own) <= rates.MAX_KEYS


@both_loops
async def test_stop_accepts_no_more_and_finish_cuts_what_stays(sock: socket.socket) -> None:
    listener, _ = serve(sock)
    reader, writer = await connect(sock)
    await reader.readline()
    listener.stop()
    late = socket.create_connection(sock.getsockname())
    late.settimeout(0.1)
    with pytest.raises(TimeoutError):
        late.recv(1)
    late.close()
    assert await listener.finish(0.05) == 1
    assert await reader.read() == b""
    await leave(writer)
    assert listener.connections == 0


@both_loops
async def test_a_crash_in_one_connection_is_reported_and_leaves_the_others(sock: socket.socket) -> None:
    listener, notes = serve(sock)
    first, second = [await connect(sock) for _ in range(2)]
    first[1].write(b"crash")
    await until(lambda: bool(notes.lines))
    assert notes.lines == ["crashed boom"]
    second[1].write(b"still here\n")
    assert await second[0].readline() == b"hello\n"
    assert await second[0].readline() == b"still here\n"
    await leave(first[1], second[1])
    await listener.finish(1)
    listener.stop()


@both_loops
async def test_running_out_of_descriptors_pauses_and_says_so_once(
    sock: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Exhausted:
        tries = 0

        def __init__(self, real: socket.socket) -> None:
            self.real = real

        def accept(self) -> tuple[socket.socket, object]:
            Exhausted.tries += 1
            if Exhausted.tries <= 2:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return self.real.accept()

        def __getattr__(self, name: str) -> object:
            return getattr(self.real, name)

    monkeypatch.setattr("mailstack.net.listener._EXHAUSTED_S", 0.05)
    listener, notes = serve(Exhausted(sock))  # type: ignore[arg-type]
    reader, writer = await connect(sock)
    assert await reader.readline() == b"hello\n"
    assert Exhausted.tries in (3, 4)
    assert notes.lines == ["exhausted Too many open files"]
    await leave(writer)
    await listener.finish(1)
    listener.stop()


@both_loops
async def test_two_listeners_may_share_one_socket(sock: socket.socket) -> None:
    one, _ = serve(sock)
    other_sock = socket.socket(fileno=os.dup(sock.fileno()))
    other, _ = serve(other_sock)
    connections = [await connect(sock) for _ in range(20)]
    for reader, _ in connections:
        assert await reader.readline() == b"hello\n"
    assert one.connections + other.connections == 20
    await leave(*(writer for _, writer in connections))
    for listener in (one, other):
        await listener.finish(1)
    one.stop()
    other.close()


@both_loops
async def test_replies_leave_at_once(sock: socket.socket) -> None:
    listener, _ = serve(sock)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    listener.stop()


# -- implicit TLS ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> TlsContexts:
    certificate, key = certificates.write(Path(tmp_path_factory.mktemp("tls")))
    return TlsContexts(TlsOptions(certificate_file=certificate, key_file=key))


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@both_loops
async def test_implicit_tls_serves_and_chooses_the_context_by_address(
    sock: socket.socket, contexts: TlsContexts
) -> None:
    asked = []

    def choose(ip: str) -> ssl.SSLContext:
        asked.append(ip)
        return contexts.get("access", ip)

    listener, notes = serve(sock, tls=choose)
    reader, writer = await asyncio.open_connection(*sock.getsockname(), ssl=client_context())
    assert await reader.readline() == b"hello\n"
    assert asked == ["127.0.0.1"]
    await leave(writer)
    await until(lambda: listener.connections == 0)
    assert notes.lines == []
    listener.stop()


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"", "timed out"),
        (b"EHLO client.example\r\n", "clear text"),
        (b"GET / HTTP/1.1\r\n\r\n", "HTTP"),
        (b"\x16\x03\x01\x02\x00\x01", "timed out"),
    ],
    ids=repr,
)
@both_loops
async def test_a_failed_handshake_is_told_in_words(
    sock: socket.socket, contexts: TlsContexts, sent: bytes, words: str
) -> None:
    listener, notes = serve(sock, tls=contexts.chooser("access"))
    reader, writer = await connect(sock)
    writer.write(sent)
    await until(lambda: bool(notes.lines))
    assert words in notes.lines[0]
    try:
        await reader.read()
    except OSError:
        pass
    await leave(writer)
    await until(lambda: listener.connections == 0)
    listener.stop()


@both_loops
async def test_a_refused_tls_client_is_not_answered_in_clear(
    sock: socket.socket, contexts: TlsContexts
) -> None:
    listener, _ = serve(sock, ConnectionCaps(per_ip=0), tls=contexts.chooser("access"))
    reader, writer = await connect(sock)
    assert await reader.read() == b""
    await leave(writer)
    listener.stop()
