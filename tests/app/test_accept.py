"""RCPT and the end of DATA for mailboxes that are full."""

from __future__ import annotations

import io
import os
import types
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailstack.app.accept import AcceptService
from mailstack.mailbox.store import MailStore
from mailstack.model.address import Address
from mailstack.model.envelope import Body, Client, Envelope, Recipient
from mailstack.model.mailbox import NewMessage
from mailstack.state.maillog import MailLog
from tests.kit.clock import Clock
from tests.kit.instance import Instance, new_instance

DAY_S = 86_400
CLIENT = Client("192.0.2.1", 2_500, "mx.elsewhere.test")
ALICE = Address.parse("alice@example.test")
SENDER = Address.parse("bob@elsewhere.test")
OCTETS = b"Subject: x\r\n\r\n" + b"x" * 1_000 + b"\r\n"


class Kit:
    def __init__(self, instance: Instance) -> None:
        self.clock = Clock()
        self._log = io.StringIO()
        self.store = MailStore(instance.config.paths.mail, now=self.clock, random_bytes=os.urandom)
        context = types.SimpleNamespace(
            config=instance.config,
            paths=instance.config.paths,
            now=self.clock,
            random_bytes=os.urandom,
            bus=types.SimpleNamespace(publish=lambda role, event: None),
            maillog=MailLog(None, daemon="smtp", now=self.clock, stream=self._log),
            fatal=lambda why: None,
            workers=1,
        )
        self.service = AcceptService(context)  # type: ignore[arg-type]

    def log(self) -> list[str]:
        return self._log.getvalue().splitlines()

    async def rcpt(self, to: str = "alice@example.test") -> str:
        reply = await self.service.check_recipient(CLIENT, None, SENDER, Address.parse(to))
        return f"{reply.code} {reply.code // 100}.{reply.status}"

    async def data(self, *to: str) -> str:
        envelope = Envelope(
            accept_id=self.service.new_id(),
            client=CLIENT,
            reverse_path=SENDER,
            recipients=tuple(Recipient(Address.parse(text), n) for n, text in enumerate(to, 1)),
            received_at=self.clock(),
        )
        reply = await self.service.accept(envelope, Body(OCTETS, size_octets=len(OCTETS)), None)
        return f"{reply.code} {reply.code // 100}.{reply.status}"

    def fill(self, folder: str = "INBOX", number: int = 1) -> list[int]:
        return list(self.store.account(ALICE).append(folder, [NewMessage(OCTETS)] * number).uids)


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    instance = new_instance(tmp_path)
    with instance.writer() as writer:
        writer.accounts.add("alice@example.test", quota_octets=2_500)
        writer.accounts.add("free@example.test")
        writer.accounts.add("carol@example.test")
        writer.accounts.set_keeping("free@example.test", quota_messages=0)
    kit = Kit(instance)
    yield kit
    kit.store.close()
    await kit.service.close()


async def test_a_full_mailbox_is_452_for_seven_days_and_550_then(kit: Kit) -> None:
    assert await kit.rcpt() == "250 2.1.5"
    uids = kit.fill(number=3)
    for _ in range(7):
        assert await kit.rcpt() == "452 4.2.2"
        kit.clock.advance(DAY_S)
    assert await kit.rcpt() == "550 5.2.2"
    account = kit.store.account(ALICE)
    account.expunge(account.status("INBOX").id, uids[:2])
    assert await kit.rcpt() == "250 2.1.5"
    kit.fill(number=2)
    assert await kit.rcpt() == "452 4.2.2"


async def test_messages_count_too(kit: Kit) -> None:
    assert await kit.rcpt("free@example.test") == "452 4.2.2"


async def test_spam_and_trash_keep_nothing_out(kit: Kit) -> None:
    kit.fill("Spam", 5)
    kit.fill("Trash", 5)
    assert await kit.rcpt() == "250 2.1.5"


async def test_a_clock_ten_years_ahead_refuses_nothing_for_good(kit: Kit) -> None:
    # F28
    kit.fill(number=3)
    assert await kit.rcpt() == "452 4.2.2"
    kit.clock.advance(10 * 365 * DAY_S)
    assert await kit.rcpt() == "452 4.2.2"


async def test_the_line_is_drawn_at_the_end_of_data_too(kit: Kit) -> None:
    # RCPT was said yes to while there was room; somebody else's message came first.
    kit.fill(number=2)
    assert await kit.data("alice@example.test") == "250 2.0.0"
    assert await kit.data("alice@example.test") == "452 4.2.2"
    account = kit.store.account(ALICE)
    assert account.status("INBOX").messages == 3
    assert not list((account.core.maildir / "tmp").iterdir())


async def test_who_has_room_gets_it_and_for_the_full_one_it_is_tried_again(kit: Kit) -> None:
    kit.fill(number=3)
    assert await kit.data("alice@example.test", "carol@example.test") == "250 2.0.0"
    carol = kit.store.account(Address.parse("carol@example.test"))
    assert carol.status("INBOX").messages == 1
    [entry] = kit.service._services.queue.read("SELECT address, kind FROM recipient")
    assert entry == ("alice@example.test", "local")
