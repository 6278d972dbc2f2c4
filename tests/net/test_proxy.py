"""Behind a proxy: the client it names is the one that is counted, served and logged."""

from __future__ import annotations

import asyncio
import io
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from mailstack.app.ports import LogWatcher
from mailstack.model.errors import ConfigError
from mailstack.net.listener import Admission, ConnectionCaps, Listener
from mailstack.net.proxy_options import ProxyOptions
from mailstack.net.proxy_wire import Proxies
from mailstack.net.smtp_server import SmtpServer
from mailstack.net.smtp_shared import Shared
from mailstack.net.tls import TlsContexts
from mailstack.net.tls_options import TlsOptions
from mailstack.smtp.options import SmtpOptions
from mailstack.state.maillog import MailLog
from tests.kit import certificates
from tests.kit.loops import both_loops, until
from tests.kit.smtp_acceptor import FakeAcceptor
from tests.kit.smtp_talk import Talk, old_context
from tests.smtp.test_proxy import binary

HEADER = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n"


@dataclass
class Running:
    acceptor: FakeAcceptor
    listener: Listener
    port: int
    log: io.StringIO

    async def until_idle(self) -> None:
        await until(lambda: not self.listener.connections)


@asynccontextmanager
async def running(
    folder: Path,
    name: str = "mx",
    *,
    proxies: tuple[str, ...] = ("127.0.0.1",),
    caps: ConnectionCaps | None = None,
    devices: tuple[str, ...] = (),
    header_wait_s: float = 5,
) -> AsyncIterator[Running]:
    files = certificates.write(folder)
    tls = TlsContexts(TlsOptions(certificate_file=files[0], key_file=files[1], devices=devices))
    log, acceptor = io.StringIO(), FakeAcceptor()
    maillog = MailLog(None, daemon="smtp", now=acceptor.now, stream=log, stamped=False)
    options = SmtpOptions(error_delay_s=0.0)
    server = SmtpServer(name, Shared(options, "mx.example.test", acceptor, maillog, tls, folder))
    sock = socket.create_server(("127.0.0.1", 0))
    listener = Listener(
        sock,
        server.connection,
        name=name,
        admission=Admission(caps or ConnectionCaps()),
        tls=tls.chooser("submission") if name == "submissions" else None,
        watcher=LogWatcher(maillog),
        proxies=Proxies(ProxyOptions(networks=proxies, header_wait_s=header_wait_s), name),
    )
    listener.start()
    try:
        yield Running(acceptor, listener, sock.getsockname()[1], log)
    finally:
        listener.stop()
        await listener.finish(3)
        listener.close()


async def behind(port: int, header: bytes) -> Talk:
    """A client whose octets follow a proxy's header at once."""
    talk = await Talk.open(port)
    talk.send(header)
    return talk


@pytest.mark.parametrize("header", [HEADER, binary("192.0.2.7")], ids=["v1", "v2"])
@both_loops
async def test_the_client_is_whom_the_proxy_names(tmp_path: Path, header: bytes) -> None:
    async with running(tmp_path) as server, await behind(server.port, header) as talk:
        assert (await talk.reply())[:3] == "220"
        assert (await talk.ask("EHLO client.example"))[:3] == "250"
        await talk.begin()
        assert (await talk.ask("a: b\r\n."))[:3] == "250"
        client = server.acceptor.taken[0][0].client
        assert (client.ip, client.port) == ("192.0.2.7", 4711)


