"""Sessions of accounts that changed end, and nobody else's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailstack.app import logouts
from mailstack.model.directory import Account
from mailstack.model.errors import TemporaryFailure
from tests.kit.smtp_acceptor import PASSWORDS, Running, running
from tests.kit.smtp_talk import Talk

ALICE, CAROL = "alice@example.test", "carol@example.test"
LOGGED_OUT = "421 4.7.0 The account was suspended or its password changed, log in again"


class Accounts:
    """What the directory says."""

    def __init__(self) -> None:
        self.version = 1
        self.changed: set[str] = set()
        self.asked = 0
        self.is_broken = False

    def look(self) -> int:
        if self.is_broken:
            raise TemporaryFailure("the disk is away")
        return self.version

    def is_current(self, account: Account) -> bool:
        self.asked += 1
        return account.address.key not in self.changed

    def change(self, address: str) -> None:
        self.changed.add(address)
        self.version += 1


@contextlib.asynccontextmanager
async def reviewed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Running, Accounts]]:
    monkeypatch.setattr(logouts, "REVIEW_S", 0.01)
    accounts = Accounts()
    async with running(folder, "submissions") as server:
        task = asyncio.create_task(
            logouts.review([server.server], version=accounts.look, is_current=accounts.is_current)
        )
        yield server, accounts
        assert not task.done()
        task.cancel()


async def log_in(server: Running, who: str) -> Talk:
    return await Talk.hello(server.port, tls=True, login=who, password=PASSWORDS[who][0])


async def test_the_sessions_of_a_changed_account_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A15, A16
    async with (
        reviewed(tmp_path, monkeypatch) as (server, accounts),
        await log_in(server, ALICE) as alice,
        await log_in(server, CAROL) as carol,
        await Talk.hello(server.port, tls=True) as stranger,
    ):
        accounts.change(ALICE)
        assert await alice.reply() == LOGGED_OUT
        assert await alice.rest() == ""
        assert (await carol.ask("NOOP"))[:3] == "250"
        assert (await stranger.ask("NOOP"))[:3] == "250"


async def test_a_message_on_its_way_is_taken_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with reviewed(tmp_path, monkeypatch) as (server, accounts):
        alice = await log_in(server, ALICE)
        async with alice:
            for line in (f"MAIL FROM:<{ALICE}>", "RCPT TO:<bob@example.test>"):
                assert (await alice.ask(line))[:3] == "250"
            assert (await alice.ask("DATA"))[:3] == "354"
            before = accounts.asked
            accounts.change(ALICE)
            while accounts.asked == before:
                await asyncio.sleep(0.01)
            assert (await alice.ask(f"From: <{ALICE}>\r\n\r\nx\r\n."))[:3] == "250"
            assert await alice.reply() == LOGGED_OUT


async def test_accounts_are_asked_about_when_something_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reviewed(tmp_path, monkeypatch) as (server, accounts):
        alice = await log_in(server, ALICE)
        async with alice:
            before = accounts.asked  # of the first look, if that came after the login
            accounts.version += 1
            while accounts.asked == before:
                await asyncio.sleep(0.01)
            seen = accounts.asked
            accounts.is_broken = True
            await asyncio.sleep(0.1)
            accounts.is_broken = False
            await asyncio.sleep(0.1)
            assert accounts.asked == seen
            accounts.change(ALICE)
            assert await alice.reply() == LOGGED_OUT
