"""A transaction's surroundings: real directory, real queue, mailboxes in memory, a filter that obeys.

`world` and `instance` are fixtures: tests/app/conftest.py brings them in.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mailstack.app.arrival import Arrivals
from mailstack.app.forwards import Forwards
from mailstack.app.mail import Services
from mailstack.app.reputation import Reputation
from mailstack.app.script_effects import ScriptEffects
from mailstack.app.threads import Threads
from mailstack.app.transaction import Transaction
from mailstack.delivery.queue import Queue
from mailstack.directory import Directory
from mailstack.model.address import Address
from mailstack.model.directory import Account
from mailstack.model.envelope import Body, Client, Envelope, Recipient
from mailstack.model.mailbox import Delivery
from mailstack.model.reply import Reply
from mailstack.model.verdict import (
    AccountAction,
    AccountVerdict,
    Authentication,
    FilterAnswer,
    FilterRequest,
    Keep,
    MessageVerdict,
    SpfResult,
)
from mailstack.net.bus import Bus
from mailstack.net.resolver import TableResolver
from mailstack.routing.route import Facts
from mailstack.state.maillog import MailLog
from mailstack.state.senders import LongSenders
from tests.kit.clock import START
from tests.kit.instance import Instance, new_instance
from tests.kit.memory_mailbox import MemoryMailbox

LETTER = (
    b"From: Someone <x@far.test>\r\nTo: you@example.test\r\nSubject: hello\r\n"
    b"Message-ID: <1@far.test>\r\n\r\nHello.\r\n"
)
OWN = LETTER.replace(b"x@far.test>\r\nTo", b"alice@example.test>\r\nTo")
SPAM = MessageVerdict(klass="spam", score=0.99, action="junk")
VERIFIED = MessageVerdict(authentication=Authentication(spf=SpfResult("pass", "far.test")))
LOOP_KEY = b"k" * 32


@dataclass
class ScriptedFilter:
    """Answers what the test says, per local part; the implicit keep for everybody else.

    Attributes:
        said: more of the account's verdict, per local part.
    """

    verdict: MessageVerdict = field(default_factory=MessageVerdict)
    actions: dict[str, tuple[AccountAction, ...]] = field(default_factory=dict)
    said: dict[str, dict[str, Any]] = field(default_factory=dict)
    klass: str = "ham"
    cuts: tuple[tuple[int, int], ...] = ()
    asked: list[FilterRequest] = field(default_factory=list)

    async def ask(self, request: FilterRequest) -> FilterAnswer:
        self.asked.append(request)
        if self.verdict.unfiltered and not self.said:
            return FilterAnswer(self.verdict)
        return FilterAnswer(
            self.verdict,
            tuple(
                AccountVerdict(
                    r.number,
                    self.klass,  # type: ignore[arg-type]
                    0.0,
                    self.actions.get(r.address.partition("@")[0], (Keep(implicit=True),)),
                    **self.said.get(r.address.partition("@")[0], {}),
                )
                for r in request.recipients
            ),
            self.cuts,
            "mx.example.test; spf=none",
        )


class Mailboxes:
    """A memory mailbox per address; `failing` ones raise."""

    def __init__(self) -> None:
        self.boxes: dict[str, MemoryMailbox] = {}
        self.failing: dict[str, Exception] = {}

    def of(self, owner: Account) -> MemoryMailbox:
        address = owner.address
        box = self.boxes.setdefault(address.local, MemoryMailbox())
        if address.local in self.failing:
            broken = MemoryMailbox()
            error = self.failing[address.local]

            def deliver(*arguments: object, **options: object) -> Delivery:
                raise error

            broken.deliver = deliver  # type: ignore[method-assign]
            return broken
        return box

    def held(self, local: str, folder: str = "INBOX") -> list[bytes]:
        box = self.boxes.get(local)
        if box is None:
            return []
        status = box.status(folder)
        return [box.data(folder, row.uid) for row in box.rows(status.id)]


@dataclass
class World:
    services: Services
    filter: ScriptedFilter
    mail: Mailboxes
    lines: io.StringIO
    fatal: list[str]

    @property
    def queue(self) -> Queue:
        return self.services.queue

    def queued(self) -> dict[str, tuple[str, list[str]]]:
        """Kind -> sender and recipients."""
        rows = self.queue.read(
            "SELECT m.kind, m.sender, r.address FROM message m JOIN recipient r ON r.message = m.id"
        )
        found: dict[str, tuple[str, list[str]]] = {}
        for kind, sender, address in rows:
            found.setdefault(str(kind), (str(sender), []))[1].append(str(address))
        return found

    async def send(
        self,
        *to: str,
        sender: str | None = "x@far.test",
        letter: bytes = LETTER,
        login: str = "",
        path: Path | None = None,
        accept_id: str = "0123456789abcdefg",
    ) -> Reply:
        """`path`: where the letter lies as if it were too large for memory."""
        reverse = Address.parse(sender) if sender else None
        account = self.account(login) if login else None
        envelope = Envelope(
            accept_id=accept_id,
            client=Client(
                "192.0.2.7", 5000, "client.far.test", login=login, listener="submission" if login else "mx"
            ),
            reverse_path=reverse,
            recipients=tuple(Recipient(Address.parse(text), n) for n, text in enumerate(to, 1)),
            received_at=START,
        )
        facts = Facts(
            sender=reverse,
            now=START,
            login=account,
            srs_secrets=self.services.directory.srs_secrets(),
            standing=self.services.forwards.standing,
        )
        body = Body(letter, size_octets=len(letter))
        if path is not None:
            path.write_bytes(letter)
            body = Body(None, str(path), len(letter))
        return await Transaction(self.services, envelope, body, account=account, facts=facts).run()

    def account(self, text: str) -> Account:
        found = self.services.directory.find(Address.parse(text))
        assert isinstance(found, Account)
        return found


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    made = new_instance(tmp_path / "i")
    for name in ("alice", "bob", "gone", "kept"):
        assert made.cli("user", "add", f"{name}@example.test").code == 0
    made.cli(
        "forward", "set", "--no-notice", "--no-check", "gone@example.test", "friend@far.test", "--no-keep"
    )
    made.cli("forward", "set", "--no-notice", "--no-check", "kept@example.test", "friend@far.test", "--keep")
    made.cli("alias", "add", "out@example.test", "friend@far.test")
    made.cli("user", "add", "deleted@example.test")
    assert made.cli("alias", "add", "lost@example.test", "deleted@example.test").code == 0
    assert made.cli("user", "remove", "deleted@example.test").code == 0
    made.cli("alias", "add", "postmaster@example.test", "alice@example.test")
    return made


@pytest.fixture
def world(instance: Instance, tmp_path: Path) -> Iterator[World]:
    config, paths = instance.config, instance.config.paths
    lines, fatal = io.StringIO(), []  # type: tuple[io.StringIO, list[str]]
    numbers = iter(range(1, 100))
    scripted, mailboxes = ScriptedFilter(), Mailboxes()
    bus = Bus(tmp_path / "run", "smtp")
    with Threads(4, "disk") as disk:
        reputation = Reputation(paths.state_db, config.mx, now=lambda: START, disk=disk)
        arrivals = Arrivals(
            config,
            paths,
            reputation=reputation,
            maillog=MailLog(None, daemon="smtp", now=lambda: START, stream=lines),
            key=LOOP_KEY,
            now=lambda: START,
            disk=disk,
        )
        services = Services(
            config=config,
            directory=Directory(paths),
            store=mailboxes,  # type: ignore[arg-type]
            queue=Queue(paths, now=lambda: START, random_bytes=lambda n: b"r" * n),
            filter=scripted,  # type: ignore[arg-type]
            maillog=MailLog(None, daemon="smtp", now=lambda: START, stream=lines),
            bus=bus,
            resolver=TableResolver({}),
            long_senders=LongSenders(paths.state_db),
            arrivals=arrivals,
            forwards=Forwards(paths.state_db, config.forwarding, now=lambda: START),
            scripts=ScriptEffects(
                paths.state_db,
                config.sieve,
                maillog=MailLog(None, daemon="smtp", now=lambda: START, stream=lines),
                hostname="mx.home.test",
            ),
            disk=disk,
            new_id=lambda: f"new{next(numbers)}",
            fatal=fatal.append,
        )
        yield World(services, scripted, mailboxes, lines, fatal)
        services.queue.close()
        services.directory.close()
        services.long_senders.close()
        services.scripts.close()
        bus.close()
