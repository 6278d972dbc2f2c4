"""Everything that can happen to queued mail in any order, against a model of it.

Real queue, real settling, two processes; the far side, time, crashes and the operator are
the machine's.  Promises P2 (one end per recipient), P4 (a second copy only after a cut), P5
(no attempt before its time), P12 (one delay notice, one bounce); faults, section 4.5.
"""

from __future__ import annotations

import email
import io
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mailstack.app.config import Config
from mailstack.app.options import ServerOptions
from mailstack.app.queue_settle import Settler, refused
from mailstack.delivery import admin, holds, recover, upkeep
from mailstack.delivery.entry import LOCAL, Entry, EntryRecipient, QueueRecipient, Result
from mailstack.delivery.options import QueueOptions
from mailstack.delivery.queue import Queue
from mailstack.delivery.spool import Content
from mailstack.model.outcome import Delivered
from mailstack.model.reply import Reply
from mailstack.state.maillog import MailLog
from tests.kit.queue_engine import ListHome
from tests.kit.queues import QueueKit, claim

ALICE = "alice@example.org"
PLACES = ("one.test", "two.test")
OPTIONS = QueueOptions(
    jitter_percent=0,
    first_wait_s=300,
    max_wait_s=1_200,
    give_up_after_s=6_000,
    bounce_give_up_after_s=3_000,
    delay_notice_after_s=1_500,
)
#: What the far side says to one recipient; a cut comes after the dot: nobody knows.
Said = Literal["yes", "later", "no", "cut"]
REPLIES = {
    "yes": Reply(250, "0.0", "ok"),
    "later": Reply(451, "3.0", "later"),
    "no": Reply(550, "1.1", "no such user"),
    "cut": Reply(451, "4.2", "the line was cut after the dot"),
}


@dataclass
class Known:
    """What the model knows of one recipient."""

    queue_id: str
    not_before: float
    copies: int = 0
    unsure: int = 0
    is_done: bool = False
    crashes: int = 0


@dataclass
class Worker:
    """One process: its queue, its name in the database, and what it is trying."""

    queue: Queue
    settler: Settler
    name: str
    tries: list[Entry] = field(default_factory=list)


