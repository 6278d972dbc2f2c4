"""Deliveries of one message over real sockets, with DNS from a dictionary."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from mailstack.delivery.entry import Entry, EntryRecipient, Facts
from mailstack.delivery.spool import Content
from mailstack.model.dns import Answer, Question
from mailstack.net.resolver import Budget, DnsSource
from mailstack.net.smtp_delivery import SmtpDelivery, Trial
from tests.kit.queues import MESSAGE, PATIENT
from tests.kit.smtp_sink import SmtpSink

OPTIONS = msgspec.structs.replace(PATIENT, allow_loopback=True)
FACTS = Facts(
    queue_id="q1",
    accept_id="a1",
    kind="submission",
    sender="a@x.org",
    owner="a@x.org",
    is_sender_verified=True,
    smtputf8=False,
    body="7BIT",
    has_8bit=False,
    has_8bit_header=False,
    ret="",
    envid="",
    size_octets=len(MESSAGE),
    sha256="",
    created_at=0.0,
)


class Zone:
    """DNS from a dictionary: name -> kind -> records."""

    def __init__(self, **names: dict[str, list[object]]) -> None:
        self.names = {name.replace("_", "."): records for name, records in names.items()}
        self.asked: list[Question] = []

    def new_budget(self) -> Budget:
        return Budget(100, asyncio.get_running_loop().time() + 20)

    async def lookup(self, name: str, kind: str, *, budget: Budget | None = None) -> Answer:
        self.asked.append(Question(name, kind))
        records = self.names.get(name, {}).get(kind)
        return Answer("ok", tuple(records)) if records else Answer("nodata")


def entry(*addresses: str, **facts: Any) -> Entry:
    recipients = tuple(
        EntryRecipient(
            n, n, a, "remote", "", frozenset(), "", "", a.partition("@")[2], 1, 0.0, 0.0, False, False
        )
        for n, a in enumerate(addresses or ("b@y.test",), 1)
    )
    return Entry(dataclasses.replace(FACTS, **facts), recipients)


@asynccontextmanager
async def delivery(
    sink: SmtpSink | None = None, zone: DnsSource | None = None, **options: Any
) -> AsyncIterator[SmtpDelivery]:
    """All of y.test goes to the sink, by MX record."""
    zone = zone or Zone(y_test={"MX": [(10, "mx.y.test")]}, mx_y_test={"A": ["127.0.0.1"]})
    values = {**({"port": sink.port} if sink else {}), **options}
    made = SmtpDelivery(
        msgspec.structs.replace(OPTIONS, **values), helo="us.test", dns=zone, chance=lambda: 0.5
    )
    yield made
    await made.close()


async def deliver(made: SmtpDelivery, what: Entry | None = None) -> Trial:
    return await made.deliver(what or entry(), Content(MESSAGE, Path("unused"), len(MESSAGE)))


def codes(trial: Trial) -> list[int]:
    return [tried.answer.reply.code for tried in trial.recipients]
