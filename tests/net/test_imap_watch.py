"""Changes other programs make to the files are shown in IDLE: inotify, and where it cannot."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mailstack.imap.options import ImapOptions
from mailstack.mailbox import MailStore
from mailstack.mailbox.store import Account
from mailstack.net import imap_watch
from tests.kit.bare_session import ACCOUNT, message
from tests.kit.imap_service import ImapService, RawClient, running

MESSAGE = message().replace(b"\r\n", b"\n")


@asynccontextmanager
async def real(folder: Path, **options: float) -> AsyncIterator[tuple[ImapService, Path]]:
    """A server with mailboxes on disk, which looks by itself only once a minute; and its Maildir."""
    mail = MailStore(folder / "mail", now=time.time, random_bytes=os.urandom)
    store = mail.account(ACCOUNT.address)
    chosen = ImapOptions(**({"poll_s": 60.0, "allow_plaintext_loopback": True} | options))  # type: ignore[arg-type]
    try:
        async with running(folder, options=chosen, store=store) as service:
            yield service, store.core.maildir
    finally:
        mail.close()


async def idling(service: ImapService, name: bytes = b"INBOX") -> RawClient:
    """A client in IDLE."""
    client = await (await RawClient.connect(service.port)).log_in()
    assert (await client.command(b"SELECT " + name))[-1].startswith(b"t OK")
    await client.send(b"i IDLE\r\n")
    assert await client.line() == b"+ idling"
    return client


async def covered(service: ImapService, directories: int) -> None:
    """So many directories are watched."""
    async with asyncio.timeout(60):
        while service.hub.watch.watches != directories:
            await asyncio.sleep(0.01)


def put(maildir: Path, base: str, *, flags: str = "") -> Path:
    """Another program delivers."""
    (maildir / "tmp" / base).write_bytes(MESSAGE)
    target = maildir / ("cur" if flags else "new") / (f"{base}:2,{flags}" if flags else base)
    os.rename(maildir / "tmp" / base, target)
    return target


async def test_new_files_renamed_flags_and_removed_files_are_seen_in_idle(tmp_path: Path) -> None:
    async with real(tmp_path) as (service, maildir):
        client = await idling(service)
        path = put(maildir, "1.other")
        assert await client.line() == b"* 1 EXISTS"
        assert await client.line() == b"* 1 RECENT"
        os.rename(path, maildir / "cur" / "1.other:2,FS")
        line = await client.line()
        assert line.startswith(b"* 1 FETCH") and b"\\Flagged" in line and b"\\Seen" in line
        (maildir / "cur" / "1.other:2,FS").unlink()
        assert await client.line() == b"* 1 EXPUNGE"
        await client.close()


async def test_a_folder_removed_by_another_program_ends_the_session_that_has_it_selected(
    tmp_path: Path,
) -> None:
    async with real(tmp_path) as (service, maildir):
        client = await idling(service, b"Archive")
        shutil.rmtree(maildir / ".Archive")
        assert (await client.line()).startswith(b"* BYE")
        await client.close()


async def test_a_long_look_at_one_mailbox_stops_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, goes_on, ended = threading.Event(), threading.Event(), list[bool]()

    def look(account: Account, folder_id: int) -> bool:
        # What a folder with very many messages takes long for.
        with account.core.db.read():
            looking.set()
            ended.append(goes_on.wait(20))
        return False

    async with real(tmp_path) as (service, maildir):
        sibling = await (await RawClient.connect(service.port)).log_in()
        assert (await sibling.command(b"SELECT INBOX"))[-1].startswith(b"t OK")
        stranger = await RawClient.connect(service.port)
        await stranger.line()
        client = await idling(service)
        assert isinstance(service.store, Account)
        service.store.core.db._open_reader()  # as where somebody once read beside a writer
        monkeypatch.setattr(Account, "refresh", look)
        put(maildir, "1.other")
        assert await asyncio.to_thread(looking.wait, 20)
        await sibling.send(b"n UID SEARCH ALL\r\n")
        assert (await stranger.command(b"CAPABILITY"))[-1].startswith(b"t OK")
        goes_on.set()
        await sibling.until(b"n OK")
        assert all(ended)
        for one in (client, sibling, stranger):
            await one.close()


async def test_a_mailbox_that_does_not_answer_stops_nobody_when_somebody_begins_to_wait_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, goes_on, ended = threading.Event(), threading.Event(), list[bool]()
    directory = Account.directory

    def slow(account: Account, folder_id: int | None) -> str:
        asked.set()
        ended.append(goes_on.wait(20))
        return directory(account, folder_id)

    monkeypatch.setattr(Account, "directory", slow)
    async with real(tmp_path) as (service, maildir):
        stranger = await RawClient.connect(service.port)
        await stranger.line()
        client = await idling(service)
        assert await asyncio.to_thread(asked.wait, 20)
        assert (await stranger.command(b"CAPABILITY"))[-1].startswith(b"t OK")
        put(maildir, "1.other")  # before anything is watched
        goes_on.set()
        assert await client.line() == b"* 1 EXISTS"
        assert all(ended)
        for one in (client, stranger):
            await one.close()


@pytest.mark.parametrize("most", [0, 2])
async def test_folders_that_cannot_be_watched_are_polled(tmp_path: Path, most: int) -> None:
    # 2: the home fits, the folder's new/ and cur/ do not.
    async with real(tmp_path, poll_s=0.05, watch_directories=most) as (service, maildir):
        client = await idling(service)
        await covered(service, most // 2)
        put(maildir, "1.other", flags="S")
        assert await client.line() == b"* 1 EXISTS"
        await client.close()


async def test_without_inotify_everything_is_polled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(imap_watch, "Inotify", none)
    async with real(tmp_path, poll_s=0.05) as (service, maildir):
        client = await idling(service)
        put(maildir, "1.other", flags="S")
        assert await client.line() == b"* 1 EXISTS"
        await client.close()


async def test_a_directory_is_watched_once_for_many_and_no_longer_than_somebody_waits(
    tmp_path: Path,
) -> None:
    async with real(tmp_path) as (service, maildir):
        clients = [await idling(service) for _ in range(5)]
        clients.append(await idling(service, b"Sent"))
        await covered(service, 5)
        for client in clients[1:]:
            await client.send(b"DONE\r\n")
            assert (await client.until(b"i "))[-1].startswith(b"i OK")
        async with asyncio.timeout(60):
            while service.hub.watch.watches > 3:
                service.hub.watch.forget()
                await asyncio.sleep(0.01)
        put(maildir, "1.other")
        assert await clients[0].line() == b"* 1 EXISTS"
        for client in clients:
            await client.close()


async def test_a_folder_watched_again_shows_what_happened_in_between(tmp_path: Path) -> None:
    async with real(tmp_path) as (service, maildir):
        client = await idling(service)
        await covered(service, 3)
        await client.send(b"DONE\r\n")
        await client.until(b"i ")
        async with asyncio.timeout(60):
            while service.hub.watch.watches:
                service.hub.watch.forget()
                await asyncio.sleep(0.01)
        put(maildir, "1.other")
        await client.send(b"i IDLE\r\n")
        assert await client.until(b"* 1 EXISTS") == [b"+ idling", b"* 1 EXISTS"]
        await client.close()


async def test_new_removed_and_changed_folders_are_told_to_who_asked_with_notify(tmp_path: Path) -> None:
    async with real(tmp_path) as (service, maildir):
        client = await (await RawClient.connect(service.port)).log_in()
        lines = await client.command(
            b"NOTIFY SET (personal (MailboxName MessageNew MessageExpunge FlagChange))"
        )
        assert lines[-1] == b"t OK Notify completed"
        await client.command(b"NOOP")
        for name in ("cur", "new", "tmp"):
            (maildir / ".Other" / name).mkdir(parents=True)
        assert await client.until(b"* LIST ") == [b'* LIST (\\HasNoChildren) "/" "Other"']
        put(maildir / ".Other", "1.other")
        assert (await client.line()).startswith(b'* STATUS "Other" (MESSAGES 1 UIDNEXT 2 ')
        os.rename(maildir / ".Other/new/1.other", maildir / ".Other/cur/1.other:2,S")
        assert b" UNSEEN 0" in await client.line()
        put(maildir / ".Sent", "2.other", flags="S")
        assert (await client.line()).startswith(b'* STATUS "Sent" (MESSAGES 1 ')
        shutil.rmtree(maildir / ".Other")
        assert (await client.line()).startswith(b'* LIST (\\NonExistent \\HasNoChildren) "/" "Other"')
        await client.close()
