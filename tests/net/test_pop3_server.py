"""The POP3 shell over real sockets: TLS, back-pressure, limits, ends of all kinds."""

from __future__ import annotations

import asyncio
import poplib
from pathlib import Path

import pytest

from mailstack.net.session_hub import SessionHub
from mailstack.pop3.options import Pop3Options
from tests.kit.bare_session import PASSWORD, USER, message
from tests.kit.imap_service import RawClient
from tests.kit.loops import both_loops
from tests.kit.memory_mailbox import MemoryMailbox
from tests.kit.pop3_service import Pop3Service, running, say, until_dot

LOGIN = f"USER {USER}\r\nPASS {PASSWORD}\r\n".encode()


@both_loops
async def test_stls_encrypts_and_then_takes_a_password(tmp_path: Path) -> None:
    async with running(tmp_path, options=Pop3Options()) as service:
        client = await service.connect(tls=False)
        assert (await say(client, b"USER " + USER.encode())).startswith(b"-ERR Login needs TLS")
        assert (await say(client, b"STLS")).startswith(b"+OK")
        await client.writer.start_tls(service.client_context, server_hostname="localhost")
        assert (await say(client, b"PASS " + PASSWORD.encode())) == b"-ERR USER comes first"
        await client.send(LOGIN)
        assert (await client.line()).startswith(b"+OK") and (await client.line()).startswith(b"+OK Logged")
        assert await say(client, b"STLS") == b"-ERR Already logged in"
        await client.close()


