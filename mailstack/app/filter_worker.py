"""A filter worker: reads untrusted mail in a process that may die of it.

`python -m mailstack.app.filter_worker` is the nursery: it loads everything once and
forks a worker for each socket it is sent, so that replacing a worker costs milliseconds.
A worker reads steps from its socket one at a time and never opens another one; its
memory is limited by the kernel, its time by the parent, which kills it.  When the parent
dies, workers and nursery read the end of their sockets and end.

No network, no writing; the directory is opened read-only (architecture, section 1).
"""

from __future__ import annotations

import contextlib
import gc
import logging
import mmap
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from mailstack.app import logs
from mailstack.app.account_view import AccountView, OperatorScripts, Own, find_own
from mailstack.app.filter_steps import OUT_OF_MEMORY, Begins, Done, Record, Setup, Step, to_answer
from mailstack.app.taught import Taught
from mailstack.directory import Directory
from mailstack.directory.values import SenderLists
from mailstack.filters.classes import services
from mailstack.filters.facts import AccountFacts, DomainFacts, Tools
from mailstack.filters.options import FilterOptions
from mailstack.filters.pipeline import Evaluation
from mailstack.filters.rules import Rules
from mailstack.filters.signs import knowledge
from mailstack.filters.spam import model
from mailstack.filters.study import Study
from mailstack.model.directory import Account, MailPolicy
from mailstack.model.dns import Answer, Lookup, NeedLookup, Question
from mailstack.model.errors import TemporaryFailure
from mailstack.model.verdict import FilterRequest
from mailstack.net.filter_wire import FrameReader, frame
from mailstack.net.resolver import GivenUp
from mailstack.state.memory import Seen
from mailstack.state.sent import Sent

#: Jobs that wait for DNS answers in one worker; the oldest is forgotten and sent again.
MAX_IDLE_JOBS = 128
#: Answers a worker remembers itself, to save the round trip; the parent's cache is the real one.
MAX_REMEMBERED = 4_000
REMEMBER_S = 60.0
#: Of an answer; longer ones are asked for each time, as what strangers put into TXT has up to 64 KiB.
MAX_REMEMBERED_OCTETS = 8_192
#: Messages between two looks at the memory.
MEMORY_LOOK = 50
MAX_OPEN_FILES = 64
#: Containers after which garbage is looked for: those of some ten messages, whose garbage is rarely cyclic.
GARBAGE_AFTER = 20_000
#: More at once is dear to allocate, and only large messages would have it.
READ_OCTETS = 65_536

_log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_step = msgspec.msgpack.Decoder(Step)
_request = msgspec.msgpack.Decoder(FilterRequest)


def _alarm(text: str) -> None:
    _log.error("%s", text)


