"""TLS that does not come about, is torn down or is misused, on the smtp daemon's ports (faults L)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from mailstack.app import daemon, smtpd
from mailstack.app.config import Config
from mailstack.app.options import ListenOptions
from mailstack.model.errors import ConfigError
from mailstack.net.tls_options import TlsOptions
from tests.app.test_ports import NAMES, Running, running, with_tls
from tests.kit import certificates
from tests.kit.loops import on_uvloop
from tests.kit.smtp_talk import Talk, client_context

#: The beginning of a ClientHello: handshake record of TLS 1.0, 512 octets, of which few come.
HALF_HELLO = bytes.fromhex("16030102000100 01fc0303".replace(" ", "")) + b"\x5a" * 40
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


async def is_over(server: Running, talk: Talk) -> None:
    """The server has closed the connection, and has nothing of it left."""
    await talk.rest()
    await talk.close()


# -- handshakes that never end ---------------------------------------------------------------


@pytest.mark.parametrize("said", [b"", b"\xff" * 20, HALF_HELLO], ids=["nothing", "garbage", "half"])
@pytest.mark.parametrize("name", ["submissions", "mx"])
@on_uvloop
async def test_a_handshake_that_does_not_come_about_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: bytes
) -> None:
    # L4
    async with running(tmp_path, monkeypatch, smtp_options={"tls_handshake_s": 0.3}) as server:
        talk = await _before_tls(server, name)
        talk.send(said)
        await is_over(server, talk)
        await server.until_logged(f"tls_failed peer=127.0.0.1 listener={name}")
        assert server.log.getvalue().count("tls_failed") == 1


@pytest.mark.parametrize("name", ["submissions", "mx"])
@on_uvloop
async def test_a_handshake_octet_by_octet_does_not_get_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # L4: the deadline is for the handshake, not for an octet.
    async with running(tmp_path, monkeypatch, smtp_options={"tls_handshake_s": 0.5}) as server:
        talk = await _before_tls(server, name)
        for octet in HALF_HELLO:
            if talk.reader.at_eof() or "tls_failed" in server.log.getvalue():
                break
            talk.send(bytes((octet,)))
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("it went on for ever")
        await is_over(server, talk)


def test_a_handshake_has_less_time_when_room_is_short() -> None:
    # L4, limits, section 1
    from types import SimpleNamespace

    from mailstack.app.ports import _handshake_s
    from mailstack.smtp.options import SmtpOptions

    for stressed, wanted in ((False, 30), (True, 10)):
        shared = SimpleNamespace(is_stressed=lambda stressed=stressed: stressed)
        assert _handshake_s(SmtpOptions(), shared) == wanted  # type: ignore[arg-type]


async def _before_tls(server: Running, name: str) -> Talk:
    if name == "submissions":
        return await Talk.open(server.ports[name])
    talk = await Talk.hello(server.ports[name])
    assert (await talk.ask("STARTTLS"))[:3] == "220"
    return talk


# -- what openssl can do -------------------------------------------------------------------


async def s_client(port: int, *options: str, commands: bytes = b"", starttls: bool = False) -> str:
    """`openssl s_client`, saying QUIT, or given its own commands one by one; gives what it printed."""
    process = await asyncio.create_subprocess_exec(
        "openssl",
        "s_client",
        "-connect",
        f"127.0.0.1:{port}",
        "-crlf",
        *options,
        *(("-starttls", "smtp") if starttls else ()),
        *(() if commands else ("-ign_eof",)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdin is not None
    try:
        with contextlib.suppress(ConnectionError, RuntimeError):  # uvloop: the pipe is closed
            for command in commands:
                # It looks at the first octet of what it reads at once.
                process.stdin.write(bytes((command, 10)))
                await asyncio.sleep(0.002)
            process.stdin.write(b"Q\n" if commands else b"QUIT\n")
            process.stdin.close()
        assert process.stdout is not None
        said = await asyncio.wait_for(process.stdout.read(), 60)
        await process.wait()
    except TimeoutError:
        process.kill()
        raise
    return said.decode(errors="replace")


@needs_openssl
@pytest.mark.parametrize("name", ["submission_legacy", "submissions_legacy"])
@on_uvloop
async def test_a_printer_of_long_ago_gets_its_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # L6, L8: TLS 1.0, RSA key exchange, CBC, no extensions a later client would send.
    async with running(tmp_path, monkeypatch) as server:
        said = await s_client(
            server.ports[name],
            "-tls1",
            "-cipher",
            "AES128-SHA:@SECLEVEL=0",
            "-noservername",
            starttls=name == "submission_legacy",
        )
        assert "Protocol  : TLSv1\n" in said and "AES128-SHA" in said


@needs_openssl
@pytest.mark.parametrize(
    "options",
    [
        ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
        ("-tls1_2", "-cipher", "AES256-SHA:@SECLEVEL=0"),
        ("-tls1_2", "-cipher", "ALL:@SECLEVEL=0", "-sigalgs", "RSA+SHA1"),
        ("-tls1_2", "-cipher", "ALL:@SECLEVEL=0", "-curves", "P-256"),
        ("-tls1_3",),
    ],
    ids=lambda options: options[0] + options[-1],
)
@on_uvloop
async def test_devices_of_every_age_get_tls_on_the_legacy_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    # L8
    async with running(tmp_path, monkeypatch) as server:
        said = await s_client(server.ports["submissions_legacy"], *options)
        assert "220 mx.example.test" in said, said


@needs_openssl
@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("submissions", "add it to tls.devices or update it"),
        ("submissions_legacy", "too old even for legacy TLS"),
    ],
)
@on_uvloop
async def test_a_client_with_finite_field_keys_alone_is_told_of_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, remedy: str
) -> None:
    # L8: DHE with 1024 bits is all it knows; we make no such keys.
    async with running(tmp_path, monkeypatch) as server:
        await s_client(server.ports[name], "-tls1_2", "-cipher", "DHE-RSA-AES128-SHA:@SECLEVEL=0")
        await server.until_logged("client has no cipher in common with us")
        assert remedy in server.log.getvalue()


@needs_openssl
@pytest.mark.parametrize(
    ("version", "command"), [("-tls1_2", b"R"), ("-tls1_3", b"K"), ("-tls1_3", b"k")], ids=str
)
@on_uvloop
async def test_a_flood_of_renegotiations_or_new_keys_costs_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, command: bytes
) -> None:
    # L9
    async with running(tmp_path, monkeypatch) as server:
        before = time.process_time()
        said = await s_client(server.ports["submissions"], version, commands=command * 100)
        assert time.process_time() - before < 5
        assert "220 mx.example.test" in said or "RENEGOTIATING" in said or "KEYUPDATE" in said
        talk = await Talk.hello(server.ports["submissions"], tls=True)
        await talk.close()


@on_uvloop
async def test_ten_thousand_tiny_records_are_a_line_that_is_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # L9
    async with running(tmp_path, monkeypatch) as server:
        before = time.process_time()
        said = await asyncio.to_thread(_tiny_records, server.ports["submissions"], 10_000)
        assert b"500 5.5.2" in said and b"421 4.5.2" in said
        assert time.process_time() - before < 5


def _tiny_records(port: int, number: int) -> bytes:
    said = b""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as raw,
        client_context().wrap_socket(raw) as tls,
    ):
        try:
            for _ in range(number):
                tls.send(b"x")
        except OSError:
            pass
        try:
            while more := tls.recv(4096):
                said += more
        except OSError:
            pass
    return said


# -- sessions that are resumed ---------------------------------------------------------------


@on_uvloop
async def test_a_session_of_one_port_is_worth_nothing_on_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # L11: no state of a login travels with a ticket, and none is given on port 25.
    async with running(tmp_path, monkeypatch) as server:
        context = client_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        session = await asyncio.to_thread(_session, context, server.ports["submissions"])
        assert session is not None and session.has_ticket
        for name, wanted in (("submissions", True), ("submissions_legacy", False)):
            found = await asyncio.to_thread(_reused, context, server.ports[name], session)
            assert found == (wanted, True)
        assert not await asyncio.to_thread(_mx_gives_tickets, context, server.ports["mx"])


def _ask(sock: socket.socket, line: bytes, end: bytes) -> bytes:
    """Says a line and reads until `end` has come."""
    sock.sendall(line)
    said = b""
    while end not in said:
        more = sock.recv(4096)
        assert more, said
        said += more
    return said


def _session(context: ssl.SSLContext, port: int) -> ssl.SSLSession | None:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as raw,
        context.wrap_socket(raw) as tls,
    ):
        _ask(tls, b"", b"220 ")
        _ask(tls, b"EHLO x\r\n", b"250 ")
        _ask(tls, b"AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABhJDEgZ2VoZWlt\r\n", b"235 ")
        return tls.session


def _reused(context: ssl.SSLContext, port: int, session: ssl.SSLSession) -> tuple[bool, bool]:
    """Whether the session was resumed; whether a login is wanted all the same."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as raw,
        context.wrap_socket(raw, session=session) as tls,
    ):
        _ask(tls, b"", b"220 ")
        _ask(tls, b"EHLO x\r\n", b"250 ")
        said = _ask(tls, b"MAIL FROM:<alice@example.test>\r\n", b"\r\n")
        return bool(tls.session_reused), said.startswith(b"530 ")


