"""The IMAP shell over real sockets: TLS, back-pressure, IDLE, limits, ends of all kinds."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import time
from pathlib import Path

import pytest

from mailstack.imap.options import ImapOptions
from mailstack.imap.session import Session
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import FolderEntry, FolderStatus, NewMessage
from mailstack.net.imap_server import ImapConnection, sweep
from tests.kit.bare_session import PASSWORD, USER, message
from tests.kit.imap_service import ImapService, RawClient, running
from tests.kit.loops import both_loops, until
from tests.kit.memory_mailbox import MemoryMailbox

LOGIN = f'a LOGIN "{USER}" "{PASSWORD}"\r\n'.encode()


@both_loops
async def test_a_session_over_implicit_tls_works(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(tmp_path) as service:
        client = await RawClient.connect(service.tls_port, service.client_context)
        assert b"AUTH=PLAIN" in await client.line()
        assert (await client.command(LOGIN[2:-2]))[-1].startswith(b"t OK [CAPABILITY")
        assert b"* 0 EXISTS" in await client.command(b"SELECT INBOX")
        assert (await client.command(b"LOGOUT"))[0].startswith(b"* BYE")
        assert await client.line() == b""
        await client.close()
    # The client's own goodbye comes when the session is over: no reason to write into the log.
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


@both_loops
async def test_starttls_encrypts_and_then_takes_a_password(tmp_path: Path) -> None:
    options = ImapOptions()
    async with running(tmp_path, options=options) as service:
        client = await RawClient.connect(service.port)
        greeting = await client.line()
        assert b"STARTTLS LOGINDISABLED" in greeting and b"AUTH=" not in greeting
        assert (await client.command(LOGIN[2:-2]))[-1].startswith(b"t NO [PRIVACYREQUIRED]")
        assert (await client.command(b"STARTTLS"))[-1].startswith(b"t OK")
        await client.writer.start_tls(service.client_context, server_hostname="localhost")
        capabilities = (await client.command(b"CAPABILITY"))[0]
        assert b"AUTH=PLAIN" in capabilities and b"STARTTLS" not in capabilities
        assert (await client.command(b"STARTTLS"))[-1].startswith(b"t BAD")  # L2
        assert (await client.command(LOGIN[2:-2]))[-1].startswith(b"t OK")
        assert (await client.command(b"STARTTLS"))[-1].startswith(b"t BAD")  # L2
        await client.close()


@both_loops
async def test_octets_behind_starttls_are_never_executed(tmp_path: Path) -> None:
    # L1: they came in clear and would count as sent under TLS.
    async with running(tmp_path) as service:
        client = await RawClient.connect(service.port)
        await client.line()
        await client.send(b"a STARTTLS\r\nb CAPABILITY\r\n")
        lines = await client.until(b"b ")
        assert lines[0].startswith(b"* BYE") and lines[1:] == [b""]
        await client.close()


@both_loops
async def test_a_tls_client_on_the_plain_port_is_explained(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with running(tmp_path) as service:
        client = await RawClient.connect(service.port)
        await client.line()
        await client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500)
        assert (await client.line()).startswith(b"* BYE") and await client.line() == b""
        await client.close()
    assert "the client began TLS at once on the" in caplog.text


@both_loops
async def test_a_failed_handshake_ends_only_that_connection(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        client = await RawClient.connect(service.port)
        await client.line()
        await client.command(b"STARTTLS", tag=b"a")
        await client.send(b"b CAPABILITY\r\nthis is not a ClientHello at all, so it ends here\r\n")
        async with asyncio.timeout(60):
            assert not (await client.reader.read()).startswith(b"* CAPABILITY")
        other = await (await RawClient.connect(service.port)).log_in()
        assert (await other.command(b"NOOP"))[-1].startswith(b"t OK")
        await client.close()
        await other.close()


async def test_pipelined_commands_in_one_packet_are_answered_in_order(tmp_path: Path) -> None:
    # I3
    async with running(tmp_path) as service:
        client = await RawClient.connect(service.port)
        await client.line()
        await client.send(LOGIN + b"b SELECT INBOX\r\nc NOOP\r\nd LOGOUT\r\n")
        lines = await client.until(b"d ")
        tags = [line[:4] for line in lines if line[:1] != b"*"]
        assert tags == [b"a OK", b"b OK", b"c OK", b"d OK"]
        await client.close()


@both_loops
async def test_commands_sent_before_a_half_close_are_still_answered(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        client = await RawClient.connect(service.port)
        await client.line()
        await client.send(LOGIN + b"b STATUS INBOX (MESSAGES)\r\n")
        client.writer.write_eof()
        assert (await client.until(b"b "))[-1].startswith(b"b OK")
        assert await client.line() == b""
        await client.close()


# -- IDLE ---------------------------------------------------------------------------------


@both_loops
async def test_idle_shows_new_mail_at_once_when_the_bus_says_so(tmp_path: Path) -> None:
    store = MemoryMailbox()
    options = ImapOptions(allow_plaintext_loopback=True, poll_s=600)
    async with running(tmp_path, store=store, options=options) as service:
        client = await (await RawClient.connect(service.tls_port, service.client_context)).log_in()
        await client.command(b"SELECT INBOX")
        await client.send(b"i IDLE\r\n")
        assert await client.line() == b"+ idling"
        await asyncio.sleep(0.05)
        store.add("INBOX", message())
        service.hub.heard({"event": "mailbox", "account": USER, "folder": "INBOX"})
        assert await client.line() == b"* 1 EXISTS"
        assert await client.line() == b"* 1 RECENT"
        await client.send(b"DONE\r\n")
        assert (await client.line()).startswith(b"i OK")
        await client.close()


async def test_idle_hears_what_a_sibling_session_did_and_other_processes_are_told(tmp_path: Path) -> None:
    store = MemoryMailbox()
    store.add("INBOX", message())
    async with running(tmp_path, store=store) as service:
        idler = await (await RawClient.connect(service.port)).log_in()
        await idler.command(b"SELECT INBOX")
        await idler.send(b"i IDLE\r\n")
        await idler.line()
        other = await (await RawClient.connect(service.port)).log_in()
        await other.command(b"SELECT INBOX")
        await other.command(b"STORE 1 +FLAGS.SILENT (\\Flagged)")
        assert b"\\Flagged" in await idler.line()
        assert (USER, "INBOX") in service.published
        await idler.close()
        await other.close()


async def test_idle_finds_changes_nobody_announced(tmp_path: Path) -> None:
    store = MemoryMailbox()
    options = ImapOptions(allow_plaintext_loopback=True, poll_s=0.05)
    async with running(tmp_path, store=store, options=options) as service:
        client = await (await RawClient.connect(service.port)).log_in()
        await client.command(b"SELECT INBOX")
        await client.send(b"i IDLE\r\n")
        await client.line()
        for number in (1, 2):  # at once, and between two looks
            store.add("INBOX", message())
            assert await client.line() == b"* %d EXISTS" % number
            await client.line()
            await asyncio.sleep(0.07)
        await client.close()


async def test_many_new_messages_in_idle_are_told_in_few_updates(tmp_path: Path) -> None:
    # I19: 10,000 deliveries, at most five updates a second.
    store = MemoryMailbox()
    async with running(tmp_path, store=store) as service:
        client = await (await RawClient.connect(service.port)).log_in()
        await client.command(b"SELECT INBOX")
        await client.send(b"i IDLE\r\n")
        await client.line()
        began = time.monotonic()
        for number in range(10_000):
            store.add("INBOX", b"Subject: x\r\n\r\n")
            if not number % 100:
                service.hub.heard({"event": "mailbox", "account": USER, "folder": "INBOX"})
                await asyncio.sleep(0.001)
        service.hub.heard({"event": "mailbox", "account": USER, "folder": "INBOX"})
        lines = await client.until(b"* 10000 EXISTS")
        updates = len([line for line in lines if line.endswith(b"EXISTS")])
        assert updates <= 2 + 5 * (time.monotonic() - began)
        await client.send(b"DONE\r\n")
        assert (await client.until(b"i "))[-1].startswith(b"i OK")
        await client.close()


@both_loops
async def test_silence_in_idle_gets_still_here_and_at_last_bye(tmp_path: Path) -> None:
    # I19: IDLE without DONE
    options = ImapOptions(allow_plaintext_loopback=True, idle_keepalive_s=0.3, idle_time_s=1.5, poll_s=5)
    async with running(tmp_path, options=options) as service:
        client = await (await RawClient.connect(service.port)).log_in()
        await client.command(b"SELECT INBOX")
        await client.send(b"i IDLE\r\n")
        lines = await client.until(b"* BYE")
        assert 1 <= lines.count(b"* OK Still here") <= 4
        assert await client.line() == b""
        await client.close()


# -- limits and ends ------------------------------------------------------------------------


async def test_a_client_that_does_not_log_in_is_sent_away(tmp_path: Path) -> None:
    options = ImapOptions(login_time_s=1.0)
    async with running(tmp_path, options=options) as service:
        client = await RawClient.connect(service.port)
        await client.line()
        await client.send(b"a NOOP\r\n")
        await client.line()
        assert (await client.line()).startswith(b"* BYE")
        await client.close()


async def test_connections_of_one_account_and_address_are_counted(tmp_path: Path) -> None:
    # I20
    options = ImapOptions(allow_plaintext_loopback=True, max_per_account_and_address=2)
    async with running(tmp_path, options=options) as service:
        clients = [await (await RawClient.connect(service.port)).log_in() for _ in range(2)]
        third = await RawClient.connect(service.port)
        await third.line()
        await third.send(LOGIN)
        assert (await third.line()).startswith(b"* BYE [LIMIT] This account has 2 connections")
        await clients[0].close()
        await until(lambda: len(service.hub.connections) == 1)
        fourth = await (await RawClient.connect(service.port)).log_in()
        for client in (clients[1], third, fourth):
            await client.close()


async def test_strangers_are_counted(tmp_path: Path) -> None:
    async with running(tmp_path, options=ImapOptions(max_before_login=1)) as service:
        first = await RawClient.connect(service.port)
        await first.line()
        second = await RawClient.connect(service.port)
        assert (await second.line()).startswith(b"* BYE [LIMIT]")
        await first.close()
        await second.close()


async def test_a_suspended_account_is_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A15
    monkeypatch.setattr("mailstack.net.imap_hub.ImapHub.REVIEW_S", 0.05)
    async with running(tmp_path) as service:
        client = await (await RawClient.connect(service.port)).log_in()
        service.stamp = "other"
        assert (await client.line()).startswith(b"* BYE")
        await client.close()


@both_loops
async def test_stopping_says_bye_to_everybody(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        clients = [await (await RawClient.connect(service.port)).log_in() for _ in range(3)]
        await clients[0].command(b"SELECT INBOX")
        await clients[0].send(b"i IDLE\r\n")
        await clients[0].line()
    for client in clients:
        assert (await client.line()).startswith(b"* BYE The server is shutting down")
        await client.close()


async def test_a_command_line_without_end_closes_and_its_tail_is_no_command(tmp_path: Path) -> None:
    # I1
    async with running(tmp_path) as service:
        client = await RawClient.connect(service.port)
        await client.line()
        await client.send(b"a NOOP " + b"x" * 10_000 + b"\r\nb CAPABILITY\r\n")
        lines = await client.until(b"b ")
        assert lines[0].startswith(b"* BYE") and lines[1:] == [b""]
        await client.close()


@pytest.mark.parametrize(
    ("hello", "said"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"* BYE This is an IMAP server"),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n", b"* BYE This port begins in clear text"),
    ],
)
async def test_another_protocol_is_sent_away_at_its_first_line(
    tmp_path: Path, hello: bytes, said: bytes
) -> None:
    # T63
    async with running(tmp_path) as service:
        client = await RawClient.connect(service.port)
        await client.line()
        await client.send(hello + b"a LOGOUT\r\n")
        lines = await client.until(b"a ")
        assert lines[0].startswith(said) and lines[1:] == [b""]
        await client.close()


# -- messages -----------------------------------------------------------------------------


@both_loops
async def test_an_interrupted_append_stores_nothing_and_leaves_no_file(tmp_path: Path) -> None:
    # I5: the connection is lost after each tenth.
    store = MemoryMailbox()
    body = message(body="x" * 600_000)
    async with running(tmp_path, store=store) as service:
        for tenth in range(1, 10):
            client = await (await RawClient.connect(service.port)).log_in()
            await client.send(b"p APPEND INBOX {%d+}\r\n" % len(body) + body[: len(body) * tenth // 10])
            await asyncio.sleep(0.02)
            client.reset()
            await client.close()
        await until(lambda: not os.listdir(service.spool))
    assert store.status("INBOX").messages == 0


@both_loops
async def test_a_large_append_goes_through_a_file_and_comes_back_unchanged(tmp_path: Path) -> None:
    store = MemoryMailbox()
    body = message(body="\r\n".join(f"line {n}" for n in range(200_000)))
    async with running(tmp_path, store=store) as service:
        client = await (await RawClient.connect(service.tls_port, service.client_context)).log_in()
        await client.send(b"p APPEND INBOX {%d}\r\n" % len(body))
        assert (await client.line()).startswith(b"+")
        await client.send(body + b"\r\n")
        assert (await client.until(b"p "))[-1].startswith(b"p OK [APPENDUID")
        assert os.listdir(service.spool) == []
        await client.command(b"SELECT INBOX")
        await client.send(b"f FETCH 1 BODY.PEEK[]\r\n")
        assert (await client.line()).endswith(b"{%d}" % len(body))
        assert await client.reader.readexactly(len(body)) == body
        assert await client.line() == b")"
        await client.close()
    assert store.data("INBOX", 1) == body


def _with_little_room(port: int) -> socket.socket:
    """A client's socket that takes few octets unless it is read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    sock.connect(("127.0.0.1", port))
    return sock


