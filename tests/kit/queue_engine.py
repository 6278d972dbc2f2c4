"""The queue's engine with real queue and sockets, and a home whose mailboxes are lists."""

from __future__ import annotations

import asyncio
import io
import os
import re
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from mailstack.app.config import Config
from mailstack.app.options import ServerOptions
from mailstack.app.queue_engine import Engine
from mailstack.app.queue_settle import Settler
from mailstack.delivery.dsn import Site
from mailstack.delivery.entry import Entry, EntryRecipient, RecipientKind
from mailstack.delivery.lease import Lease
from mailstack.delivery.options import Route
from mailstack.delivery.spool import Content
from mailstack.model.outcome import Delivered, Failed, Outcome
from mailstack.model.reply import Reply
from mailstack.net.resolver import OfflineResolver
from mailstack.net.smtp_delivery import SmtpDelivery
from mailstack.state.maillog import MailLog
from tests.kit.loops import WAIT_S, until
from tests.kit.queues import PATIENT, QueueKit
from tests.kit.smtp_sink import SmtpSink

#: Tries follow each other soon.
FAST = msgspec.structs.replace(
    PATIENT,
    jitter_percent=0,
    first_wait_s=0.2,
    max_wait_s=0.4,
    give_up_after_s=300.0,
    bounce_give_up_after_s=300.0,
    delay_notice_after_s=300.0,
)

#: A five-day life in five seconds.
SHORT_LIFE = {"give_up_after_s": 5.0, "bounce_give_up_after_s": 2.0, "delay_notice_after_s": 1.0}


@dataclass
class ListHome:
    """Accounts of example.org; what is delivered lies in `mailboxes`."""

    config: Config
    maillog: MailLog
    accounts: tuple[str, ...] = ("alice@example.org", "postmaster@example.org")
    mailboxes: dict[str, list[bytes]] = field(default_factory=dict)
    answers: dict[str, list[Outcome]] = field(default_factory=dict)
    reversed: dict[str, str] = field(default_factory=dict)

    @property
    def site(self) -> Site:
        return Site("mail.example.org", self.where, full_octets=self.config.queue.dsn_full_octets)

    def where(self, address: str) -> tuple[str, RecipientKind]:
        if address in self.reversed:
            return self.reversed[address], "remote"
        if address.endswith("@example.org"):
            return (address, "local") if address in self.accounts else ("", "local")
        return address, "remote"

    def postmaster(self) -> str:
        return "postmaster@example.org" if "postmaster@example.org" in self.accounts else ""

    def deliver(self, entry: Entry, recipient: EntryRecipient, content: Content) -> Outcome:
        waiting = self.answers.get(recipient.address)
        if waiting:
            return waiting.pop(0)
        if recipient.address not in self.accounts:
            return Failed(Reply(550, "1.1", "no such mailbox"))
        self.mailboxes.setdefault(recipient.address, []).append(content.read())
        return Delivered("INBOX", "stored")


@dataclass
class EngineKit:
    """A running engine and what is around it."""

    kit: QueueKit
    home: ListHome
    engine: Engine
    stop: asyncio.Event
    log_text: io.StringIO

    def put(self, *recipients: Any, **facts: Any) -> str:
        """Queues a message and wakes the engine, as the smtp daemon does."""
        queue_id = self.kit.put(
            *recipients, **{"sender": "alice@example.org", "owner": "alice@example.org", **facts}
        )
        self.engine.wake()
        return queue_id

    @property
    def log(self) -> list[str]:
        """Lines without their time stamp."""
        return [re.sub(r"^\S+Z queue ", "", line) for line in self.log_text.getvalue().splitlines()]

    def logged(self, event: str) -> list[str]:
        return [line for line in self.log if line.startswith(f"{event} ")]

    async def until(self, holds: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
        """Waits until `holds()`."""
        await until(holds, lambda: "\n".join(["", *self.log]), timeout_s=timeout_s)

    async def until_empty(self, timeout_s: float = WAIT_S) -> None:
        """Waits until the queue is empty."""
        await self.until(lambda: not self.kit.queue.read("SELECT 1 FROM message LIMIT 1"), timeout_s)

    def mail(self, address: str) -> list[bytes]:
        return self.home.mailboxes.get(address, [])


def routes(**sinks: SmtpSink) -> tuple[Route, ...]:
    """`live_test=sink`: mail for live.test goes there."""
    return tuple(
        Route(domain=name.replace("_", "."), host=sink.host, port=sink.port) for name, sink in sinks.items()
    )


@asynccontextmanager
async def running(
    folder: Path,
    *routes: Route,
    start: bool = True,
    bounced: Callable[[str, int], None] = lambda owner, recipients: None,
    smtp: SmtpDelivery | None = None,
    **options: Any,
) -> AsyncIterator[EngineKit]:
    """An engine at work on a queue in `folder`; real time.  `bounced`: see Settler."""
    import time

    values = msgspec.structs.replace(FAST, route=routes, **options)
    kit = QueueKit(folder, clock=time.time, options=values)  # type: ignore[arg-type]
    text = io.StringIO()
    maillog = MailLog(None, daemon="queue", now=time.time, stream=text)
    config = Config(server=ServerOptions(hostname="mail.example.org"), queue=values)
    home = ListHome(config, maillog)
    lease = Lease(kit.paths, random_bytes=os.urandom)
    smtp = smtp or SmtpDelivery(values, helo="mail.example.org", dns=OfflineResolver(), chance=lambda: 0.5)
    stop = asyncio.Event()
    with ThreadPoolExecutor(16) as threads:
        engine = Engine(
            kit.queue,
            kit.paths,
            lease=lease,
            smtp=smtp,
            deliver_local=home.deliver,
            settler=Settler(kit.queue, home, lease_owner=lease.owner, bounced=bounced),  # type: ignore[arg-type]
            maillog=maillog,
            threads=threads,
            fatal=lambda why: stop.set(),
        )
        await engine.prepare()
        work = asyncio.create_task(engine.run(stop)) if start else None
        try:
            yield EngineKit(kit, home, engine, stop, text)
        finally:
            stop.set()
            if work is not None:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
            await engine.close()
            await smtp.close()
            kit.queue.close()
            lease.close()