def _mx_gives_tickets(context: ssl.SSLContext, port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as raw:
        _ask(raw, b"", b"220 ")
        _ask(raw, b"EHLO x\r\n", b"250 ")
        _ask(raw, b"STARTTLS\r\n", b"220 ")
        with context.wrap_socket(raw) as tls:
            return tls.session is not None and tls.session.has_ticket


# -- the end without goodbye -----------------------------------------------------------------


@on_uvloop
async def test_a_connection_cut_inside_a_message_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # L12, S14
    async with running(tmp_path, monkeypatch) as server:
        talk = await with_tls(server, "mx", client_context())
        await talk.begin()
        talk.send(b"a: b\r\n\r\n" + b"x" * 70 + b"\r\n")
        await talk.writer.drain()
        talk.writer.transport.abort()
        await server.until_logged("lost id=")
        assert server.acceptor.taken == []
        assert os.listdir(tmp_path / "spool") == []


# -- certificates ------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["missing", "garbage", "mismatch", "locked"])
async def test_the_daemon_does_not_start_without_a_usable_certificate(tmp_path: Path, fault: str) -> None:
    # L10: never 465 without TLS.
    certificate, key = certificates.write(tmp_path)
    if fault == "missing":
        os.unlink(key)
    elif fault == "garbage":
        Path(certificate).write_text("hello")
    elif fault == "mismatch":
        Path(key).write_bytes(certificates.pem("other.example")[1])
    else:
        encrypted = ["openssl", "rsa", "-aes128", "-passout", "pass:secret", "-in", key, "-out", f"{key}.enc"]
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        subprocess.run(encrypted, check=True, capture_output=True)
        os.replace(f"{key}.enc", key)
    with pytest.raises(ConfigError, match=r"tls\.certificate_file: "):
        smtpd.TlsContexts(TlsOptions(certificate_file=certificate, key_file=key))


@on_uvloop
async def test_a_port_for_tls_stays_closed_without_a_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # L10
    async with running(tmp_path, monkeypatch, tls={"certificate_file": "", "key_file": ""}) as server:
        async with await Talk.open(server.ports["submissions"]) as talk:
            talk.send(b"EHLO x\r\n")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(talk.reader.read(1), 0.3)
        talk = await Talk.hello(server.ports["mx"])
        assert "STARTTLS" not in await talk.ask("EHLO x")
        assert (await talk.ask("STARTTLS"))[:3] == "454"
        await talk.close()
    assert "nobody can connect to the submissions port" in caplog.text


def test_a_configuration_names_the_listeners_it_knows() -> None:
    assert set(NAMES) <= set(ListenOptions.__struct_fields__)
    assert set(NAMES) == set(daemon.LISTENERS["smtp"])
    assert (
        Config().listen.lmtp == Config().listen.submissions_legacy == Config().listen.submission_legacy == ()
    )