def _unsent(service: ImapService) -> int:
    """Octets the server holds for the client that has most of them."""
    transports = (connection._transport for connection in service.hub.connections)  # type: ignore[attr-defined]
    return max((transport.get_write_buffer_size() for transport in transports), default=0)


@both_loops
async def test_a_client_that_stops_reading_is_waited_for_and_then_cut_off(tmp_path: Path) -> None:
    # I11
    store = MemoryMailbox()
    body = message(body="y" * 20_000_000)
    store.append("INBOX", [NewMessage(body)])
    options = ImapOptions(allow_plaintext_loopback=True, stalled_time_s=1.5)
    async with running(tmp_path, store=store, options=options) as service:
        sock = _with_little_room(service.port)
        sock.sendall(LOGIN + b"b SELECT INBOX\r\nc FETCH 1 BODY[]\r\nd NOOP\r\n")
        most = 0
        await until(lambda: bool(service.hub.connections))
        while service.hub.connections:
            await asyncio.sleep(0.02)
            most = max(most, _unsent(service))
        assert 0 < most <= 1_048_576
        sock.close()


@both_loops
async def test_a_client_that_asks_again_and_again_and_reads_nothing_is_cut_off(tmp_path: Path) -> None:
    # I11: each command is served where its octets arrive, as long as the answers leave.
    store = MemoryMailbox()
    store.append("INBOX", [NewMessage(message(body="y" * 60_000))])
    options = ImapOptions(allow_plaintext_loopback=True, stalled_time_s=1.5)
    async with running(tmp_path, store=store, options=options) as service:
        sock = _with_little_room(service.port)
        sock.sendall(LOGIN + b"b SELECT INBOX\r\n")
        most = 0
        await until(lambda: bool(service.hub.connections))
        while service.hub.connections:
            await asyncio.sleep(0.002)
            with contextlib.suppress(OSError):
                sock.send(b"c FETCH 1 BODY.PEEK[]\r\n", socket.MSG_DONTWAIT)
            most = max(most, _unsent(service))
        assert 0 < most <= 1_048_576
        sock.close()


