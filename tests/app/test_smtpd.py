"""The smtp daemon wired together, around a fake acceptor."""

from __future__ import annotations

import asyncio
import io
import socket
from pathlib import Path

import pytest

from mailstack.app import accept, ports, smtpd
from mailstack.app.config import Config
from mailstack.app.daemon import Context
from mailstack.app.options import ServerOptions
from mailstack.net.listener import Admission, ConnectionCaps
from mailstack.net.tls_options import TlsOptions
from mailstack.smtp.options import SmtpOptions
from tests.kit import certificates
from tests.kit.contexts import smtp_context
from tests.kit.smtp_acceptor import FakeAcceptor
from tests.kit.smtp_talk import Talk


class Closing(FakeAcceptor):
    is_closed = False

    async def close(self) -> None:
        self.is_closed = True


def context(folder: Path, **smtp: object) -> tuple[Context, io.StringIO]:
    certificate, key = certificates.write(folder)
    config = Config(
        server=ServerOptions(hostname="mx.example.test", state_dir=str(folder), stop_grace_s=3),
        tls=TlsOptions(certificate_file=certificate, key_file=key),
        smtp=SmtpOptions(**smtp),  # type: ignore[arg-type]
    )
    config.paths.spool.mkdir()
    config.paths.run.mkdir()
    sockets = {name: [socket.create_server(("127.0.0.1", 0))] for name in ("mx", "submission", "submissions")}
    return smtp_context(config, sockets)


async def test_the_daemon_serves_its_three_ports_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, log = context(tmp_path, mx_sessions_per_ip=2)
    acceptor = Closing()
    monkeypatch.setattr(accept, "build", lambda _: acceptor)
    told: list[str] = []
    made.tell = told.append
    task = asyncio.ensure_future(smtpd.serve(made))
    ports = {name: socks[0].getsockname()[1] for name, socks in made.sockets.items()}
    try:
        talk = await Talk.hello(ports["mx"])
        await talk.begin()
        assert (await talk.ask("a: b\r\n."))[:3] == "250"
        for name in ("submission", "submissions"):
            client = await Talk.hello(ports[name], tls=name == "submissions")
            if name == "submission":
                await client.start_tls()
                await client.ask("EHLO x")
            assert (await client.ask("AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABhJDEgZ2VoZWlt"))[:3] == "235"
            await client.close()
        second = await Talk.hello(ports["mx"])
        async with await Talk.open(ports["mx"]) as third:
            assert (await third.reply())[:9] == "421 4.7.0"
        await second.close()
        made.stop.set()
        assert (await talk.reply())[:9] == "421 4.3.2"
        await talk.close()
        await asyncio.wait_for(task, 60)
    finally:
        task.cancel()
        for socks in made.sockets.values():
            socks[0].close()
        made.bus.close()
    assert told == ["ready"]
    assert acceptor.is_closed
    assert "at=connect check=connections" in log.getvalue()


def test_port_25_takes_at_most_a_quarter_of_the_descriptors() -> None:
    assert ports.mx_caps(SmtpOptions(), descriptors=16_384).total == 500
    assert ports.mx_caps(SmtpOptions(), descriptors=1024).total == 256
    assert ports.mx_caps(SmtpOptions(mx_sessions="off"), descriptors=1024).total == 256
    assert ports.mx_caps(SmtpOptions(mx_sessions=0), descriptors=1024).total == 0
    caps = ports.mx_caps(SmtpOptions(mx_sessions_per_ip="off"), descriptors=1024)
    assert (caps.per_ip, caps.per_network, caps.per_wide_network) == (None, 60, 120)


async def test_stress_begins_above_its_share_or_lag_and_ends(tmp_path: Path) -> None:
    made, _ = context(tmp_path)
    for socks in made.sockets.values():
        socks[0].close()
    made.bus.close()
    state = smtpd._State(made)
    admission = Admission(ConnectionCaps(total=10))
    state.admissions = [admission]
    for _ in range(8):
        admission.admit("192.0.2.1")
    state.look(0.0)
    assert not state.is_stressed
    admission.admit("192.0.2.1")
    state.look(0.0)
    assert state.is_stressed
    admission.release("192.0.2.1")
    state.look(0.1)
    assert not state.is_stressed
    state.look(0.3)
    assert state.is_stressed