@both_loops
async def test_octets_behind_stls_are_never_executed(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        client = await service.connect(tls=False)
        await client.send(b"STLS\r\n" + LOGIN + b"STAT\r\n")
        assert (await client.line()).startswith(b"-ERR Octets behind STLS")
        assert await client.line() == b""
        await client.close()


@both_loops
async def test_a_tls_client_on_the_plain_port_is_explained(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with running(tmp_path) as service:
        client = await service.connect(tls=False)
        await client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500)
        assert b"set the program to STARTTLS" in await client.line()
        assert await client.line() == b""
        await client.close()
    assert "the client began TLS at once on the" in caplog.text


async def test_commands_sent_before_a_half_close_are_still_answered(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        client = await service.connect(tls=False)
        await client.send(LOGIN + b"STAT\r\nQUIT\r\n")
        client.writer.write_eof()
        assert [(await client.line())[:3] for _ in range(4)] == [b"+OK"] * 4
        assert await client.line() == b""
        await client.close()


async def test_a_fourth_session_is_told_that_the_mailbox_is_in_use(tmp_path: Path) -> None:
    # POP5, as limits say: three at a time.
    async with running(tmp_path) as service:
        clients = [await service.log_in() for _ in range(3)]
        fourth = await service.connect()
        await say(fourth, b"USER " + USER.encode())
        answer = await say(fourth, b"PASS " + PASSWORD.encode())
        assert answer == b"-ERR [IN-USE] This account has 3 POP3 sessions already"
        assert await say(clients[0], b"QUIT") == b"+OK Goodbye"
        assert await clients[0].line() == b""
        await _until_logged_in(fourth)
        clients[1].reset()  # also who is cut off makes room
        await _until_logged_in(await service.connect())
        for client in [fourth, *clients]:
            await client.close()


async def _until_logged_in(client: RawClient) -> None:
    # Its room is free once the server has seen that the other is gone.
    async with asyncio.timeout(60):
        while True:
            await say(client, b"USER " + USER.encode())
            if (await say(client, b"PASS " + PASSWORD.encode())).startswith(b"+OK"):
                return
            await asyncio.sleep(0.01)


async def test_a_client_that_stops_reading_is_waited_for_then_cut_off(tmp_path: Path) -> None:
    # POP8, I11
    store = MemoryMailbox()
    store.add("INBOX", message() + b"x" * 50_000_000)
    options = Pop3Options(stalled_time_s=1.5)
    async with running(tmp_path, store=store, options=options) as service:
        client = await service.log_in()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(b"RETR 1\r\n")
        connection = next(iter(service.hub.connections))
        most = 0
        async with asyncio.timeout(60):
            while service.hub.connections:
                transport = connection._transport
                most = max(most, transport.get_write_buffer_size() if transport else 0)
                await asyncio.sleep(0.01)
        assert 0 < most <= 1_048_576
        client.reset()


async def test_a_client_that_goes_away_in_the_middle_of_a_message_leaves_nothing(tmp_path: Path) -> None:
    store = MemoryMailbox()
    store.add("INBOX", message() + b"x" * 5_000_000)
    async with running(tmp_path, store=store) as service:
        client = await service.log_in()
        await client.send(b"DELE 1\r\nRSET\r\nRETR 1\r\n")
        await client.line()
        client.reset()
        async with asyncio.timeout(60):
            while service.hub.connections:
                await asyncio.sleep(0.01)
        assert all(file.closed for file in store.opened)
        assert len(store.rows(store.status("INBOX").id)) == 1


async def test_the_end_of_the_server_is_said_and_deletes_nothing(tmp_path: Path) -> None:
    store = MemoryMailbox()
    store.add("INBOX", message())
    async with running(tmp_path, store=store) as service:
        client = await service.log_in()
        await say(client, b"DELE 1")
        service.hub.end_all("The server is shutting down")
        assert await client.line() == b"-ERR The server is shutting down"
        assert await client.line() == b""
        assert len(store.rows(store.status("INBOX").id)) == 1
        await client.close()


async def test_sessions_of_a_changed_account_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A15, A16
    monkeypatch.setattr(SessionHub, "REVIEW_S", 0.05)
    async with running(tmp_path) as service:
        client = await service.log_in()
        service.stamp = "two"
        assert (await client.line()).startswith(b"-ERR This account was suspended")
        await client.close()


async def test_too_many_strangers_are_refused(tmp_path: Path) -> None:
    options = Pop3Options(max_before_login=2)
    async with running(tmp_path, options=options) as service:
        clients = [await service.connect() for _ in range(2)]
        third = await RawClient.connect(service.tls_port, service.client_context)
        assert (await third.line()).startswith(b"-ERR [SYS/TEMP] Too many connections")
        for client in [*clients, third]:
            await client.close()


async def test_silence_ends_a_session_without_a_word(tmp_path: Path) -> None:
    async with running(tmp_path, options=Pop3Options(login_time_s=0.1)) as service:
        client = await service.connect()
        assert await client.line() == b""
        await client.close()


async def test_what_quit_deleted_is_announced(tmp_path: Path) -> None:
    store = MemoryMailbox()
    store.add("INBOX", message())
    async with running(tmp_path, store=store) as service:
        client = await service.log_in()
        await client.send(b"DELE 1\r\nQUIT\r\n")
        assert await client.line() == b"+OK Message 1 deleted" and await client.line() == b"+OK Goodbye"
        assert service.published == [(USER, "INBOX")]
        await client.close()


async def test_pythons_own_client_reads_the_mailbox(tmp_path: Path) -> None:
    store = MemoryMailbox()
    data = message(body=".\r\n..\r\nend")
    store.add("INBOX", data)
    async with running(tmp_path, store=store) as service:
        await asyncio.to_thread(_poplib, service, data)
    assert store.rows(store.status("INBOX").id) == []


def _poplib(service: Pop3Service, data: bytes) -> None:
    client = poplib.POP3("localhost", service.port, timeout=5)
    assert "STLS" in client.capa()
    client.stls(service.client_context)
    client.utf8()
    client.user(USER)
    client.pass_(PASSWORD)
    assert client.stat() == (1, len(data))
    assert client.list()[1] == [b"1 %d" % len(data)]
    _, lines, octets = client.retr(1)
    assert octets == len(data)
    assert b"".join(line + b"\r\n" for line in lines) == data
    assert client.top(1, 1)[1][-1] == b"."
    assert client.uidl(1).split()[:2] == [b"+OK", b"1"]
    client.noop()
    client.rset()
    client.dele(1)
    client.quit()


async def test_binary_and_endless_lines_end_the_connection(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        client = await service.connect()
        await client.send(bytes(range(256)) * 1_000)
        assert (await client.line()) == b"-ERR The line is too long"
        assert (await client.line()) == b"-ERR The line does not end"
        assert (await client.line()) == b""
        await client.close()


async def test_a_message_arrives_as_it_is_stored(tmp_path: Path) -> None:
    store = MemoryMailbox()
    data = message() + b".\r\n..\r\n" + bytes(range(128, 256)) + b"\r\n" + b"long " * 200_000 + b"\r\n"
    store.add("INBOX", data)
    async with running(tmp_path, store=store) as service:
        client = await service.log_in()
        assert await say(client, b"RETR 1") == b"+OK %d octets" % len(data)
        assert b"".join(line + b"\r\n" for line in await until_dot(client)) == data
        await client.close()