@both_loops
async def test_ten_megabytes_are_streamed_and_other_clients_are_served_meanwhile(tmp_path: Path) -> None:
    store = MemoryMailbox()
    body = message(body="z" * 10_000_000)
    store.append("INBOX", [NewMessage(body)])
    async with running(tmp_path, store=store) as service:
        slow = await (await RawClient.connect(service.port)).log_in()
        await slow.command(b"SELECT INBOX")
        quick = await (await RawClient.connect(service.port)).log_in()
        await slow.send(b"f FETCH 1 (BODY.PEEK[TEXT] UID BODY.PEEK[]<5.1000000>)\r\n")
        # Nobody reads the ten megabytes meanwhile: they are not sent yet.
        assert (await quick.command(b"NOOP"))[-1].startswith(b"t OK")
        head = await slow.line()
        assert head.startswith(b"* 1 FETCH (UID 1 BODY[TEXT] {")
        size = int(head.split(b"{")[1].rstrip(b"}"))
        assert (await slow.reader.readexactly(size)) == body[-size:]
        assert await slow.line() == b" BODY[]<5> {1000000}"
        assert (await slow.reader.readexactly(1_000_000)) == body[5:1_000_005]
        assert (await slow.until(b"f "))[-1].startswith(b"f OK")
        await slow.close()
        await quick.close()


