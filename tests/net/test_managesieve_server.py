"""The ManageSieve shell over real sockets: TLS, limits, checks in their thread, ends of all kinds."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from mailstack.managesieve.options import ManageSieveOptions
from mailstack.model.directory import Account
from mailstack.model.scripts import Checked
from mailstack.net.session_hub import SessionHub
from tests.kit.bare_managesieve import plain
from tests.kit.imap_service import RawClient
from tests.kit.loops import both_loops
from tests.kit.managesieve_service import running, say, until_ok

LOGIN = b'AUTHENTICATE "PLAIN" "%b"\r\n' % plain()


@both_loops
async def test_starttls_encrypts_tells_the_capabilities_again_and_takes_a_password(tmp_path: Path) -> None:
    async with running(tmp_path, options=ManageSieveOptions()) as service:
        client = await RawClient.connect(service.port, None)
        greeting = await until_ok(client)
        assert b'"SASL" ""' in greeting and b'"STARTTLS"' in greeting
        assert (await say(client, LOGIN[:-2])).startswith(b"NO (ENCRYPT-NEEDED)")
        assert (await say(client, b"STARTTLS")).startswith(b"OK")
        await client.writer.start_tls(service.client_context, server_hostname="localhost")
        capabilities = await until_ok(client)
        assert b'"SASL" "PLAIN LOGIN"' in capabilities and b'"STARTTLS"' not in capabilities
        assert await say(client, LOGIN[:-2]) == b'OK "Logged in"'
        assert await say(client, b"STARTTLS") == b'NO "Already logged in"'
        await client.close()


@both_loops
async def test_octets_behind_starttls_are_never_executed(tmp_path: Path) -> None:
    # G8, L1
    async with running(tmp_path) as service:
        client = await service.connect(tls=False)
        await client.send(b"STARTTLS\r\n" + LOGIN + b'PUTSCRIPT "a" "keep;"\r\n')
        assert (await client.line()).startswith(b'BYE "Octets behind STARTTLS')
        assert await client.line() == b""
        assert not service.scripts.sources
        await client.close()


async def test_octets_that_come_after_the_ok_and_before_the_handshake_do_no_harm(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        client = await service.connect(tls=False)
        assert (await say(client, b"STARTTLS")).startswith(b"OK")
        await client.send(LOGIN + b'PUTSCRIPT "a" "keep;"\r\n')
        assert await client.line() == b""
        assert not service.scripts.sources
        await client.close()


async def test_a_pipelined_batch_is_answered_in_order(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        client = await service.connect()
        await client.send(
            LOGIN + b'PUTSCRIPT "a" {5+}\r\nkeep;\r\nSETACTIVE "a"\r\nLISTSCRIPTS\r\nLOGOUT\r\n'
        )
        lines = [await client.line() for _ in range(6)]
        assert lines == [
            b'OK "Logged in"',
            b'OK "Stored"',
            b'OK "a is active"',
            b'"a" ACTIVE',
            b"OK",
            b'OK "Goodbye"',
        ]
        assert await client.line() == b""
        await client.close()


async def test_a_large_script_goes_in_and_out(tmp_path: Path) -> None:
    source = b"keep;\r\n# " + b"x" * 262_000
    async with running(tmp_path) as service:
        client = await service.log_in()
        assert await say(client, b'PUTSCRIPT "a" {%d+}\r\n%b' % (len(source), source)) == b'OK "Stored"'
        assert await say(client, b'GETSCRIPT "a"') == b"{%d}" % len(source)
        assert await client.line() + b"\r\n" + await client.line() == source
        assert await client.line() == b"OK"
        big = b"x" * 5_000_000
        answer = await say(client, b'PUTSCRIPT "b" {%d+}\r\n%b' % (len(big), big))
        assert answer.startswith(b"NO (QUOTA/MAXSIZE)")
        assert await say(client, b"NOOP") == b'OK "Done"'
        await client.close()


async def test_a_connection_lost_in_the_literal_stores_nothing(tmp_path: Path) -> None:
    # G5
    async with running(tmp_path) as service:
        client = await service.log_in()
        await client.send(b'PUTSCRIPT "a" {100000+}\r\nkeep;')
        client.reset()
        await _until_alone(service.hub)
        assert not service.scripts.sources


async def test_a_fourth_session_is_refused_until_one_ends(tmp_path: Path) -> None:
    # Limits, section 1: three.
    async with running(tmp_path) as service:
        clients = [await service.log_in() for _ in range(3)]
        fourth = await service.connect()
        assert await say(fourth, LOGIN[:-2]) == (
            b'BYE (TRYLATER) "This account has 3 ManageSieve sessions already"'
        )
        # UNAUTHENTICATE gives the room back, and so does the end of a connection.
        assert await say(clients[0], b"UNAUTHENTICATE") == b'OK "You are nobody now"'
        fifth = await service.log_in()
        await say(clients[1], b"LOGOUT")
        assert await clients[1].line() == b""
        assert await say(clients[0], LOGIN[:-2]) == b'OK "Logged in"'
        for client in [*clients, fourth, fifth]:
            await client.close()


async def test_a_slow_check_keeps_nobody_else_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    async with running(tmp_path) as service:

        def check(account: Account, source: bytes) -> Checked:
            begun.set()
            go_on.wait(10)
            return Checked()

        monkeypatch.setattr(service, "check", check)
        slow, other = await service.log_in(), await service.log_in()
        await slow.send(b'CHECKSCRIPT "keep;"\r\n')
        await asyncio.to_thread(begun.wait, 10)
        assert await say(other, b"LISTSCRIPTS") == b"OK"
        go_on.set()
        assert await slow.line() == b'OK "No mistakes"'
        for client in (slow, other):
            await client.close()


async def test_a_flood_of_checks_is_put_off_over_all_connections(tmp_path: Path) -> None:
    # G7
    async with running(tmp_path, options=ManageSieveOptions(checks_per_minute=5)) as service:
        clients = [await service.log_in() for _ in range(2)]
        answers = [await say(clients[number % 2], b'CHECKSCRIPT "keep;"') for number in range(8)]
        assert [answer[:2] for answer in answers[:5]] == [b"OK"] * 5
        assert answers[-1].startswith(b"NO (TRYLATER)")
        for client in clients:
            await client.close()


async def test_the_end_of_the_server_is_said(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        client = await service.log_in()
        service.hub.end_all("The server is shutting down")
        assert await client.line() == b'BYE "The server is shutting down"'
        assert await client.line() == b""
        await client.close()


async def test_sessions_of_a_changed_account_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A15, A16
    monkeypatch.setattr(SessionHub, "REVIEW_S", 0.05)
    async with running(tmp_path) as service:
        client = await service.log_in()
        service.stamp = "two"
        assert (await client.line()).startswith(b'BYE "This account was suspended')
        await client.close()


async def test_too_many_strangers_are_refused(tmp_path: Path) -> None:
    options = ManageSieveOptions(max_before_login=2)
    async with running(tmp_path, options=options) as service:
        clients = [await service.connect() for _ in range(2)]
        third = await RawClient.connect(service.tls_port, service.client_context)
        assert (await third.line()).startswith(b'BYE (TRYLATER) "Too many connections')
        for client in [*clients, third]:
            await client.close()


async def test_silence_ends_a_session(tmp_path: Path) -> None:
    async with running(tmp_path, options=ManageSieveOptions(login_time_s=0.1)) as service:
        client = await service.connect()
        assert await client.line() == b'BYE "Nothing came for too long"'
        assert await client.line() == b""
        await client.close()


async def test_a_client_that_stops_reading_is_cut_off(tmp_path: Path) -> None:
    options = ManageSieveOptions(stalled_time_s=0.5)
    async with running(tmp_path, options=options) as service:
        client = await service.log_in()
        service.scripts.sources["a"] = b"#" * 262_000
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(b'GETSCRIPT "a"\r\n' * 200)
        await _until_alone(service.hub)
        client.reset()


async def _until_alone(hub: SessionHub[Any]) -> None:
    async with asyncio.timeout(60):
        while hub.connections:
            await asyncio.sleep(0.01)
