"""Hostile and unlucky clients over real sockets: what each row of the fault list wants."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from pathlib import Path

import psutil
import pytest

from mailstack.imap.options import ImapOptions
from mailstack.mailbox import MailStore
from mailstack.mailbox.account import AccountDatabase
from mailstack.model.mailbox import NewMessage
from tests.kit.bare_session import ACCOUNT, PASSWORD, USER, message
from tests.kit.imap_service import RawClient, running


@pytest.mark.parametrize(
    ("octets", "answers"),
    [
        (b"a " + b"x" * 8_191 + b"\r\n", b"* BYE [TOOBIG]"),
        (b"a LOGIN {1000000000}\r\n", b"a BAD"),
        (b"a LOGIN {1000000000+}\r\n" + b"x" * 100_000, b"* BYE [TOOBIG]"),
        (b"a LOGIN {99999999999999999999}\r\n", b"a BAD"),
        (b"a ID " + b"(" * 8_000 + b"\r\n", b"a BAD"),
        (b"a LOGIN " + b"(" * 10_000 + b"\r\n", b"* BYE [TOOBIG]"),
        (b"a NOOP" * 50_000, b"* BYE [TOOBIG]"),
    ],
)
async def test_a_stranger_cannot_make_us_hold_much(tmp_path: Path, octets: bytes, answers: bytes) -> None:
    # I1
    async with running(tmp_path) as service:
        before = psutil.Process().memory_info().rss
        clients = []
        for _ in range(20):
            client = await RawClient.connect(service.port)
            await client.line()
            client.writer.write(octets)
            clients.append(client)
        for client in clients:
            with contextlib.suppress(ConnectionError):
                assert (await client.line()).startswith(answers)
            client.reset()
        assert psutil.Process().memory_info().rss - before < 20_000_000
        good = await (await RawClient.connect(service.port)).log_in()
        assert (await good.command(b"NOOP"))[-1].startswith(b"t OK")
        await good.close()


async def test_no_line_end_ever_is_sent_away_by_length_and_by_time(tmp_path: Path) -> None:
    # I1
    async with running(tmp_path, options=ImapOptions(login_time_s=1.0)) as service:
        slow = await RawClient.connect(service.port)
        await slow.line()
        await slow.send(b"a NOOP")
        assert (await slow.line()).startswith(b"* BYE")
        slow.reset()


async def test_the_limit_of_connections_says_how_many_there_may_be(tmp_path: Path) -> None:
    # I20: 21 connections where 20 are allowed.
    options = ImapOptions(allow_plaintext_loopback=True, max_per_account_and_address=20)
    async with running(tmp_path, options=options) as service:
        clients = [await (await RawClient.connect(service.port)).log_in() for _ in range(20)]
        late = await RawClient.connect(service.port)
        await late.line()
        await late.send(f'a LOGIN "{USER}" "{PASSWORD}"\r\n'.encode())
        assert await late.line() == b"* BYE [LIMIT] This account has 20 connections from your address already"
        assert await late.line() == b""
        for client in clients:
            assert (await client.command(b"NOOP"))[-1].startswith(b"t OK")
        for client in (*clients, late):
            await client.close()


async def test_idle_that_is_ended_with_garbage_is_bad_and_the_session_goes_on(tmp_path: Path) -> None:
    # I19
    async with running(tmp_path) as service:
        client = await (await RawClient.connect(service.port)).log_in()
        await client.command(b"SELECT INBOX")
        for garbage in (b"NOOP", b"\x00\xff\x16\x03", b"DONE DONE", b"x" * 60_000):
            await client.send(b"i IDLE\r\n")
            assert await client.line() == b"+ idling"
            await client.send(garbage + b"\r\n")
            assert (await client.line()).startswith(b"i BAD")
        assert (await client.command(b"NOOP"))[-1].startswith(b"t OK")
        await client.close()


async def test_a_copy_whose_client_goes_away_is_whole_or_not_at_all(tmp_path: Path) -> None:
    # I24
    count = 400
    mail = MailStore(tmp_path / "mail", now=time.time, random_bytes=os.urandom)
    store = mail.account(ACCOUNT.address)
    store.append("INBOX", [NewMessage(message(subject=f"number {number}")) for number in range(count)])
    async with running(tmp_path, store=store) as service:
        other = await (await RawClient.connect(service.port)).log_in()
        for turn in range(8):
            client = await (await RawClient.connect(service.port)).log_in()
            await client.command(b"SELECT INBOX")
            await client.send(b"c COPY 1:* Archive\r\n")
            await asyncio.sleep(turn * 0.004)
            client.reset()
            assert (await other.command(b"NOOP"))[-1].startswith(b"t OK")
            assert store.status("Archive").messages % count == 0
        async with asyncio.timeout(60):
            while len(service.hub.connections) > 1:
                await asyncio.sleep(0.01)
        assert store.status("Archive").messages % count == 0 and store.status("INBOX").messages == count
        client = await (await RawClient.connect(service.port)).log_in()
        await client.command(b"SELECT INBOX")
        assert (await client.command(b"COPY 1:* Archive"))[-1].startswith(b"t OK [COPYUID")
        await client.close()
        await other.close()
    mail.close()


@pytest.mark.parametrize(
    "command", [b"NOOP", b"UID SEARCH ALL", b"UID FETCH 1 BODY.PEEK[]", b"STATUS Sent (MESSAGES)"]
)
async def test_a_mailbox_that_was_closed_is_not_opened_on_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: bytes
) -> None:
    """Opening waits for whoever writes: somebody who moves a hundred thousand messages in another process."""
    opened: list[threading.Thread] = []
    open_database = AccountDatabase._open

    def spy(database: AccountDatabase) -> sqlite3.Connection:
        opened.append(threading.current_thread())
        return open_database(database)

    monkeypatch.setattr(AccountDatabase, "_open", spy)
    mail = MailStore(tmp_path / "mail", now=time.time, random_bytes=os.urandom)
    account = mail.account(ACCOUNT.address)
    account.append("INBOX", [NewMessage(message())])
    async with running(tmp_path, store=account) as service:
        client = await (await RawClient.connect(service.port)).log_in()
        await client.command(b"SELECT INBOX")
        opened.clear()
        account.core.close()
        assert (await client.command(command))[-1].startswith(b"t OK")
        assert opened and threading.main_thread() not in opened
        await client.close()
    mail.close()