class _Broken(MemoryMailbox):
    def folders(self) -> list[FolderEntry]:
        raise RuntimeError("a mistake of ours")


async def test_our_own_mistake_ends_that_session_without_a_word_about_it(tmp_path: Path) -> None:
    async with running(tmp_path, store=_Broken()) as service:
        client = await (await RawClient.connect(service.port)).log_in()
        assert await client.command(b'LIST "" *') == [b"* BYE [SERVERBUG] Internal error", b""]
        await client.close()
        await until(lambda: bool(service.crashes))
        assert [type(error) for error in service.crashes] == [RuntimeError]
        service.crashes.clear()


class _Failing(MemoryMailbox):
    def create(self, name: str, *, special_use: str = "") -> FolderStatus:
        if name == "broken":
            raise TemporaryFailure("making a folder: the disk reports an error", fatal=True)
        return super().create(name, special_use=special_use)


async def test_a_disk_error_is_a_no_and_stops_the_process(tmp_path: Path) -> None:
    # P8
    async with running(tmp_path, store=_Failing()) as service:
        client = await (await RawClient.connect(service.port)).log_in()
        assert (await client.command(b"CREATE broken"))[-1].startswith(b"t NO [UNAVAILABLE]")
        assert service.fatal == ["making a folder: the disk reports an error"]
        assert (await client.command(b"STATUS INBOX (MESSAGES)"))[-1].startswith(b"t OK")
        await client.close()


