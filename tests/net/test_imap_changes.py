"""Changes of many messages over real sockets: whole or not at all, and nobody else waits for them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.imap.options import ImapOptions
from mailstack.mailbox import MailStore
from mailstack.mailbox.store import Account
from mailstack.model.mailbox import NewMessage
from tests.kit.bare_session import ACCOUNT
from tests.kit.imap_service import RawClient, running

MANY = 2_000


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    store = MailStore(tmp_path / "mail", now=time.time, random_bytes=os.urandom)
    account = store.account(ACCOUNT.address)
    account.append("INBOX", [NewMessage(b"Subject: hello\r\n\r\n")] * (MANY // 16))
    inbox = account.status("INBOX").id
    for _ in range(4):  # links are quicker than files
        account.copy(inbox, [row.uid for row in account.rows(inbox)], "INBOX")
    yield account
    store.close()


async def test_a_copy_whose_client_goes_away_is_whole_or_not_at_all(tmp_path: Path, account: Account) -> None:
    # I24
    async with running(tmp_path, store=account) as service:
        other = await (await RawClient.connect(service.port)).log_in()
        assert b"* %d EXISTS" % MANY in await other.command(b"SELECT INBOX")
        for target, cut in ((b"Trash", False), (b"Archive", True)):
            client = await (await RawClient.connect(service.port)).log_in()
            await client.command(b"SELECT INBOX")
            await client.send(b"c COPY 1:* " + target + b"\r\n")
            assert (await other.command(b"FETCH 1:10 FLAGS"))[-1].startswith(b"t OK")
            if cut:
                client.reset()
            else:
                assert (await client.until(b"c ", wait_s=30))[-1].startswith(b"c OK [COPYUID ")
                await client.close()
        async with asyncio.timeout(30):
            while len(service.hub.connections) > 1:
                # The cut one may have been before the copy or behind it, never within.
                assert account.status("Archive").messages in (0, MANY)
                await asyncio.sleep(0.01)
        assert account.status("Archive").messages in (0, MANY)
        (line, _) = await other.command(b"STATUS Trash (MESSAGES)")
        assert line == b'* STATUS "Trash" (MESSAGES %d)' % MANY
        await other.close()


async def test_every_client_hears_of_a_large_change_in_its_own_way(tmp_path: Path, account: Account) -> None:
    async with running(tmp_path, store=account) as service:
        plain, resyncing = [await (await RawClient.connect(service.port)).log_in() for _ in range(2)]
        await resyncing.command(b"ENABLE QRESYNC IMAP4rev2")
        for client in (plain, resyncing):
            await client.command(b"SELECT INBOX")
        told = await plain.command(b"STORE 1:* +FLAGS (\\Deleted)")
        assert len(told) == MANY + 1
        heard = await resyncing.command(b"NOOP")
        assert len(heard) == MANY + 1 and heard[0].startswith(b"* 1 FETCH (UID 1 FLAGS (\\Deleted) MODSEQ (")
        gone = await resyncing.command(b"EXPUNGE")
        assert gone[0] == b"* VANISHED 1:%d" % MANY and gone[1].startswith(b"t OK [HIGHESTMODSEQ ")
        told = await plain.command(b"NOOP")
        assert told[0] == b"* %d EXPUNGE" % MANY and told[-2] == b"* 1 EXPUNGE" and len(told) == MANY + 1
        for client in (plain, resyncing):
            await client.close()


async def test_a_connection_serves_one_user_after_another(tmp_path: Path) -> None:
    # RFC 8437
    options = ImapOptions(allow_plaintext_loopback=True, max_per_account=1)
    async with running(tmp_path, options=options) as service:
        client = await RawClient.connect(service.port)
        await client.log_in()
        await client.command(b"ENABLE QRESYNC")
        assert (await client.command(b"UNAUTHENTICATE"))[-1].startswith(b"t OK")
        assert (await client.command(b"SELECT INBOX"))[-1].startswith(b"t BAD")
        # The account has room again, and the connection counts as one of a stranger.
        other = await (await RawClient.connect(service.port)).log_in()
        assert len(service.hub.connections) == 2
        await other.command(b"LOGOUT")
        await other.close()
        async with asyncio.timeout(60):
            while len(service.hub.connections) > 1:
                await asyncio.sleep(0.01)
        await client.send(b't LOGIN "alice@example.test" "wonder land"\r\n')
        assert (await client.until(b"t "))[-1].startswith(b"t OK")
        await client.close()


async def test_unauthenticate_can_be_turned_off(tmp_path: Path) -> None:
    options = ImapOptions(allow_plaintext_loopback=True, unauthenticate=False)
    async with running(tmp_path, options=options) as service:
        client = await (await RawClient.connect(service.port)).log_in()
        assert b"UNAUTHENTICATE" not in (await client.command(b"CAPABILITY"))[0]
        assert (await client.command(b"UNAUTHENTICATE"))[-1].startswith(b"t BAD")
        assert (await client.command(b"SELECT INBOX"))[-1].startswith(b"t OK")
        await client.close()