class QueueMachine(RuleBasedStateMachine):
    """`known` by address: every recipient has an address of its own."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="queue-machine"))
        self.kit = QueueKit(self.folder, options=OPTIONS)
        self.now = self.kit.clock
        log = MailLog(None, daemon="queue", now=self.now, stream=io.StringIO())
        self.home = ListHome(Config(server=ServerOptions(hostname="mail.example.org"), queue=OPTIONS), log)
        self.workers = [self.worker(self.kit.queue, "first"), self.worker(self.kit.open(), "second")]
        self.known: dict[str, Known] = {}
        self.removed: set[str] = set()
        self.reports: Counter[tuple[str, str]] = Counter()
        self.count = 0

    def worker(self, queue: Queue, name: str) -> Worker:
        return Worker(queue, Settler(queue, self.home, lease_owner=name), name)  # type: ignore[arg-type]

    def teardown(self) -> None:
        if hasattr(self, "workers"):
            for worker in self.workers:
                worker.queue.close()
            shutil.rmtree(self.folder)

    # -- mail comes, is tried, and answered --------------------------------------------------

    @rule(places=st.lists(st.sampled_from(PLACES), min_size=1, max_size=3))
    def enqueue(self, places: list[str]) -> None:
        self.count += 1
        addresses = [f"r{self.count}-{n}@{place}" for n, place in enumerate(places)]
        queue_id = self.kit.put(*map(QueueRecipient, addresses), sender=ALICE, owner=ALICE)
        for address in addresses:
            self.known[address] = Known(queue_id, self.now.time)

    @rule(which=st.sampled_from([0, 1]), place=st.sampled_from(PLACES), count=st.integers(1, 3))
    def claim(self, which: int, place: str, count: int) -> None:
        worker = self.workers[which]
        for entry in claim(worker.queue, {place: count}, worker.name):
            worker.tries.append(entry)
            for recipient in entry.recipients:
                one = self.known[recipient.address]
                assert not one.is_done, "an ended recipient was tried again"
                assert self.now.time >= one.not_before, "an attempt before its time"
                one.not_before = recipient.next_at

    @precondition(lambda self: any(worker.tries for worker in self.workers))
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from([worker for worker in self.workers if worker.tries]))
        entry = worker.tries.pop(data.draw(st.integers(0, len(worker.tries) - 1)))
        said = [data.draw(st.sampled_from(list(REPLIES))) for _ in entry.recipients]
        results = [_result(r, s) for r, s in zip(entry.recipients, said, strict=True)]
        content = worker.queue.content(entry.facts)
        is_ours = worker.settler.settle(entry, results, content if isinstance(content, Content) else None)
        for recipient, word, result in zip(entry.recipients, said, results, strict=True):
            one = self.known[recipient.address]
            # The far server has it, whether or not we could write that down.
            one.copies += word in ("yes", "cut")
            one.unsure += word == "cut" or (word == "yes" and not is_ours)
            if is_ours:
                one.crashes = 0
                one.is_done = isinstance(result.outcome, Delivered) or refused_for_good(result)

    # -- time ------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([10, 300, 1_300, 5_000, 40_000]))
    def wait(self, seconds: float) -> None:
        self.now.advance(seconds)

    @rule(back_s=st.sampled_from([100.0, 3_600.0, 400_000.0]))
    def put_the_clock_back(self, back_s: float) -> None:
        self.now.advance(-back_s)
        upkeep.heal_clock(self.kit.queue, now=self.now.time, back_s=back_s)
        for one in self.known.values():
            one.not_before = 0.0

    @rule()
    def tell_late(self) -> None:
        for worker in self.workers:
            for queue_id in upkeep.late(worker.queue):
                worker.settler.tell_late(queue_id)

    # -- crashes ---------------------------------------------------------------------------------

    @rule(which=st.sampled_from([0, 1]), is_slow=st.booleans())
    def crash(self, which: int, is_slow: bool) -> None:
        """A process dies, or seems dead: `is_slow` answers later all the same, and must not count."""
        worker = self.workers[which]
        upkeep.release(self.kit.queue, worker.name, now=self.now.time)
        for recipient in [r for entry in worker.tries for r in entry.recipients]:
            one = self.known[recipient.address]
            if not one.crashes:
                one.not_before = min(one.not_before, self.now.time + upkeep.FIRST_CRASH_WAIT_S)
            one.crashes += 1
        if not is_slow:
            worker.tries.clear()

    @rule()
    def restart(self) -> None:
        worker = self.workers[1]
        upkeep.release(self.kit.queue, worker.name, now=self.now.time)
        for recipient in [r for entry in worker.tries for r in entry.recipients]:
            self.known[recipient.address].not_before = 0.0
        worker.queue.close()
        self.workers[1] = self.worker(self.kit.open(), "second")
        assert [f for f in recover.recover(self.workers[1].queue, check_all=True) if f.is_alarm] == []

    # -- the operator ------------------------------------------------------------------------------

    @precondition(lambda self: self.known)
    @rule(data=st.data(), act=st.sampled_from(["hold", "release", "retry", "give_up", "remove"]))
    def administer(self, data: st.DataObject, act: str) -> None:
        queue_id = self.known[data.draw(st.sampled_from(sorted(self.known)))].queue_id
        getattr(admin, act)(self.kit.queue, [queue_id])
        self.changed({queue_id} if act == "remove" else set())

    @rule(
        act=st.sampled_from(["hold", "hold", "release", "purge"]),
        what=st.sampled_from([("sender", ALICE), ("destination", "one.test")]),
    )
    def hold_more(self, act: str, what: tuple[holds.Scope, str]) -> None:
        if act == "hold":
            holds.hold(self.kit.queue, *what, reason="r", who="w")
        elif holds.find(self.kit.queue, *what):
            getattr(holds, act)(self.kit.queue, *what)
            if act == "purge":
                gone = {
                    one.queue_id for to, one in self.known.items() if what[1] in (ALICE, to.split("@")[1])
                }
                self.changed(gone)
        self.changed(set())

    def changed(self, removed: set[str]) -> None:
        self.removed |= removed
        for one in self.known.values():
            one.not_before = 0.0

    # -- always ------------------------------------------------------------------------------------

    @invariant()
    def each_has_one_end(self) -> None:
        if not hasattr(self, "known"):
            return
        self.read_reports()
        there = {
            str(to) for (to,) in self.kit.queue.read("SELECT address FROM recipient WHERE state IN (0, 1, 4)")
        }
        for address, one in self.known.items():
            if one.is_done:
                assert address not in there, "ended, and still in the queue"
                failed = self.reports[address, "failed"]
                assert failed == (0 if one.copies > one.unsure else 1) or one.unsure, (address, one)
            elif one.queue_id not in self.removed:
                assert address in there, "lost"
            assert one.copies - one.unsure <= 1, "sent twice although nothing was cut"
        assert all(count == 1 for count in self.reports.values()), self.reports

    def read_reports(self) -> None:
        """Takes reports out of the queue and counts whom they name."""
        for entry in claim(self.kit.queue, {LOCAL: 50}, "reader"):
            content = self.kit.queue.content(entry.facts)
            assert isinstance(content, Content)
            for part in email.message_from_bytes(content.read()).walk():
                if part["Final-Recipient"]:
                    address = part["Final-Recipient"].partition(";")[2].strip()
                    self.reports[address, part["Action"].strip()] += 1
            results = [Result(recipient, Delivered("INBOX", "stored")) for recipient in entry.recipients]
            self.kit.queue.finish(entry.facts.queue_id, results, lease_owner="reader")


def _result(recipient: EntryRecipient, said: str) -> Result:
    reply = REPLIES[said]
    outcome = Delivered("mx", "250 ok") if said == "yes" else refused(recipient, reply)
    return Result(recipient, outcome, "mx")


def refused_for_good(result: Result) -> bool:
    return type(result.outcome).__name__ == "Failed"


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    derandomize=True,
)