def test_old_temporary_files_are_swept(tmp_path: Path) -> None:
    for name, age in (("imap-1-old", 7_200), ("imap-1-new", 0), ("other", 7_200)):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    assert sweep(tmp_path) == 1
    assert sorted(os.listdir(tmp_path)) == ["imap-1-new", "other"]


async def test_long_waits_end_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailstack.net.session_server.LONG_WAIT_S", 0.0)
    options = ImapOptions(
        allow_plaintext_loopback=True, idle_keepalive_s=0.2, idle_time_s=30.0, login_time_s=1.0
    )
    async with running(tmp_path, options=options) as service:
        stranger = await RawClient.connect(service.port)
        client = await (await RawClient.connect(service.port)).log_in()
        await client.send(b"i IDLE\r\n")
        assert await client.until(b"* OK Still here") == [b"+ idling", b"* OK Still here"]
        assert (await stranger.until(b"* BYE"))[-1].startswith(b"* BYE")
        await client.close()
        await stranger.close()


@both_loops
async def test_a_connection_that_is_over_leaves_nothing_to_the_garbage_collector(tmp_path: Path) -> None:
    # It may not run for hours in a process whose clients only wait.
    def alive() -> int:
        return sum(isinstance(one, ImapConnection | Session) for one in gc.get_objects())

    async with running(tmp_path) as service:
        gc.collect()
        gc.disable()
        try:
            before = alive()
            for port in (service.port, service.tls_port):
                context = service.client_context if port == service.tls_port else None
                client = await (await RawClient.connect(port, context)).log_in()
                await client.command(b"SELECT INBOX")
                await client.send(b"i IDLE\r\n")
                await client.line()
                client.reset()
            async with asyncio.timeout(60):
                while alive() > before:
                    service.hub.watch.forget()
                    await asyncio.sleep(0.01)
        finally:
            gc.enable()
