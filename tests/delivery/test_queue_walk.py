"""Long random walks over the queue: nothing lost, nothing ended twice, no attempt before its time.

Promises P2 and P5; faults page, section 4.5, row "queue".  Seeded: a failing walk is the
same walk tomorrow.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from mailstack.delivery import admin, recover, upkeep
from mailstack.delivery.entry import LOCAL, Entry, QueueMessage, QueueRecipient, Result
from mailstack.delivery.queue import LeaseLost
from mailstack.delivery.schema import DELIVERED, FAILED
from mailstack.model.outcome import Deferred, Delivered, Failed, Outcome
from mailstack.model.reply import Reply
from tests.kit.queues import MESSAGE, QueueKit, claim

PLACES = ("one.test", "two.test", LOCAL)
WORKERS = ("first", "second")
OUTCOMES: list[Outcome] = [
    Delivered("mx", "ok"),
    Deferred(Reply(451, "3.0", "later")),
    Deferred(Reply(450, "7.1", "later still")),
    Failed(Reply(550, "1.1", "no")),
]
Key = tuple[str, int]


class Walk:
    """`ends` counts end states by (queue id, position); `open` are those without one."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.kit = QueueKit(folder)
        self.queue = self.kit.queue
        self.open: set[Key] = set()
        self.ends: Counter[Key] = Counter()
        self.running: list[tuple[str, Entry]] = []
        self.not_before: dict[Key, float] = {}
        self.crashes: Counter[Key] = Counter()
        self.holders: dict[Key, tuple[str, int]] = {}
        self.removed: set[str] = set()
        self.steps: Counter[str] = Counter()

    def step(self) -> None:
        names = ["enqueue", "claim", "claim", "finish", "finish", "finish", "crash", "wait", "wait", "wait"]
        names += ["put_the_clock_back", "administer", "administer", "restart"]
        if len(self.open) > 40:
            names = [name for name in names if name != "enqueue"]
        name = self.chance.choice(names)
        self.steps[name] += 1
        getattr(self, name)()
        self.check()

    def enqueue(self) -> None:
        places = self.chance.choices(PLACES, k=self.chance.randint(1, 4))
        recipients = tuple(
            QueueRecipient("x@here.test", kind="local") if p == LOCAL else QueueRecipient(f"x@{p}")
            for p in places
        )
        (queue_id,) = self.queue.enqueue([QueueMessage(recipients, data=MESSAGE)])
        self.open |= {(queue_id, n) for n in range(1, len(places) + 1)}

    def claim(self) -> None:
        worker = self.chance.choice(WORKERS)
        wanted = dict.fromkeys(PLACES, self.chance.randint(1, 3))
        for entry in claim(self.queue, wanted, worker):
            for recipient in entry.recipients:
                key = (entry.facts.queue_id, recipient.position)
                assert key in self.open, "an ended recipient was tried again"
                assert self.kit.clock.time >= self.not_before.get(key, 0.0), "an attempt before its time"
                self.not_before[key] = recipient.next_at
                self.holders[key] = (worker, recipient.tries)
                self.steps["attempts"] += 1
            self.running.append((worker, entry))

    def finish(self) -> None:
        if not self.running:
            return
        worker, entry = self.running.pop(self.chance.randrange(len(self.running)))
        outcomes = [self.chance.choice(OUTCOMES) for _ in entry.recipients]
        results = [Result(r, o, "mx") for r, o in zip(entry.recipients, outcomes, strict=True)]
        has_failed = any(isinstance(o, Failed) for o in outcomes)
        report = [QueueMessage((QueueRecipient("s@two.test"),), data=MESSAGE, kind="dsn")] * has_failed
        queue_id = entry.facts.queue_id
        try:
            made = self.queue.finish(queue_id, results, lease_owner=worker, reports=report)
        except LeaseLost:
            self.steps["lost"] += 1
            return
        self.open |= {(made_id, 1) for made_id in made}
        for result in results:
            key = (queue_id, result.recipient.position)
            assert self.holders.pop(key) == (worker, result.recipient.tries), "a result out of its lease"
            self.crashes.pop(key, None)
            if not isinstance(result.outcome, Deferred):
                self.ends[key] += 1
                self.open.discard(key)
        self.forget_removed()

    def crash(self) -> None:
        """A worker dies; its claims are released, the first time in a row for a soon attempt."""
        worker = self.chance.choice(WORKERS)
        upkeep.release(self.queue, worker, now=self.kit.clock.time)
        soon = self.kit.clock.time + upkeep.FIRST_CRASH_WAIT_S
        for owner, entry in self.running:
            for recipient in entry.recipients if owner == worker else ():
                key = (entry.facts.queue_id, recipient.position)
                if not self.crashes[key]:
                    self.not_before[key] = min(self.not_before.get(key, 0.0), soon)
                self.crashes[key] += 1
        # Half of the time the dead worker's results come all the same: they must not count.
        if self.chance.random() < 0.5:
            self.running = [(owner, entry) for owner, entry in self.running if owner != worker]
        self.forget_removed()

    def wait(self) -> None:
        self.kit.clock.advance(self.chance.choice([1, 3, 10, 300, 700, 4_100]))

    def put_the_clock_back(self) -> None:
        back_s = self.chance.choice([600.0, 3_600.0, 200_000.0])
        self.kit.clock.advance(-back_s)
        upkeep.heal_clock(self.queue, now=self.kit.clock.time, back_s=back_s)
        self.not_before.clear()

    def administer(self) -> None:
        if not self.open:
            return
        queue_id = self.chance.choice(sorted(self.open))[0]
        act = self.chance.choice(
            [admin.hold, admin.release, admin.release, admin.retry, admin.retry, admin.remove]
        )
        act(self.queue, [queue_id])
        if act is admin.remove:
            self.removed.add(queue_id)
        if act in (admin.release, admin.retry):
            self.not_before = {k: v for k, v in self.not_before.items() if k[0] != queue_id}
        self.forget_removed()

    def restart(self) -> None:
        """Recovery changes nothing in a sound queue."""
        assert [f for f in recover.recover(self.queue, check_all=True) if f.is_alarm] == []

    def forget_removed(self) -> None:
        """What an operator took out is no loss."""
        rows = self.rows()
        self.open = {key for key in self.open if key in rows or key[0] not in self.removed}

    def rows(self) -> set[Key]:
        found = self.queue.read(
            "SELECT message, position FROM recipient WHERE state NOT IN (?, ?)", (DELIVERED, FAILED)
        )
        return {(str(message), int(str(position))) for message, position in found}

    def check(self) -> None:
        assert all(count == 1 for count in self.ends.values())
        assert self.rows() == self.open
        assert self.kit.files() == sorted(str(i) for (i,) in self.queue.read("SELECT id FROM message"))


@pytest.mark.parametrize("seed", range(3))
def test_a_long_walk_loses_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    walk = Walk(tmp_path, seed)
    for _ in range(400):
        walk.step()
    assert walk.steps["attempts"] > 80
    assert sum(walk.ends.values()) > 20
    assert walk.steps["lost"]
    walk.queue.close()
