"""Two smtp workers on one instance, in the test's process, and a login that sends."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import types
from collections.abc import AsyncIterator
from pathlib import Path

from mailstack.app.accept import AcceptService
from mailstack.model.address import Address
from mailstack.model.directory import Account
from mailstack.model.envelope import Body, Client, Envelope, Recipient
from mailstack.model.reply import Reply
from mailstack.model.sending import Used
from mailstack.smtp.command import Mail
from mailstack.state.maillog import MailLog
from mailstack.state.sending import Sending
from tests.kit.clock import Clock
from tests.kit.instance import Instance, new_instance

ALICE = "alice@example.test"
CLIENT = Client("192.0.2.7", 2_500, "laptop", tls="TLSv1.3", login=ALICE, listener="submissions")
LETTER = b"From: alice@example.test\r\nTo: x@far.test\r\nSubject: x\r\n\r\nhello\r\n"


class Workers:
    """Two smtp workers on one instance."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.clock = Clock()
        self.log = io.StringIO()
        context = types.SimpleNamespace(
            config=instance.config,
            paths=instance.config.paths,
            workers=2,
            now=self.clock,
            random_bytes=os.urandom,
            bus=types.SimpleNamespace(publish=lambda role, event: None),
            maillog=MailLog(None, daemon="smtp", now=self.clock, stream=self.log),
            fatal=lambda why: None,
        )
        self.workers = [AcceptService(context) for _ in range(2)]  # type: ignore[arg-type]
        self.table = Sending(instance.config.paths.state_db)
        self._turn = 0

    def limit(self, **limits: int) -> None:
        with self.instance.writer() as writer:
            writer.sending.limit(ALICE, limits)

    @property
    def account(self) -> Account:
        found = self.workers[0]._directory.find(Address.parse(ALICE))
        assert isinstance(found, Account)
        return found

    @property
    def used(self) -> Used:
        return self.table.used(self.account.id, self.clock())

    async def mail(self, sender: str = ALICE) -> Reply | None:
        path = Address.parse(sender) if sender else None
        return await self._worker().check_sender(CLIENT, self.account, Mail(path))

    async def data(
        self, *to: str, letter: bytes = LETTER, account: Account | None = None, client: Client = CLIENT
    ) -> str:
        worker, account = self._worker(), account or self.account
        envelope = Envelope(
            accept_id=worker.new_id(),
            client=client,
            reverse_path=Address.parse(ALICE),
            recipients=tuple(Recipient(Address.parse(text), n) for n, text in enumerate(to, 1)),
            received_at=self.clock(),
        )
        return str(await worker.accept(envelope, Body(letter, size_octets=len(letter)), account))

    def _worker(self) -> AcceptService:
        self._turn += 1
        return self.workers[self._turn % 2]

    def queued(self) -> list[tuple[str, str]]:
        """(recipient, kind) of what is in the queue."""
        rows = self.workers[0]._services.queue.read(
            "SELECT r.address, m.kind FROM recipient r JOIN message m ON m.id = r.message"
        )
        return [(str(address), str(kind)) for address, kind in rows]

    async def notices(self, number: int) -> list[str]:
        """Whom notices went to, once there are so many."""
        async with asyncio.timeout(60):
            while True:
                found = [to for to, kind in self.queued() if kind == "vacation"]
                if len(found) >= number:
                    return found
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def two_workers(folder: Path, options: str = "") -> AsyncIterator[Workers]:
    """alice and bob, who is the postmaster.  `options`: more of the configuration file."""
    instance = new_instance(folder)
    with instance.file.open("a") as file:
        file.write(options)
    with instance.writer(now=Clock()) as writer:
        for address in (ALICE, "bob@example.test"):
            writer.accounts.add(address)
        writer.aliases.add("postmaster@example.test", ["bob@example.test"])
    kit = Workers(instance)
    yield kit
    kit.table.close()
    for worker in kit.workers:
        await worker.close()