def load_model(path: str, alarm: Callable[[str], None] = _alarm) -> model.Model | None:
    """The weights: from `path`, else those that come with mailstack; None when neither works (M20).

    Args:
        alarm: is told of a file that cannot be used.
    """
    for source in (Path(path) if path else None, shipped_model()):
        if source is None:
            continue
        try:
            with source.open("rb") as file:
                return model.load(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
        except (OSError, ValueError, model.BadModel) as error:
            instead = "the weights that come with mailstack count" if path else "there are no weights"
            alarm(f"filter.model_file: {source}: {_why(error)}; {instead}")
    return None


def shipped_model() -> Path:
    """The prior that comes with mailstack."""
    return Path(str(resources.files("mailstack.filters.spam") / "prior.bin"))


def _why(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def load_knowledge(options: FilterOptions, alarm: Callable[[str], None] = _alarm) -> knowledge.Knowledge:
    """What the signs of fraud know, and the operator's files as far as they are any good (M20)."""
    extra: list[tuple[str, str]] = []
    for name, path in (("brands", options.brands_file), ("hosts", options.hosts_file)):
        if not path:
            continue
        try:
            source = Path(path)
            if source.stat().st_size > knowledge.MAX_FILE_OCTETS:
                raise knowledge.BadKnowledge(f"larger than {knowledge.MAX_FILE_OCTETS} octets")
            text = source.read_text("utf-8")
            knowledge.extended([(name, text)])
            extra.append((name, text))
        except (OSError, UnicodeError, knowledge.BadKnowledge) as error:
            alarm(f"filter.{name}_file: {path}: {_why(error)}; it is left out")
    return knowledge.extended(extra)


def load_services(path: str, alarm: Callable[[str], None] = _alarm) -> services.Services:
    """The services the classes know, and those of the operator's file if it is any good (M20)."""
    known = services.shipped()
    if not path:
        return known
    try:
        source = Path(path)
        if source.stat().st_size > services.MAX_FILE_OCTETS:
            raise services.BadServices(f"larger than {services.MAX_FILE_OCTETS} octets")
        return services.parse(source.read_text("utf-8"), known)
    except (OSError, UnicodeError, services.BadServices) as error:
        alarm(f"filter.services_file: {path}: {_why(error)}; it is left out")
    return known


class Worker:
    """Runs steps.

    Attributes:
        finished: messages answered so far.
    """

    def __init__(
        self, setup: Setup, tools: Tools, *, begins: Callable[[Done], None] = lambda done: None
    ) -> None:
        """`begins`: is told which script is about to run."""
        self._setup = setup
        self._begins = begins
        self._job = 0
        self._scripts = OperatorScripts(setup.sieve)
        self._seen = Seen(Path(setup.state)) if setup.state else None
        self._sent = Sent(Path(setup.mail_log)) if setup.mail_log else None
        self._tools = tools
        self._mail = Path(setup.mail) if setup.mail else None
        self._taught = Taught(self._mail, Path(setup.taught) if setup.taught else None)
        self._directory: Directory | None = None
        self._jobs: dict[int, tuple[Evaluation | Study, dict[Question, Answer]]] = {}
        self._remembered: dict[Question, tuple[float, Answer]] = {}
        self.finished = 0

    def run(self, step: Step) -> Done | None:
        """What came of a step; None when there is nothing to say."""
        if step.drop:
            self._jobs.pop(step.job, None)
            return None
        try:
            return self._run(step)
        except MemoryError:
            self._jobs.clear()
            return Done(step.job, problem=OUT_OF_MEMORY, retire=True)
        except Exception as error:  # the one place of this process: a message never ends it
            _log.exception("job %d", step.job)
            self._jobs.pop(step.job, None)
            return Done(step.job, problem=f"{type(error).__name__} in the filter", retire=self._is_tired())

    def _run(self, step: Step) -> Done:
        self._job = step.job
        known = self._learn(step.known)
        if step.request:
            evaluation = self._begin(_request.decode(step.request))
        elif step.job in self._jobs:
            evaluation, before = self._jobs.pop(step.job)
            known = before | known
        else:
            return Done(step.job, is_lost=True)
        lookup = Lookup(_Known(known, self._remembered))
        if step.last:
            lookup = Lookup(GivenUp(known))
        try:
            answer = evaluation.step(lookup)
        except NeedLookup:
            self._jobs[step.job] = evaluation, known
            while len(self._jobs) > MAX_IDLE_JOBS:
                del self._jobs[next(iter(self._jobs))]
            return Done(step.job, wanted=tuple(lookup.wanted), hasty=tuple(lookup.hasty))
        self.finished += 1
        return Done(step.job, _encode(answer), retire=self._is_tired())

    def _begin(self, request: FilterRequest) -> Evaluation | Study:
        if request.wants != "verdict":
            return Study(request, read_message(request), self._tools)
        facts = {r.account_id: self.facts(r.account_id) for r in request.recipients}
        return Evaluation(request, read_message(request), facts, self._tools)

    def facts(self, account_id: int) -> AccountFacts:
        """What the directory says; the defaults when it cannot be read, so that mail flows."""
        if not self._setup.directory:
            return AccountFacts()
        try:
            if self._directory is None:
                self._directory = Directory(Path(self._setup.directory), read_only=True)
            directory = self._directory
            # All at once: each question of its own looks whether somebody has committed.
            known = directory.derived(("filter", account_id), lambda: _standing(directory, account_id))
            if known is None:
                return AccountFacts()
            account, address = known.account, known.account.address
            view = self._view(account, directory, known.own)
            return AccountFacts(
                account.filters,
                account.plan,
                view.steps(),
                known.listed.blocked,
                known.listed.allowed,
                view,
                learned=self._taught.account(address),
                domain=DomainFacts(known.policy, self._taught.domain(address.domain)),
            )
        except TemporaryFailure as error:
            _log.error("directory: %s", error.why)
            return AccountFacts()

    def _view(self, account: Account, directory: Directory, own: Own) -> AccountView:
        return AccountView(
            account,
            directory,
            self._scripts,
            seen=self._seen,
            sent=self._sent,
            mail=self._mail,
            time_zone=self._setup.time_zone,
            own=own,
            begin=lambda id_, script, version: self._begins(
                Done(self._job, begins=Begins(id_, script, version))
            ),
        )

    def _learn(self, records: tuple[Record, ...]) -> dict[Question, Answer]:
        known = {}
        until = time.monotonic()
        for record in records:
            question, answer = to_answer(record)
            known[question] = answer
            if answer.status != "temperror" and _octets(answer) <= MAX_REMEMBERED_OCTETS:
                self._remembered[question] = (until + min(record.keep_s, REMEMBER_S), answer)
        while len(self._remembered) > MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        return known

    def _is_tired(self) -> bool:
        options = self._tools.options
        if self.finished >= options.worker_messages:
            return True
        return self.finished % MEMORY_LOOK == 0 and resident_octets() > options.worker_resident_octets


@dataclass(frozen=True, slots=True)
class _Standing:
    """What the directory says of an account."""

    account: Account
    own: Own
    listed: SenderLists
    policy: MailPolicy


def _standing(directory: Directory, account_id: int) -> _Standing | None:
    account = directory.account_by_id(account_id)
    if account is None:
        return None
    return _Standing(
        account,
        find_own(directory, account),
        directory.sender_lists(account_id),
        directory.mail_policy(account.address.domain),
    )


def _octets(answer: Answer) -> int:
    """What texts and names take; all else is short."""
    return sum(len(record) for record in answer.records if isinstance(record, bytes | str))


_STALE = (float("-inf"), Answer("temperror"))


class _Known(Mapping[Question, Answer]):
    """This job's answers, and fresh ones of earlier jobs."""

    def __init__(self, own: dict[Question, Answer], shared: dict[Question, tuple[float, Answer]]) -> None:
        self._own = own
        self._shared = shared
        self._now = time.monotonic()

    def __getitem__(self, question: Question) -> Answer:
        answer = self.get(question)
        if answer is None:
            raise KeyError(question)
        return answer

    def get(self, question: Question, default: Answer | None = None) -> Answer | None:  # type: ignore[override]
        """As of any mapping, but without its way round by way of KeyError."""
        answer = self._own.get(question)
        if answer is not None:
            return answer
        until, shared = self._shared.get(question, _STALE)
        if until <= self._now:
            return default
        # From now on the job sticks to it, also when it gets stale meanwhile.
        self._own[question] = shared
        return shared

    def __contains__(self, question: object) -> bool:
        return self.get(question) is not None  # type: ignore[arg-type]

    def __iter__(self) -> Any:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)


def resident_octets(pid: int | str = "self") -> int:
    """Memory a process holds now, what it shares with others too."""
    pages = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]
    return int(pages) * resource.getpagesize()


