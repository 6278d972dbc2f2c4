"""Mailboxes nobody uses are closed, and open themselves again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from mailstack.app import memory
from mailstack.app.resting import rest
from mailstack.mailbox import MailStore
from mailstack.model.address import Address
from mailstack.net.session_hub import AtWork


def open_databases(folder: Path) -> int:
    """How many databases below this folder this process has open."""
    return sum(file.path.startswith(str(folder)) for file in psutil.Process().open_files())


async def test_an_idle_mailbox_is_closed_and_works_again(tmp_path: Path) -> None:
    store = MailStore(tmp_path, now=time.time, random_bytes=os.urandom)
    account = store.account(Address("alice", "example.test"))
    inbox = account.status("INBOX").id
    assert open_databases(tmp_path)
    at_work = AtWork()
    with ThreadPoolExecutor(1) as executor:
        resting = asyncio.create_task(rest(store, at_work, executor, idle_s=0.2))
        async with asyncio.timeout(60):
            while open_databases(tmp_path):
                await asyncio.sleep(0.02)
        assert store.idle(0.0) == []
        assert account.highest_modseq(inbox) and open_databases(tmp_path)
        resting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await resting
    store.close()


def test_one_that_is_in_use_stays_open(tmp_path: Path) -> None:
    store = MailStore(tmp_path, now=time.time, random_bytes=os.urandom)
    account = store.account(Address("alice", "example.test"))
    account.status("INBOX")
    assert store.idle(60.0) == []
    with account.core.db.read():
        [address] = store.idle(-1.0)
        store.rest("somebody@else.test")
        assert open_databases(tmp_path)
    store.rest(address)
    assert not open_databases(tmp_path)
    store.close()


def test_memory_is_given_back_where_the_system_can() -> None:
    memory.be_lean()
    held = bytearray(50_000_000)
    before = psutil.Process().memory_info().rss
    del held
    memory.give_back()
    assert before - psutil.Process().memory_info().rss > 40_000_000
