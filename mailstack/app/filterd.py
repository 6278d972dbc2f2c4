"""The filter daemon's parent: messages in, DNS answers to the workers, verdicts out.

It reads nothing of a message.  A job goes to a worker, comes back with questions or with
the answer, and every job has a deadline: whatever happens, smtp hears in time, if only
"unfiltered" (promise P13).

    smtp ── filter.sock ──► parent ── socket pair ──► worker (pure pipeline)
                              │ ▲                        │
                              ▼ └── wanted questions ◄───┘
                           resolver
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from mailstack.app.filter_aside import AsideFolder, open_folder
from mailstack.app.filter_blame import Blame
from mailstack.app.filter_job import Job, unfiltered
from mailstack.app.filter_patience import Patience
from mailstack.app.filter_pool import TOO_SLOW, Pool, WorkerProcess
from mailstack.app.filter_steps import OUT_OF_MEMORY, Begins, Done, Record, Setup, Step, to_record
from mailstack.filters import virus
from mailstack.model.dns import Answer, Question
from mailstack.net.clamd import Clamd
from mailstack.net.filter_wire import Ask, FrameProtocol, Said
from mailstack.net.resolver import MAX_RUNS, Resolver

if TYPE_CHECKING:
    from mailstack.app.config import Config
    from mailstack.app.daemon import Context
    from mailstack.app.paths import Paths

#: Messages held in memory for all jobs together, in octets.
MAX_HELD_OCTETS = 134_217_728
#: Mail is taken after this many seconds even if no worker has started.
START_S = 10.0
#: A worker busy for longer with one step no longer keeps the jobs it has begun waiting.
STUCK_S = 0.25
#: A message that has no verdict in time although a worker is at it for longer is to blame itself.
GUILTY_S = 1.0
#: A message whose worker died is given another one when so many seconds are left.
SECOND_TRY_S = 1.0
#: Said of the like of messages that ended workers before.
KILLER = "it ended the filter before"

_log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_ask = msgspec.msgpack.Decoder(Ask)


class FilterServer:
    """Takes messages from smtp and spreads them over the workers."""

    def __init__(
        self,
        setup: Setup,
        resolver: Resolver,
        *,
        report: Callable[[list[int]], None] = lambda pids: None,
        aside: AsideFolder | None = None,
        clamd: Clamd | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            report: is told the process ids whenever they change.
            aside: where copies of messages that end workers are kept.
            clamd: who is asked about viruses, beside the steps.
            now: Unix seconds.
        """
        self._setup = setup
        self._report = report
        self._blame = Blame(aside, now=now)
        self._clamd = clamd
        self._resolver = resolver
        options = setup.options
        self._patience = Patience(resolver, options.block_list, wait_s=options.client_facts_s)
        self._jobs: dict[int, Job] = {}
        self._ready: deque[Job] = deque()
        self._held = 0
        self._last_id = 0
        self._clients: set[FrameProtocol] = set()
        self._nudge: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self.pool = Pool(setup, done=self._done, lost=self._lost, changed=self._changed)

    def _changed(self) -> None:
        self._report(self.pool.pids)
        self._spread()

    # -- smtp's side -----------------------------------------------------------------

    def connection(self) -> FrameProtocol:
        """A protocol for one connection of smtp's."""
        client = FrameProtocol(self._asked, self._client_gone)
        self._clients.add(client)
        return client

    def _client_gone(self, client: FrameProtocol) -> None:
        self._clients.discard(client)
        for job in [job for job in self._jobs.values() if job.client is client]:
            self._forget(job)

    def _asked(self, client: FrameProtocol, payload: bytes) -> None:
        try:
            ask = _ask.decode(payload)
        except msgspec.MsgspecError:
            client.abort()
            return
        request = bytes(ask.request)
        if len(self._jobs) >= self._setup.options.jobs or self._held + len(request) > MAX_HELD_OCTETS:
            client.send(_encode(Said(ask.number, unfiltered("filter busy"))))
            return
        loop = asyncio.get_running_loop()
        self._last_id += 1
        job = Job(self._last_id, client, ask.number, request, self._resolver.new_budget())
        wait_s = max(0.0, min(ask.budget_s, self._setup.options.budget_s))
        job.budget.deadline = min(job.budget.deadline, loop.time() + wait_s)
        job.deadline = loop.call_later(wait_s, self._late, job)
        self._jobs[job.id] = job
        self._held += len(request)
        self._idle.clear()
        if self._clamd is not None:
            self._scan(job, self._clamd)
        if self._blame.is_killer(job):
            _log.warning("a message is answered unfiltered: %s", KILLER)
            self._give_up(job, KILLER)
            return
        self._ready.append(job)
        self._spread()

    def _late(self, job: Job) -> None:
        _log.warning("a message is answered unfiltered: no verdict in time")
        worker = job.worker
        aside = ""
        if worker is not None and worker.job == job.id:
            at_it_s = asyncio.get_running_loop().time() - worker.since
            if at_it_s >= min(GUILTY_S, self._setup.options.step_s / 2):
                self._blame.count(job)
                aside = self._blame.set_aside(job, "timeout", worker.begun)
        self._answer(job, self._unfiltered(job, "timeout", aside=aside))

    def _give_up(self, job: Job, why: str, begun: Begins | None = None, aside: str = "") -> None:
        """Answers without a verdict, but not before the virus scanner has."""
        if job.scan is not None and not job.scan.done():
            job.scan.add_done_callback(lambda _: self._give_up(job, why, begun, aside))
            return
        self._answer(job, self._unfiltered(job, why, begun=begun, aside=aside))

    def _unfiltered(self, job: Job, why: str, *, begun: Begins | None = None, aside: str = "") -> msgspec.Raw:
        return unfiltered(why, job, begun=begun, aside=aside, on_virus=self._setup.on_virus)

    def _answer(self, job: Job, answer: msgspec.Raw) -> None:
        if job.id in self._jobs:
            job.client.send(_encode(Said(job.number, answer)))
            self._forget(job)

    def _forget(self, job: Job) -> None:
        """The job is over, however it ended."""
        if self._jobs.pop(job.id, None) is None:
            return
        self._held -= len(job.request)
        job.stop()
        if job.worker is not None and job.worker.job != job.id:
            self.pool.tell(job.worker, Step(job.id, drop=True))
        if not self._jobs:
            self._idle.set()

    async def drained(self) -> None:
        """Waits until every message is answered."""
        await self._idle.wait()

    # -- the workers' side -----------------------------------------------------------

    def _spread(self) -> None:
        """Gives steps to workers that have none."""
        if not self._ready:
            return
        for worker in self.pool.workers:
            if worker.job or worker.is_retired:
                continue
            job = self._next_for(worker)
            if job is not None:
                self._give(worker, job)
        if self._ready and self._nudge is None:
            self._nudge = asyncio.get_running_loop().call_later(STUCK_S, self._nudged)

    def _nudged(self) -> None:
        self._nudge = None
        self._spread()

    def _next_for(self, worker: WorkerProcess) -> Job | None:
        now = asyncio.get_running_loop().time()
        for position, job in enumerate(self._ready):
            if job.id not in self._jobs:
                continue
            other = job.worker
            is_stuck = other is not None and (
                other.is_retired or (other.job != 0 and now - other.since > STUCK_S)
            )
            if other is None or other is worker or is_stuck:
                self._ready.rotate(-position)
                self._ready.popleft()
                self._ready.rotate(position)
                return job
        if all(job.id not in self._jobs for job in self._ready):
            self._ready.clear()
        return None

    def _give(self, worker: WorkerProcess, job: Job) -> None:
        last = job.rounds >= MAX_RUNS
        if job.worker is worker:
            step = Step(job.id, b"", tuple(job.fresh), last)
        else:
            job.worker = worker
            step = Step(job.id, job.request, tuple(job.records), last)
        job.fresh = []
        self.pool.run(worker, step)

    def _done(self, worker: WorkerProcess, done: Done) -> None:
        job = self._jobs.get(done.job)
        if job is None:  # too late: it was answered meanwhile
            if done.wanted:
                self.pool.tell(worker, Step(done.job, drop=True))
        elif done.is_lost:
            job.worker = None
            self._ready.appendleft(job)
        elif done.answer:
            job.worker = None  # it has forgotten the job by itself
            self._blame.acquit(job)
            self._answer(job, msgspec.Raw(done.answer))
        elif done.wanted:
            job.rounds += 1
            questions = [Question(name, kind) for name, kind in done.wanted]
            hasty = frozenset(Question(name, kind) for name, kind in done.hasty)
            if not self._answer_at_once(job, questions, hasty):
                job.asking = asyncio.get_running_loop().create_task(self._look_up(job, questions, hasty))
        else:
            job.worker = None
            self._failed(job, done)
        if done.retire and not worker.is_retired:
            self.pool.retire(worker)
        self._spread()

    def _lost(self, worker: WorkerProcess, why: str) -> None:
        """A worker is gone: its step's message is unfiltered, the others start again elsewhere."""
        for job in list(self._jobs.values()):
            if job.worker is not worker:
                continue
            job.worker = None
            if worker.job == job.id:
                self._died(job, why, worker.begun)

    def _failed(self, job: Job, done: Done) -> None:
        """A step ended in an error: what took all memory of its worker is as bad as its death."""
        if done.retire and done.problem == OUT_OF_MEMORY:
            self._died(job, done.problem, None)
        else:
            why = done.problem or "filter error"
            self._give_up(job, why, aside=self._blame.set_aside(job, why))

    def _died(self, job: Job, why: str, begun: Begins | None) -> None:
        """Its worker ended over a job: the first time another one may try, else it is unfiltered."""
        try_s = self._setup.options.step_s if why == TOO_SLOW else SECOND_TRY_S
        if begun is None and self._blame.count(job) and job.left_s >= try_s:
            _log.warning("a message is tried once more, with another worker: %s", why)
            self._ready.appendleft(job)
            return
        self._give_up(job, why, begun, self._blame.set_aside(job, why, begun))

    # -- DNS, and the virus scanner --------------------------------------------------

    def _scan(self, job: Job, clamd: Clamd) -> None:
        """Begins to have a message scanned, if it comes from outside."""
        request = job.decode()
        if request.login or request.wants != "verdict":
            return
        scan = clamd.scan(request.message, request.path, request.size_octets, budget_s=job.left_s / 2)
        job.scan = asyncio.get_running_loop().create_task(scan)

    def _answer_at_once(self, job: Job, questions: list[Question], hasty: frozenset[Question]) -> bool:
        """Everything is in the cache: no task, no waiting."""
        found = []
        for question in questions:
            if question == virus.QUESTION:
                scan = job.scanned
                answer = virus.to_answer(scan) if scan is not None else None
            else:
                answer = self._patience.known(question, is_hasty=question in hasty)
            if answer is None:
                return False
            found.append(self._record(question, answer))
        self._go_on(job, found)
        return True

    async def _look_up(self, job: Job, questions: list[Question], hasty: frozenset[Question]) -> None:
        wanted = [question for question in questions if question != virus.QUESTION]
        answers = await self._patience.lookup_all(wanted, hasty, budget=job.budget)
        if len(wanted) < len(questions):
            scan = virus.TOO_LATE if job.scan is None else await job.scan
            answers[virus.QUESTION] = virus.to_answer(scan)
        job.asking = None
        self._go_on(job, [self._record(question, answer) for question, answer in answers.items()])
        self._spread()

    def _record(self, question: Question, answer: Answer) -> Record:
        # What a scanner says is true of one message only.
        keep_s = 0.0 if question == virus.QUESTION else self._resolver.keep_s(answer)
        return to_record(question, answer, keep_s)

    def _go_on(self, job: Job, found: list[Record]) -> None:
        job.records.extend(found)
        job.fresh.extend(found)
        if job.id in self._jobs:
            self._ready.append(job)

    async def stop(self) -> None:
        """Ends workers and connections."""
        for job in list(self._jobs.values()):
            self._answer(job, self._unfiltered(job, "filter stopped"))
        for client in list(self._clients):
            client.close()
        await self.pool.stop()