def read_message(request: FilterRequest) -> bytes:
    """The message: from memory, else its file, mapped."""
    if request.message is not None:
        return request.message
    with Path(request.path).open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return b""
        # A map behaves like the bytes it stands for: it is sliced and searched, never changed.
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # type: ignore[return-value]


def make_tools(setup: Setup) -> Tools:
    """Loads the model and compiles nothing yet."""
    return Tools(
        setup.options,
        setup.authserv_id.lower(),
        load_model(setup.model),
        Rules(cpu_clock=time.process_time, hostname=setup.authserv_id, options=setup.sieve),
        load_services(setup.options.services_file),
        load_knowledge(setup.options),
        on_virus=setup.on_virus,
    )


def _serve(channel: socket.socket, worker: Worker) -> None:
    """Steps in, results out, until the parent is gone."""
    reader = FrameReader()
    while data := channel.recv(READ_OCTETS):
        for payload in reader.feed(data):
            done = worker.run(_step.decode(payload))
            if done is not None:
                _send(channel, done)


def _send(channel: socket.socket, done: Done) -> None:
    channel.sendall(frame(_encode(done)))


def _limit(setup: Setup) -> None:
    octets = setup.options.worker_memory_octets
    resource.setrlimit(resource.RLIMIT_AS, (octets, octets))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_OPEN_FILES, MAX_OPEN_FILES))


def _nursery(control: socket.socket, setup: Setup, tools: Tools) -> None:
    """Forks a worker for every socket that comes in; answers with its process id."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    gc.collect()
    gc.freeze()  # what is loaded by now stays shared between the workers
    gc.set_threshold(GARBAGE_AFTER)
    while True:
        try:
            _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        except ConnectionResetError:
            return
        if not descriptors:
            return
        pid = os.fork()
        if pid == 0:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            with socket.socket(fileno=descriptors[0]) as channel:
                _limit(setup)
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    begins = partial(_send, channel)
                    _serve(channel, Worker(setup, tools, begins=begins))
            os._exit(0)
        os.close(descriptors[0])
        control.sendall(pid.to_bytes(8, "big"))


def main() -> None:
    """The nursery; its standard input is a socket to the parent."""
    for signal_ in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_, signal.SIG_IGN)  # the parent ends us by closing the socket
    logs.set_up("filter")
    with socket.socket(fileno=os.dup(0)) as control:
        length = int.from_bytes(control.recv(4, socket.MSG_WAITALL), "big")
        setup = msgspec.msgpack.decode(control.recv(length, socket.MSG_WAITALL), type=Setup)
        _nursery(control, setup, make_tools(setup))
    sys.exit(0)


if __name__ == "__main__":
    main()
