"""Shared folders in the daemon: two accounts, wake-ups both ways, what is taken back."""

from __future__ import annotations

import os
import time
from pathlib import Path

from mailstack.app.neighbours import AccountNeighbours
from mailstack.directory import Directory
from mailstack.mailbox import MailStore
from mailstack.model.address import Address
from mailstack.state.shares import Shares
from tests.app.test_imapd import ALICE, SECRET, Running, daemon
from tests.kit.imap_service import RawClient
from tests.kit.instance import new_instance

BOB = "bob@example.test"
THERE = f'"Shared/{BOB}/INBOX"'.encode()


async def bob_of(running: Running) -> RawClient:
    with running.instance.writer() as writer:
        writer.accounts.add(BOB, password=SECRET)
    client = await running.connect()
    assert (await client.command(f'LOGIN {BOB} "{SECRET}"'.encode()))[-1].startswith(b"t OK")
    return client


async def ok(client: RawClient, command: bytes) -> list[bytes]:
    lines = await client.command(command)
    assert lines[-1].startswith(b"t OK"), lines
    return lines


async def append(client: RawClient, mailbox: bytes) -> None:
    await ok(client, b"APPEND %b {19+}\r\nSubject: x\r\n\r\nBody!\r\n" % mailbox)


async def test_a_shared_folder_is_found_opened_and_watched(tmp_path: Path) -> None:
    async with daemon(tmp_path, idle_update_s=0.0) as running:
        bob, alice = await bob_of(running), await running.log_in()
        assert not [line for line in await ok(alice, b'LIST "" *') if b"Shared" in line]
        await ok(bob, b"SETACL INBOX %b lrs" % ALICE.encode())
        assert b"Shared/bob@example.test/INBOX" in b"".join(await ok(alice, b'LIST "" "Shared/*"'))
        await ok(alice, b"SELECT " + THERE)
        await alice.send(b"t IDLE\r\n")
        await alice.until(b"+")
        await append(bob, b"INBOX")
        assert b"* 1 EXISTS" in await alice.until(b"* 1 EXISTS", wait_s=10)
        await alice.send(b"DONE\r\n")
        await alice.until(b"t OK")
        await ok(bob, b"SELECT INBOX")
        await bob.send(b"t IDLE\r\n")
        await bob.until(b"+")
        await ok(alice, b"STORE 1 +FLAGS (\\Seen)")
        assert (await bob.until(b"* 1 FETCH", wait_s=10))[-1].startswith(b"* 1 FETCH (FLAGS (\\Seen")
        await bob.close()
        await alice.close()


async def test_what_is_no_longer_shared_ends_the_session_that_has_it_selected(tmp_path: Path) -> None:
    async with daemon(tmp_path) as running:
        bob, alice = await bob_of(running), await running.log_in()
        await ok(bob, b"SETACL INBOX %b lr" % ALICE.encode())
        await ok(alice, b"SELECT " + THERE)
        await ok(bob, b"DELETEACL INBOX " + ALICE.encode())
        await alice.send(b"t NOOP\r\n")
        assert (await alice.until(b"* BYE"))[-1].startswith(b"* BYE")
        await bob.close()
        await alice.close()


async def test_a_suspended_account_shares_nothing(tmp_path: Path) -> None:
    async with daemon(tmp_path) as running:
        bob, alice = await bob_of(running), await running.log_in()
        await ok(bob, b"SETACL INBOX %b lr" % ALICE.encode())
        assert running.instance.cli("user", "set", BOB, "--disable").code == 0
        assert (await alice.command(b"SELECT " + THERE))[-1].startswith(b"t NO [NONEXISTENT]")
        await ok(alice, b"NOOP")
        await alice.close()
        await bob.close()


async def test_sharing_can_be_switched_off(tmp_path: Path) -> None:
    async with daemon(tmp_path, sharing=False) as running:
        alice = await running.log_in()
        assert b"ACL" not in b"".join(await ok(alice, b"CAPABILITY"))
        assert b'* NAMESPACE (("" "/")) NIL NIL' in await ok(alice, b"NAMESPACE")
        assert (await alice.command(b"SELECT " + THERE))[-1].startswith(b"t NO [NONEXISTENT]")
        await alice.close()


def test_neighbours_are_accounts_that_log_in(tmp_path: Path) -> None:
    instance = new_instance(tmp_path)
    with instance.writer() as writer:
        writer.accounts.add(ALICE, password=SECRET)
        writer.accounts.add("printer@example.test", password=SECRET, kind="device")
    paths = instance.config.paths
    store = MailStore(paths.mail, now=time.time, random_bytes=os.urandom)
    directory, shares = Directory(paths), Shares(paths.state_db)
    neighbours = AccountNeighbours(directory, store, shares, anyone=True)
    assert neighbours.find(ALICE) is not None
    for nobody in ("printer@example.test", "nobody@example.test", "no address", "@", ""):
        assert neighbours.find(nobody) is None
    neighbours.note(ALICE, "anyone")
    assert neighbours.owners("carol@example.test") == [ALICE]
    neighbours.forget(ALICE, "anyone")
    assert neighbours.owners("carol@example.test") == []
    shares.close()
    directory.close()
    store.close()


def test_a_lost_table_of_shares_is_made_again_from_the_mailboxes(tmp_path: Path) -> None:
    instance = new_instance(tmp_path)
    paths = instance.config.paths
    for address in (ALICE, BOB):
        assert instance.cli("user", "add", address).code == 0
    store = MailStore(paths.mail, now=time.time, random_bytes=os.urandom)
    store.account(Address.parse(BOB)).grant("INBOX", ALICE, "lr")
    store.account(Address.parse(BOB)).grant("INBOX", "-carol@example.test", "lr")
    store.close()
    shown = instance.cli("verify")
    assert shown.code == 65
    assert f"shares folders with {ALICE}" in shown.out
    assert "carol" not in shown.out
    assert instance.cli("verify", "--repair").code == 0
    assert instance.cli("verify").code == 0
    shares = Shares(paths.state_db)
    assert shares.owners(ALICE) == [BOB]
    shares.close()
