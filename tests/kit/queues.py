"""A queue in a temporary folder, with a clock a test sets."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mailstack.delivery import schema
from mailstack.delivery.entry import Entry, QueueMessage, QueueRecipient, Result
from mailstack.delivery.options import QueueOptions
from mailstack.delivery.queue import Queue
from mailstack.model.outcome import Outcome
from tests.kit.clock import Clock

MESSAGE = (
    b"From: a@example.org\r\nTo: b@example.net\r\nSubject: hello\r\n"
    b"Message-ID: <1@example.org>\r\n\r\nHello.\r\n"
)
ME = "me"
#: Nobody is given up for being slow: a machine that stands still for a moment is no fault.
PATIENT = QueueOptions(
    connect_timeout_s=30,
    command_timeout_s=30,
    data_timeout_s=30,
    end_timeout_s=30,
    quit_timeout_s=30,
)


@dataclass(frozen=True)
class QueueFolders:
    """As `mailstack.app.paths.Paths` names them."""

    queue: Path

    @property
    def queue_db(self) -> Path:
        return self.queue / "queue.db"

    @property
    def queue_messages(self) -> Path:
        return self.queue / "messages"

    @property
    def queue_tmp(self) -> Path:
        return self.queue / "tmp"

    @property
    def queue_quarantine(self) -> Path:
        return self.queue / "quarantine"


def claim(queue: Queue, wanted: Mapping[str, int], lease_owner: str = ME) -> list[Entry]:
    """Claims by destination, from all its lanes."""
    found = []
    for destination, count in wanted.items():
        for (number,) in queue.read("SELECT id FROM lane WHERE destination = ? ORDER BY id", (destination,)):
            found += queue.claim({int(str(number)): count}, lease_owner=lease_owner)
    return found


@dataclass
class QueueKit:
    """A queue and what tests do with it all the time."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    options: QueueOptions = field(default_factory=lambda: QueueOptions(jitter_percent=0))
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.paths = QueueFolders(self.folder / "queue")
        self.paths.queue.mkdir(parents=True, exist_ok=True)
        schema.migrate(self.paths.queue_db, now=self.clock)
        self.queue = self.open()

    def open(self) -> Queue:
        """A hold on the same queue, as another process would have it."""
        return Queue(self.paths, now=self.clock, random_bytes=self.random_bytes, options=self.options)

    def random_bytes(self, count: int) -> bytes:
        return (next(self.numbers) * 2_654_435_761 % 2**32).to_bytes(4, "big") * (count // 4) + bytes(
            count % 4
        )

    def put(self, *recipients: str | QueueRecipient, **facts: Any) -> str:
        """Queues a message; gives its id."""
        values = {"data": MESSAGE, "sender": "a@example.org", **facts}
        made = tuple(r if isinstance(r, QueueRecipient) else QueueRecipient(r) for r in recipients)
        return self.queue.enqueue(
            [QueueMessage(recipients=made or (QueueRecipient("b@example.net"),), **values)]
        )[0]

    def claim(self, destination: str = "example.net", count: int = 10) -> list[Entry]:
        """Claims as `ME`."""
        return claim(self.queue, {destination: count})

    def due(self) -> list[tuple[str, float]]:
        """Destinations with mail that waits, and when its first is due."""
        found = self.queue.read(
            "SELECT destination, MIN(next_at) FROM recipient WHERE state = 0 GROUP BY destination ORDER BY 2"
        )
        return [(str(name), float(str(at))) for name, at in found]

    def finish(self, entry: Entry, outcomes: Outcome | Sequence[Outcome], **more: Any) -> list[str]:
        """One outcome for all recipients of an entry, or one each."""
        each = outcomes if isinstance(outcomes, Sequence) else [outcomes] * len(entry.recipients)
        results = [Result(r, o, "mx.test[192.0.2.1]") for r, o in zip(entry.recipients, each, strict=True)]
        return self.queue.finish(entry.facts.queue_id, results, lease_owner=ME, **more)

    def states(self, queue_id: str) -> list[int]:
        """States of a message's recipients, in order."""
        found = self.queue.read(
            "SELECT state FROM recipient WHERE message = ? ORDER BY position", (queue_id,)
        )
        return [int(str(state)) for (state,) in found]

    def files(self) -> list[str]:
        return sorted(path.name for path in self.paths.queue_messages.iterdir())
