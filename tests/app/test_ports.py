"""The ports of the smtp daemon: LMTP, old devices, TLS and who is let in, around a fake acceptor."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import ssl
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mailstack.app import accept, daemon, smtpd
from mailstack.app.config import Config
from mailstack.app.options import ListenOptions, ServerOptions
from mailstack.model.errors import ConfigError
from mailstack.net.proxy_options import ProxyOptions
from mailstack.net.tls_options import TlsName, TlsOptions
from mailstack.smtp.lmtp_options import LmtpOptions
from mailstack.smtp.options import SmtpOptions
from tests.kit import certificates
from tests.kit.contexts import smtp_context
from tests.kit.loops import on_uvloop, until
from tests.kit.smtp_acceptor import FakeAcceptor
from tests.kit.smtp_talk import WAIT_S, Talk, client_context, old_context

NAMES = ("mx", "submission", "submissions", "submission_legacy", "submissions_legacy", "lmtp")
DEVICE = {"login": "printer@example.test", "password": "printer-pw"}
PERSON = {"login": "alice@example.test", "password": "a$1 geheim"}


class Closing(FakeAcceptor):
    async def close(self) -> None:
        pass


@dataclass
class Running:
    acceptor: FakeAcceptor
    ports: dict[str, int]
    path: str
    log: io.StringIO
    stop: Callable[[], None]

    async def until_logged(self, text: str) -> None:
        await until(lambda: text in self.log.getvalue(), self.log.getvalue)


@contextlib.asynccontextmanager
async def running(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    tls: dict[str, Any] | None = None,
    smtp_options: dict[str, Any] | None = None,
    **sections: Any,
) -> AsyncIterator[Running]:
    """`smtpd.serve` with all its ports on loopback, and LMTP on a Unix socket too."""
    certificate, key = certificates.write(folder)
    config = Config(
        server=ServerOptions(hostname="mx.example.test", state_dir=str(folder), stop_grace_s=3),
        tls=TlsOptions(**{"certificate_file": certificate, "key_file": key, **(tls or {})}),
        smtp=SmtpOptions(error_delay_s=0.0, login_delays_s=(0.0,), **(smtp_options or {})),
        listen=ListenOptions(
            **{name: ("127.0.0.1:0",) for name in NAMES[:-1]},
            lmtp=("127.0.0.1:0", f"unix:{folder}/lmtp"),
        ),
        **sections,
    )
    config.paths.spool.mkdir()
    config.paths.run.mkdir()
    acceptor = Closing()
    monkeypatch.setattr(accept, "build", lambda _: acceptor)
    sockets = daemon.bind("smtp", config)
    context, log = smtp_context(config, sockets)
    task = asyncio.ensure_future(smtpd.serve(context))
    ports = {name: found[0].getsockname()[1] for name, found in sockets.items()}
    try:
        yield Running(acceptor, ports, f"{folder}/lmtp", log, context.stop.set)
        context.stop.set()
        await asyncio.wait_for(task, 60)
    finally:
        task.cancel()
        daemon.close(sockets)
        context.bus.close()


async def lmtp(server: Running, *, unix: bool) -> Talk:
    streams = (
        await asyncio.open_unix_connection(server.path)
        if unix
        else await asyncio.open_connection("127.0.0.1", server.ports["lmtp"])
    )
    return Talk(*streams)


# -- LMTP --------------------------------------------------------------------------------


@pytest.mark.parametrize("unix", [True, False], ids=["unix", "tcp"])
@on_uvloop
async def test_lmtp_answers_each_recipient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unix: bool
) -> None:
    # RFC 2033 section 4.2
    async with running(tmp_path, monkeypatch) as server:
        talk = await lmtp(server, unix=unix)
        assert "LMTP" in await talk.reply()
        offers = await talk.ask("LHLO front.example")
        assert ("STARTTLS" in offers) is not unix
        assert "AUTH" not in offers and "MAILMAX" not in offers
        assert (await talk.ask("MAIL FROM:<a@b.test>"))[:3] == "250"
        for to in ("bob", "anyfull", "anyno", "alice", "bob"):
            assert (await talk.ask(f"RCPT TO:<{to}@example.test>"))[:3] == "250"
        assert (await talk.ask("RCPT TO:<x@example.test>"))[:3] == "550"
        assert (await talk.ask("DATA"))[:3] == "354"
        said = [await talk.ask("From: a@b.test\r\nFrom: c@b.test\r\n\r\nx\r\n.")]
        said += [await talk.reply() for _ in range(4)]
        assert [line[:9] for line in said] == [
            "250 2.0.0",
            "452 4.2.2",
            "550 5.7.1",
            "250 2.0.0",
            "250 2.0.0",
        ]
        envelope, _, _ = server.acceptor.taken[0]
        assert len(envelope.recipients) == 4
        assert (envelope.client.listener, envelope.client.protocol) == ("lmtp", "LMTP")
        assert envelope.client.ip == ("" if unix else "127.0.0.1")
        assert (await talk.ask("QUIT"))[:3] == "221"
        await talk.close()


@on_uvloop
async def test_lmtp_answers_each_recipient_after_the_last_chunk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # RFC 3030 section 2, RFC 2033 section 4.2
    async with running(tmp_path, monkeypatch) as server:
        talk = await lmtp(server, unix=True)
        await talk.reply()
        assert "CHUNKING" in await talk.ask("LHLO front.example")
        await talk.ask("MAIL FROM:<a@b.test>")
        for to in ("bob", "anyfull"):
            await talk.ask(f"RCPT TO:<{to}@example.test>")
        talk.send(b"BDAT 6\r\na: b\r\n")
        assert (await talk.reply())[:3] == "250"
        talk.send(b"BDAT 3 LAST\r\n\r\nx")
        assert [(await talk.reply())[:3] for _ in range(2)] == ["250", "452"]
        assert (await talk.ask("NOOP"))[:3] == "250"
        await talk.close()


@on_uvloop
async def test_lmtp_refuses_for_each_recipient_what_is_refused_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch) as server:
        talk = await lmtp(server, unix=True)
        await talk.reply()
        await talk.ask("LHLO front.example")
        for _ in range(2):  # and the session goes on
            await talk.ask("MAIL FROM:<a@b.test>")
            for to in ("bob", "alice"):
                await talk.ask(f"RCPT TO:<{to}@example.test>")
            await talk.ask("DATA")
            said = [await talk.ask("Received: x\r\n" * 60 + "\r\n."), await talk.reply()]
            assert [line[:9] for line in said] == ["554 5.4.6"] * 2
        await talk.close()


@on_uvloop
async def test_lmtp_clients_are_not_punished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, monkeypatch) as server:
        talk = await lmtp(server, unix=True)
        await talk.reply()
        await talk.ask("LHLO front.example")
        for _ in range(120):
            assert (await talk.ask("MAIL FROM:<a@b.test>"))[:3] == "250"
            assert (await talk.ask("RCPT TO:<nobody@example.test>"))[:3] == "550"
            assert (await talk.ask("RSET"))[:3] == "250"
        await talk.close()


@on_uvloop
async def test_lmtp_over_tcp_is_for_listed_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = LmtpOptions(networks=("198.51.100.0/24",))
    async with running(tmp_path, monkeypatch, lmtp=options) as server:
        talk = await lmtp(server, unix=False)
        assert (await talk.reply())[:9] == "554 5.7.1"
        assert await talk.rest() == ""
        await talk.close()
        assert "at=connect check=lmtp_network code=554" in server.log.getvalue()
        local = await lmtp(server, unix=True)
        assert (await local.reply())[:3] == "220"
        await local.close()


@on_uvloop
async def test_lmtp_behind_a_proxy_is_for_listed_networks_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = ProxyOptions(networks=("127.0.0.1",), listeners=("lmtp",))
    async with running(tmp_path, monkeypatch, proxy=proxy) as server:
        talk = await lmtp(server, unix=False)
        talk.send(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 24\r\n")
        assert (await talk.reply())[:9] == "554 5.7.1"
        await talk.close()


@on_uvloop
async def test_the_unix_socket_has_its_mode_and_ends_with_421(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch, lmtp=LmtpOptions(socket_mode="0666")) as server:
        assert stat.S_IMODE(os.stat(server.path).st_mode) == 0o666
        talk = await lmtp(server, unix=True)
        await talk.reply()
        server.stop()
        assert (await talk.reply())[:9] == "421 4.3.2"
        await talk.close()


def test_a_unix_socket_somebody_listens_on_is_not_taken_away(tmp_path: Path) -> None:
    config = Config(listen=ListenOptions(**{n: () for n in NAMES[:-1]}, lmtp=(f"unix:{tmp_path}/lmtp",)))
    first = daemon.bind("smtp", config)
    with pytest.raises(ConfigError, match=r"listen\.lmtp: .*Address already in use"):
        daemon.bind("smtp", config)
    daemon.close(first)
    daemon.close(daemon.bind("smtp", config))
    (tmp_path / "lmtp").unlink()
    (tmp_path / "lmtp").write_text("somebody's file")
    with pytest.raises(ConfigError, match="is no socket"):
        daemon.bind("smtp", config)
    assert (tmp_path / "lmtp").read_text() == "somebody's file"


def test_what_cannot_be_listened_on_is_refused() -> None:
    for key, text in (("lmtp", "unix:lmtp"), ("mx", "unix:/run/x"), ("lmtp", "24")):
        with pytest.raises(ConfigError, match=rf"listen\.{key}"):
            ListenOptions(**{key: (text,)})
    with pytest.raises(ConfigError, match=r"lmtp\.socket_mode"):
        LmtpOptions(socket_mode="rw-rw----")
    with pytest.raises(ConfigError, match=r"lmtp\.networks"):
        LmtpOptions(networks=("list.example",))


# -- old devices -------------------------------------------------------------------------


async def with_tls(server: Running, name: str, context: ssl.SSLContext) -> Talk:
    """A client that has its TLS and has said EHLO."""
    if name.startswith("submissions"):
        talk = Talk(*await asyncio.open_connection("127.0.0.1", server.ports[name], ssl=context))
        await talk.reply()
    else:
        talk = await Talk.hello(server.ports[name])
        assert (await talk.ask("STARTTLS"))[:3] == "220"
        await talk.writer.start_tls(context)
    assert (await talk.ask("EHLO printer"))[:3] == "250"
    return talk


@pytest.mark.parametrize("name", ["submission_legacy", "submissions_legacy"])
@on_uvloop
async def test_only_devices_log_in_on_the_legacy_ports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # L6, product page, section 6
    async with running(tmp_path, monkeypatch) as server:
        for context in (old_context(), client_context()):
            talk = await with_tls(server, name, context)
            assert (await talk.ask(_plain(**PERSON)))[:9] == "535 5.7.8"
            assert (await talk.ask("MAIL FROM:<alice@example.test>"))[:3] == "530"
            assert (await talk.ask(_plain(**DEVICE)))[:3] == "235"
            await talk.begin(sender="printer@example.test")
            assert (await talk.ask("From: printer@example.test\r\n."))[:3] == "250"
            await talk.close()
        old, new = (envelope.client for envelope, _, _ in server.acceptor.taken)
        assert old.tls.startswith("TLSv1 ") and new.tls.startswith("TLSv1.")
        assert server.log.getvalue().count("at=auth check=devices_only") == 2


@pytest.mark.parametrize("name", ["submission", "submissions"])
@on_uvloop
async def test_tls_1_0_elsewhere_is_for_listed_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # L5, L6
    async with running(tmp_path, monkeypatch) as server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await with_tls(server, name, old_context())
        await server.until_logged(f"tls_failed peer=127.0.0.1 listener={name}")
        assert (
            "client offers at most TLS 1.0 or 1.1; add it to tls.devices or update it"
            in server.log.getvalue()
        )


@on_uvloop
async def test_a_listed_device_may_be_old_and_anybody_may_log_in_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # L6
    async with running(tmp_path, monkeypatch, tls={"devices": ("127.0.0.1",)}) as server:
        talk = await with_tls(server, "submissions", old_context())
        assert (await talk.ask(_plain(**PERSON)))[:3] == "235"
        await talk.close()


@pytest.mark.parametrize("old", [True, False])
@on_uvloop
async def test_old_servers_on_port_25_are_let_in_by_a_switch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    # limits, section 8
    async with running(tmp_path, monkeypatch, tls={"mx_tls_legacy": old}) as server:
        if old:
            talk = await with_tls(server, "mx", old_context())
            await talk.close()
            return
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await with_tls(server, "mx", old_context())
        await server.until_logged("set tls.mx_tls_legacy, or it sends in clear text")


# -- the wrong kind of port ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"EHLO client.example\r\n", "client speaks clear text on a TLS port; it must be set to SSL/TLS"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "client speaks HTTP on a TLS port"),
        (b"CONNECT x:25 HTTP/1.1\r\n\r\n", "client speaks HTTP on a TLS port"),
    ],
)
@on_uvloop
async def test_clear_text_on_a_tls_port_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes, why: str
) -> None:
    async with running(tmp_path, monkeypatch) as server:
        talk = await Talk.open(server.ports["submissions"])
        talk.send(said)
        await server.until_logged(why)
        await talk.close()


@pytest.mark.parametrize("name", ["mx", "submission", "submission_legacy", "lmtp"])
@on_uvloop
async def test_a_tls_client_on_a_plain_port_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # S36
    async with running(tmp_path, monkeypatch) as server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.wait_for(Talk.open(server.ports[name], tls=True), WAIT_S)
        await server.until_logged("check=tls_on_plain_port")
        assert "This port begins in clear text" in server.log.getvalue()


# -- host names --------------------------------------------------------------------------


@on_uvloop
async def test_every_port_shows_the_certificate_of_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = certificates.write(tmp_path, stem="other", name="mail.customer.example")
    names = (TlsName(certificate_file=other[0], key_file=other[1]),)
    trusting = ssl.create_default_context(cafile=other[0])
    async with running(tmp_path, monkeypatch, tls={"names": names}) as server:
        for name in ("submissions", "submissions_legacy"):
            streams = await asyncio.open_connection(
                "127.0.0.1", server.ports[name], ssl=trusting, server_hostname="mail.customer.example"
            )
            talk = Talk(*streams)
            assert (await talk.reply())[:3] == "220"
            await talk.close()
        for name in ("mx", "submission", "submission_legacy"):
            talk = await Talk.hello(server.ports[name])
            await talk.ask("STARTTLS")
            await talk.writer.start_tls(trusting, server_hostname="mail.customer.example")
            assert (await talk.ask("EHLO x"))[:3] == "250"
            await talk.close()


def _plain(login: str, password: str) -> str:
    from base64 import b64encode

    return f"AUTH PLAIN {b64encode(f'{chr(0)}{login}{chr(0)}{password}'.encode()).decode()}"
