"""The queue's loop: what is due is claimed, tried and settled, many at a time.

No destination holds up another (Q15): each has its own pace, and what waits for a dead one
is put off together.  Senders take turns, and codes go before letters before bulk
(`delivery.turns`).

    due ─► claim (attempt committed) ─► deliver ─► settle (outcome and reports committed)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from mailstack.app.queue_settle import Settler, refused, results_of
from mailstack.delivery import lanes, recover, rows, upkeep
from mailstack.delivery.entry import LOCAL, Entry, EntryRecipient, Result
from mailstack.delivery.lease import Lease
from mailstack.delivery.pace import Pace, Paces
from mailstack.delivery.queue import Queue
from mailstack.delivery.remote import next_hop
from mailstack.delivery.spool import Content, Damaged, QueuePaths
from mailstack.delivery.turns import Room, Turns
from mailstack.model.errors import TemporaryFailure
from mailstack.model.outcome import Delivered, Outcome
from mailstack.model.reply import Reply

if TYPE_CHECKING:
    from mailstack.net.smtp_delivery import SmtpDelivery, Trial
    from mailstack.state.maillog import MailLog

T = TypeVar("T")
#: Carries out a delivery for one recipient of kind "local"; blocking.
DeliverLocal = Callable[[Entry, EntryRecipient, Content], Outcome]

#: A message that was read with its claim, or what is wrong with it; None: not yet.
Found = Content | Damaged | None

#: Messages up to this size are read with their claim, for so long in all.
SMALL_OCTETS = 65_536
READ_S = 0.02
#: A wake-up that was lost costs at most so long; what the CLI changes counts within it too.
POLL_S = 0.5
UPKEEP_S = 60.0
PURGE_S = 3_600.0
LOCAL_CONCURRENCY = 10
#: Looks of one round that may find out that destinations are full; the next round goes on.
MAX_LOOKS = 20
#: Wall and monotonic clock may differ by so much between two looks before it counts as a jump.
CLOCK_SLACK_S = 5.0
#: At the end outcomes that are being written are waited for so long.
LAST_OUTCOMES_S = 5.0
#: First wait after the disk refused an outcome; doubles up to a minute.
SETTLE_AGAIN_S = 1.0

_log = logging.getLogger(__name__)


class Engine:
    """One queue daemon's work.  Belongs to one event loop."""

    def __init__(
        self,
        queue: Queue,
        paths: QueuePaths,
        *,
        lease: Lease,
        smtp: SmtpDelivery,
        deliver_local: DeliverLocal,
        settler: Settler,
        maillog: MailLog,
        threads: Executor,
        fatal: Callable[[str], None],
        is_keeper: bool = True,
    ) -> None:
        """Nothing happens before `run`.

        Args:
            threads: for whatever blocks.
            fatal: promise P8: called when the disk can no longer be trusted.
            is_keeper: of several processes one looks after clocks, delay notices and leftovers.
        """
        self._queue = queue
        self._paths = paths
        self._lease = lease
        self._smtp = smtp
        self._deliver_local = deliver_local
        self._settler = settler
        self._maillog = maillog
        self._threads = threads
        self._fatal = fatal
        self._is_keeper = is_keeper
        self._options = queue.options
        self._paces = Paces(queue.options)
        self._local_pace = Pace(queue.options)
        self._local_pace.limit = min(LOCAL_CONCURRENCY, queue.options.max_deliveries)
        self._turns = Turns()
        self._running: Counter[int] = Counter()
        self._senders: Counter[str] = Counter()
        #: Destinations that had no room when we looked last.
        self._full: set[str] = set()
        self._elsewhere = next_hop("", queue.options)
        self._tasks: set[asyncio.Task[None]] = set()
        self._settling: set[asyncio.Future[bool]] = set()
        self._woken = asyncio.Event()
        self._version = -1

    def wake(self) -> None:
        """Something was queued, or changed."""
        self._woken.set()

    async def prepare(self) -> None:
        """Recovery after a crash; before `run`.

        Raises:
            TemporaryFailure: disk or database; says what to do about a damaged one.
        """
        now = self._queue.now
        await self._blocking(recover.check_database, self._paths)
        released = await self._blocking(upkeep.release_dead, self._queue, self._paths, now=now())
        if released:
            self._maillog.write("recovered", recipients=released, why="their process had died")
        await self._tidy()

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then finishes what is under way.

        Cancelled: what is under way is cut off; its recipients wait again.
        """
        keeping = asyncio.create_task(self._keep_up())
        stopping = asyncio.create_task(self._wake_at(stop))
        try:
            while not stop.is_set():
                self._woken.clear()
                next_at = await self._round()
                await self._sleep(next_at)
                if keeping.done():
                    keeping.result()
            while self._tasks:
                await asyncio.wait(set(self._tasks))
        finally:
            running = (keeping, stopping, *self._tasks)
            for timeout_s in (LAST_OUTCOMES_S, None):
                for task in running:
                    task.cancel()
                # Whoever was cut off after a host had taken its message writes that down first.
                await asyncio.wait(running, timeout=timeout_s)
            await asyncio.gather(*running, return_exceptions=True)
            if self._settling:
                await asyncio.wait(self._settling, timeout=LAST_OUTCOMES_S)

    async def close(self) -> None:
        """Gives back what is still claimed; after `run`."""
        try:
            await self._blocking(upkeep.release, self._queue, self._lease.owner, now=self._queue.now())
        except TemporaryFailure as error:
            _log.error("claims are not given back: %s", error.why)

    # -- rounds -----------------------------------------------------------------------

    async def _round(self) -> float | None:
        """Starts what can start now; gives when (Unix seconds) to look again, None for not soon."""
        try:
            while wanted := await self._choose():
                entries, next_at = await self._blocking(self._take, wanted)
                for entry, content in entries:
                    self._begin(entry, content)
                if len(entries) == wanted.total():
                    # Another look would find nothing: what can begin has begun.
                    return self._next_look(next_at)
                # Lanes whose mail was held or removed are set right by now, and leave the turn to others.
            return self._next_look(await self._blocking(lanes.next_at, self._queue))
        except TemporaryFailure as error:
            self._complain(error)
            return self._queue.now() + POLL_S

    def _take(self, wanted: Mapping[int, int]) -> tuple[list[tuple[Entry, Found]], float | None]:
        """Claims, and reads small messages on the way: a hand-over of threads costs more."""
        entries = self._queue.claim(wanted, lease_owner=self._lease.owner)
        until = time.monotonic() + READ_S
        found: list[tuple[Entry, Found]] = []
        for entry in entries:
            content = None
            if entry.facts.size_octets <= SMALL_OCTETS and time.monotonic() < until:
                with contextlib.suppress(TemporaryFailure):  # it is tried again, and complained of, alone
                    content = self._queue.content(entry.facts)
            found.append((entry, content))
        return found, lanes.next_at(self._queue)

    async def _choose(self) -> Counter[int]:
        """How many messages of which lanes to take."""
        deliveries = self._options.max_deliveries
        room = Room(deliveries, self._running, self._pace_of, time.monotonic(), senders=self._senders)
        wanted: Counter[int] = Counter()
        for _ in range(MAX_LOOKS):
            known = len(self._full)
            wish = self._wish(room.free)
            if wish is None:
                break
            found = await self._blocking(lanes.ready, self._queue, wish)
            wanted.update(lane.number for lane in self._turns.choose(found, room.free, room.take))
            self._full |= room.full
            # What lies behind destinations that turned out to be full.
            if len(self._full) == known:
                break
        return wanted

    def _wish(self, free: int) -> lanes.Wish | None:
        clock = time.monotonic()
        self._full = {name for name in self._full if not self._pace_of(name).room(clock)}
        only = None
        if self._elsewhere and not self._paces.of(self._elsewhere).room(clock):
            # Everything without a route of its own goes to one host, which is busy.
            only = {LOCAL, *(route.domain for route in self._options.route)} - self._full
        if free <= 0 or only == set():
            return None
        return lanes.Wish(free, self._turns.after, self._full, only)

    def _next_look(self, next_at: float | None) -> float | None:
        """A destination without room wakes us when a delivery ends or its pause does."""
        clock = time.monotonic()
        pause = self._paces.next_end_of_pause(clock)
        times = [next_at] if pause is None else [next_at, self._queue.now() + pause - clock]
        return min((at for at in times if at is not None), default=None)

    async def _sleep(self, next_at: float | None) -> None:
        """Until woken, until `next_at`, or until the database was changed by somebody else."""
        while not self._woken.is_set():
            left_s = POLL_S if next_at is None else min(POLL_S, next_at - self._queue.now())
            if left_s <= 0:
                return
            try:
                async with asyncio.timeout(left_s):
                    await self._woken.wait()
            except TimeoutError:
                if self._has_changed():
                    return

    def _has_changed(self) -> bool:
        """A look of microseconds: somebody committed, whether or not we were told."""
        try:
            version = int(str(self._queue.read("PRAGMA data_version")[0][0]))
        except TemporaryFailure:
            return True
        changed, self._version = version != self._version, version
        return changed

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.wake()

    def _pace_of(self, destination: str) -> Pace:
        if destination == LOCAL:
            return self._local_pace
        return self._paces.of(next_hop(destination, self._options))

    # -- one attempt --------------------------------------------------------------------

    def _begin(self, entry: Entry, content: Found) -> None:
        pace = self._pace_of(entry.recipients[0].destination)
        pace.start()
        task = asyncio.create_task(self._attempt(entry, pace, content))
        self._tasks.add(task)
        sender = rows.turn_of(entry)
        self._running[entry.facts.rank] += 1
        self._senders[sender] += 1
        task.add_done_callback(partial(self._ended, entry.facts.rank, sender))

    def _ended(self, rank: int, sender: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._running[rank] -= 1
        self._senders[sender] -= 1
        if not self._senders[sender]:
            del self._senders[sender]
        self.wake()
        if not task.cancelled() and task.exception() is not None:
            _log.error("an attempt failed", exc_info=task.exception())

    async def _attempt(self, entry: Entry, pace: Pace, found: Found) -> None:
        trial, results = None, list[Result]()
        try:
            content = await self._open(entry, found)
            if content is None:
                return
            if entry.recipients[0].destination == LOCAL:
                await self._try_local(entry, content)
                return
            trial = await self._smtp.deliver(entry, content)
            results = results_of(entry, trial)
            await self._settle(entry, results, content)
        except Exception:
            # A message that makes us fail must not take the others with it, nor stay claimed.
            _log.exception("queue id %s makes us fail", entry.facts.queue_id)
            await self._settle(entry, _after_mistake(entry, results))
        finally:
            is_dead = _judge(pace, trial)
        if trial is not None:
            await self._heed(entry, trial, is_dead)

    async def _heed(self, entry: Entry, trial: Trial, is_dead: bool) -> None:
        """What a trial means for others than its own message."""
        tried = trial.recipients[0]
        if tried.answer.stage == "auth" or (tried.answer.is_ours and tried.answer.reply.status == "3.5"):
            # Q25: nothing leaves this way until an operator mends a login, a file, an address of ours.
            self._maillog.write("alarm", entry.facts.queue_id, host=tried.host, why=tried.answer.reply.text)
        if is_dead:
            destination = entry.recipients[0].destination
            try:
                await self._blocking(self._settler.postpone, destination, tried)
            except TemporaryFailure as error:
                self._complain(error)

    async def _open(self, entry: Entry, found: Found) -> Content | None:
        """The message; when it is damaged or unreadable the attempt ends here."""
        facts = entry.facts
        try:
            content = found or await self._blocking(self._queue.content, facts)
        except TemporaryFailure as error:
            # F20
            self._maillog.write("alarm", facts.queue_id, why=error.why)
            await self._settle(
                entry, _all(entry, Reply(451, "3.0", "The message cannot be read at the moment"))
            )
            return None
        if isinstance(content, Damaged):
            # Q19
            self._maillog.write("alarm", facts.queue_id, why=f"held: {content.why}")
            claimed = [recipient.row for recipient in entry.recipients]
            await self._blocking(
                recover.mark_damaged, self._queue, facts.queue_id, content.why, claimed=claimed
            )
            return None
        return content

    async def _try_local(self, entry: Entry, content: Content) -> None:
        results = []
        for recipient in entry.recipients:
            try:
                outcome = await self._blocking(self._deliver_local, entry, recipient, content)
            except TemporaryFailure as error:
                self._complain(error)
                outcome = refused(recipient, Reply(451, error.status, error.why))
            results.append(Result(recipient, outcome))
        await self._settle(entry, results, content)

    async def _settle(self, entry: Entry, results: list[Result], content: Content | None = None) -> None:
        """Commits the outcome; a full disk is waited out, because the far server has the message (F16)."""
        wait_s = SETTLE_AGAIN_S
        while True:
            try:
                settling = asyncio.ensure_future(
                    self._blocking(self._settler.settle, entry, results, content)
                )
                self._settling.add(settling)
                settling.add_done_callback(self._settling.discard)
                # Whoever cuts the attempt off must not cut its outcome off: it would be sent again.
                await asyncio.shield(settling)
                return
            except TemporaryFailure as error:
                self._complain(error)
                if error.fatal:
                    return
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, 60.0)

    # -- upkeep -------------------------------------------------------------------------

    async def _keep_up(self) -> None:
        """Every minute: leases, clocks, delay notices; every hour: what nobody needs."""
        purged_at = time.monotonic()
        seen_at, seen_wall = time.monotonic(), self._queue.now()
        while True:
            await asyncio.sleep(min(UPKEEP_S, self._options.lease_s / 3))
            try:
                back_s = (time.monotonic() - seen_at) - (self._queue.now() - seen_wall)
                seen_at, seen_wall = time.monotonic(), self._queue.now()
                await self._look_after(back_s if back_s > CLOCK_SLACK_S else 0.0)
                if time.monotonic() - purged_at > PURGE_S:
                    purged_at = time.monotonic()
                    await self._tidy()
            except TemporaryFailure as error:
                self._complain(error)
            except Exception:  # what is wrong with one message must not end the others' queue
                _log.exception("looking after the queue")

    async def _look_after(self, back_s: float) -> None:
        now = self._queue.now
        await self._blocking(upkeep.renew, self._queue, self._lease.owner, now=now())
        released = await self._blocking(upkeep.release_dead, self._queue, self._paths, now=now())
        if released:
            self.wake()
        if not self._is_keeper:
            return
        moved = await self._blocking(upkeep.heal_clock, self._queue, now=now(), back_s=back_s)
        if moved:
            self._maillog.write("alarm", why=f"the clock was changed; {moved} attempts are planned anew")
            self.wake()
        await self.tell_late()
        await self._blocking(self._settler.tell_undelivered)

    async def _tidy(self) -> None:
        """Files and rows that do not belong together, and what is old."""
        if not self._is_keeper:
            return
        for finding in await self._blocking(recover.recover, self._queue):
            self._maillog.write("alarm" if finding.is_alarm else "recovered", finding.name, why=finding.what)
        await self._blocking(upkeep.purge, self._queue, self._paths, now=self._queue.now())

    async def tell_late(self) -> None:
        """Delay notices that are due."""
        for queue_id in await self._blocking(upkeep.late, self._queue):
            await self._blocking(self._settler.tell_late, queue_id)

    # -- helpers ------------------------------------------------------------------------

    async def _blocking(self, work: Callable[..., T], *arguments: object, **values: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, partial(work, *arguments, **values)
        )

    def _complain(self, error: TemporaryFailure) -> None:
        _log.error("queue: %s", error.why)
        if error.fatal:
            self._fatal(error.why)


def _all(entry: Entry, reply: Reply) -> list[Result]:
    return [Result(recipient, refused(recipient, reply)) for recipient in entry.recipients]


def _after_mistake(entry: Entry, results: list[Result]) -> list[Result]:
    """What holds after a mistake of ours: who was given the message has it; the others wait."""
    given = {result.recipient.row: result for result in results if isinstance(result.outcome, Delivered)}
    again = _all(entry, Reply(451, "3.0", "Internal error; it will be tried again"))
    return [given.get(result.recipient.row, result) for result in again]


def _judge(pace: Pace, trial: Trial | None) -> bool:
    """What a trial says about its host; True when the destination counts as dead."""
    if trial is None:
        pace.end()
        return False
    is_for_now = all(tried.answer.reply.is_temporary for tried in trial.recipients)
    if trial.wants_less:
        pace.slow_down(time.monotonic(), pause=trial.wants_pause)
        return False
    if trial.is_dead and is_for_now:
        return pace.fail()
    if any(tried.answer.reply.code < 300 for tried in trial.recipients):
        pace.succeed()
    else:
        pace.end()
    return False