@both_loops
async def test_a_header_that_comes_octet_by_octet_is_read(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        talk = await Talk.open(server.port)
        for at in range(len(HEADER)):
            talk.send(HEADER[at : at + 1])
            await asyncio.sleep(0)
        assert (await talk.reply())[:3] == "220"
        await talk.close()


@both_loops
async def test_limits_count_the_client_and_not_the_proxy(tmp_path: Path) -> None:
    async with running(tmp_path, caps=ConnectionCaps(total=3, per_ip=1)) as server:
        first = await behind(server.port, HEADER)
        assert (await first.reply())[:3] == "220"
        again = await behind(server.port, HEADER)
        assert (await again.reply())[:9] == "421 4.7.0"
        other = await behind(server.port, binary("192.0.2.8"))
        assert (await other.reply())[:3] == "220"
        assert server.listener.admission.total == 2
        for talk in (first, again, other):
            await talk.close()
        await server.until_idle()
        assert server.listener.admission.total == 0
        assert "peer=192.0.2.7 at=connect check=connections" in server.log.getvalue()


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", binary(command=0x20)], ids=["v1", "v2"])
@both_loops
async def test_a_proxy_that_speaks_for_itself_is_the_client(tmp_path: Path, header: bytes) -> None:
    # Health checks.
    async with running(tmp_path) as server, await behind(server.port, header) as talk:
        assert (await talk.reply())[:3] == "220"
        assert (await talk.ask("QUIT"))[:3] == "221"


@pytest.mark.parametrize(
    "said", [b"EHLO client.example\r\n", b"PROXY TCP4 1\r\n", b"\x16\x03\x01\x02\x00" * 9], ids=repr
)
@both_loops
async def test_a_listed_proxy_without_a_header_is_nobody(tmp_path: Path, said: bytes) -> None:
    # S49: whoever is listed cannot be a client at will, or limits would count the proxy.
    async with running(tmp_path) as server, await behind(server.port, said) as talk:
        assert await talk.rest() == ""
        await server.until_idle()
        assert "peer=127.0.0.1 at=connect check=proxy_header code=421" in server.log.getvalue()
        assert server.listener.admission.total == 0


@both_loops
async def test_a_proxy_that_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    async with running(tmp_path, header_wait_s=0.1) as server, await behind(server.port, HEADER[:20]) as talk:
        assert await talk.rest() == ""
        await server.until_idle()
        assert "sent no whole PROXY header in 0.1 s" in server.log.getvalue()


@both_loops
async def test_a_proxy_that_hangs_up_leaves_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        for header in (b"", HEADER[:20]):
            talk = await behind(server.port, header)
            await talk.close()
            await server.until_idle()
        assert server.listener.admission.total == 0


@both_loops
async def test_from_an_unlisted_address_the_header_is_an_unknown_command(tmp_path: Path) -> None:
    # S49
    async with (
        running(tmp_path, proxies=("198.51.100.0/24",)) as server,
        await Talk.open(server.port) as talk,
    ):
        assert (await talk.reply())[:3] == "220"
        for line in (HEADER.decode().rstrip(), "XCLIENT ADDR=192.0.2.7"):
            assert (await talk.ask(line))[:9] == "500 5.5.2"
        assert server.log.getvalue().count("peer=127.0.0.1 at=command check=unknown") == 2
        for _ in range(7):
            assert (await talk.ask("XCLIENT ADDR=192.0.2.7"))[:3] == "500"
        assert "421" in await talk.ask("XCLIENT ADDR=192.0.2.7") + await talk.rest()


@both_loops
async def test_the_header_stands_before_tls_and_the_client_it_names_chooses_the_context(
    tmp_path: Path,
) -> None:
    # L6
    async with running(tmp_path, "submissions", devices=("192.0.2.7",)) as server:
        old = old_context()
        for source, wanted in (("192.0.2.7", "TLSv1"), ("192.0.2.8", "")):
            raw = await asyncio.to_thread(socket.create_connection, ("127.0.0.1", server.port))
            raw.sendall(binary(source))
            assert await asyncio.to_thread(_version, old, raw) == wanted
        await server.until_idle()
        assert "tls_failed peer=192.0.2.8 listener=submissions" in server.log.getvalue()
        assert "add it to tls.devices" in server.log.getvalue()


def _version(context: ssl.SSLContext, raw: socket.socket) -> str:
    try:
        with context.wrap_socket(raw) as tls:
            assert tls.recv(3) == b"220"
            return tls.version() or ""
    except ssl.SSLError:
        return ""


def test_only_listed_networks_and_ports_have_proxies() -> None:
    options = ProxyOptions(networks=("10.0.0.0/8",), listeners=("imaps",))
    assert "10.1.2.3" in Proxies(options, "imaps")
    assert "10.1.2.3" not in Proxies(options, "mx")
    assert "192.0.2.1" not in Proxies(options, "imaps")
    assert "" not in Proxies(options, "imaps")
    with pytest.raises(ConfigError, match=r"proxy\.networks: 'lb\.example'"):
        ProxyOptions(networks=("lb.example",))
    for everybody in ("0.0.0.0/0", "::/0"):
        with pytest.raises(ConfigError, match="everybody could say to be anybody"):
            ProxyOptions(networks=(everybody,))
    with pytest.raises(ConfigError, match=r"proxy\.header_octets"):
        ProxyOptions(header_octets=106)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"listeners": ["smtp"]}, ProxyOptions)