def make_setup(config: Config, paths: Paths) -> Setup:
    """What the workers must know, from the configuration."""
    options = config.filter
    return Setup(
        options,
        options.authserv_id or config.hostname,
        str(paths.directory_db),
        options.model_file,
        config.server.time_zone,
        str(paths.state_db),
        str(paths.mail),
        str(paths.maillog_db),
        config.sieve,
        str(paths.model),
        on_virus=config.clamd.on_virus if config.clamd.address else "",
    )


def _aside(context: Context) -> AsideFolder | None:
    options = context.config.filter
    return open_folder(
        context.paths.filter_aside, messages=options.aside_messages, octets=options.aside_octets
    )


async def serve(context: Context) -> None:
    """Runs until `context.stop`: then the messages at hand are answered first."""
    resolver = Resolver(context.config.dns)
    await resolver.start()
    server = FilterServer(
        make_setup(context.config, context.paths),
        resolver,
        report=context.report_children,
        aside=_aside(context),
        clamd=Clamd(context.config.clamd) if context.config.clamd.address else None,
        now=context.now,
    )
    loop = asyncio.get_running_loop()
    listeners = []
    try:
        await _start(server.pool)
        for sock in context.sockets["filter"]:
            listeners.append(await loop.create_unix_server(server.connection, sock=sock))
        context.ready()
        await context.stop.wait()
        for listener in listeners:
            listener.close()
        await server.drained()
    finally:
        for listener in listeners:
            listener.close()
        await server.stop()
        await resolver.close()


async def _start(pool: Pool) -> None:
    """Waits for the workers, but not for ever: without them mail is still answered, unfiltered."""
    try:
        async with asyncio.timeout(START_S):
            await pool.start()
    except TimeoutError:
        _log.error("there are no filter workers yet: mail is accepted unfiltered until they come")
