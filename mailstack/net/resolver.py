"""All DNS questions of a process: cache, single flight, budgets, and a short memory of silence.

`Resolver.lookup` never raises: what cannot be answered is "temperror".  When no server
answers anything the resolver notices once, fails look-ups at once for a while and probes
in the background, so that mail flows at full speed on a machine without network.

Standards: RFC 1035, RFC 2308; numbers from section 4 of the limits.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import dns.exception
import dns.resolver

from mailstack.model.dns import Answer, Lookup, NeedLookup, Question
from mailstack.net import dns_table
from mailstack.net.dns_cache import Cache
from mailstack.net.dns_channel import NoServer, Server, Unaskable
from mailstack.net.dns_options import DEFAULT_PORT, DnsOptions, parse_server
from mailstack.net.dns_wire import NO_SUCH_NAME, PROBE, TEMPERROR, to_answer

T = TypeVar("T")

#: A question unanswered for this long, with silence all around, makes us ask whether anybody is there.
SUSPICION_S = 0.5
#: A server that is there answers the probe from its memory within this time.
PROBE_S = 1.5
#: Waits that make it up: whoever stood still for a while himself loses one of them, not all.
PROBE_WAITS = 5
#: A check that is run again more often than this asks too much (libraries page, section 4).
MAX_RUNS = 40


@dataclass(slots=True)
class Budget:
    """What one message may still ask.  `deadline` is in loop time."""

    questions: int
    deadline: float


class DnsSource(Protocol):
    """Whoever answers questions: the network, a table, or nobody."""

    async def lookup(self, name: str, kind: str, *, budget: Budget | None = None) -> Answer:
        """The answer; never raises."""
        ...

    def new_budget(self) -> Budget:
        """A fresh budget for one message; needs a running loop."""
        ...


class Knowing(DnsSource, Protocol):
    """A source that remembers."""

    def known(self, question: Question) -> Answer | None:
        """The answer when it can be given without waiting."""
        ...


class Resolver:
    """The network's answers.  Belongs to one event loop; call `start` in it and `close` at the end."""

    def __init__(self, options: DnsOptions) -> None:
        self._options = options
        self._cache = Cache(options)
        self._flights: dict[Question, asyncio.Task[Answer]] = {}
        self._servers: list[Server] = []
        self._secure: set[Server] = set()
        self._heard_at = float("-inf")
        self._down: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[bool] | None = None
        self._silence = asyncio.Event()
        self._started = False

    @property
    def is_down(self) -> bool:
        """Nobody answered lately; look-ups fail at once."""
        return self._down is not None

    async def start(self) -> None:
        """Finds the servers and looks in the background whether anybody answers.

        The first look-up does the same.
        """
        if self._started:
            return
        self._started = True
        self._find_servers()
        if not self._servers:
            self._go_down()
        elif self._probing is None:
            self._probing = asyncio.create_task(self._probe())

    async def close(self) -> None:
        """Ends background work; open look-ups fail."""
        tasks = [t for t in (self._down, self._probing, *self._flights.values()) if t is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self._servers:
            server.close()

    def new_budget(self) -> Budget:
        """The questions and seconds one message may use."""
        deadline = asyncio.get_running_loop().time() + self._options.message_s
        return Budget(self._options.message_questions, deadline)

    def known(self, question: Question) -> Answer | None:
        """The answer when it can be given without waiting."""
        answer = self._cache.get(question, asyncio.get_running_loop().time())
        if answer is None and self._down is not None:
            return TEMPERROR
        return answer

    def keep_s(self, answer: Answer) -> float:
        """Seconds an answer may be kept elsewhere."""
        return self._cache.keep_s(answer)

    async def lookup(self, name: str, kind: str, *, budget: Budget | None = None) -> Answer:
        """Asks for `name` (A-labels) and `kind` such as "TXT".

        Returns:
            The answer; "temperror" also when the budget is used up.
        """
        if not self._started:
            await self.start()
        question = Question(name.lower().rstrip("."), kind)
        if (answer := self.known(question)) is not None:
            return answer
        loop = asyncio.get_running_loop()
        wait_s = None
        if budget is not None:
            if budget.questions <= 0 or budget.deadline <= loop.time():
                return TEMPERROR
            budget.questions -= 1
            wait_s = budget.deadline - loop.time()
        flight = self._flights.get(question)
        if flight is None:
            flight = loop.create_task(self._fly(question))
            self._flights[question] = flight
        try:
            return await asyncio.wait_for(asyncio.shield(flight), wait_s)
        except TimeoutError:
            return TEMPERROR
        except asyncio.CancelledError:
            if flight.cancelled():  # the resolver was closed, not the caller
                return TEMPERROR
            raise

    def _find_servers(self) -> None:
        if self._options.servers:
            pairs = [parse_server(server) for server in self._options.servers]
        else:
            pairs = _system_servers()
        self._servers = [Server(address, port) for address, port in pairs]
        # The AD bit is believed only on a path nobody else can write to, and only when so configured.
        if self._options.servers:
            trusted = {parse_server(server) for server in self._options.trusted}
            self._secure = {
                s
                for s in self._servers
                if ipaddress.ip_address(s.address).is_loopback or (s.address, s.port) in trusted
            }

    async def _fly(self, question: Question) -> Answer:
        try:
            answer = await self._ask(question)
            if answer.status != "temperror" or self._down is None:  # our silence says nothing about the name
                self._cache.put(question, answer, asyncio.get_running_loop().time())
            return answer
        finally:
            del self._flights[question]

    async def _ask(self, question: Question) -> Answer:
        unreachable = 0
        for number in range(max(self._options.tries, min(len(self._servers), 3))):
            if self._down is not None:
                return TEMPERROR
            server = self._servers[number % len(self._servers)]
            try:
                response = await self._exchange(server, question)
            except Unaskable:
                return NO_SUCH_NAME
            except NoServer:
                unreachable += 1
                continue
            except TimeoutError:
                continue
            answer = to_answer(response, question, secure=server in self._secure)
            if answer.status != "temperror" or number + 1 >= len(self._servers):
                return answer
        if unreachable >= min(len(self._servers), 3):
            self._go_down()
        return TEMPERROR

    async def _exchange(self, server: Server, question: Question) -> Any:
        """One try; TimeoutError when nothing came in time or silence was noticed meanwhile."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        suspicion = loop.call_later(SUSPICION_S, self._suspect, began)
        asking = asyncio.ensure_future(server.ask(question))
        silence = asyncio.ensure_future(self._silence.wait())
        try:
            await asyncio.wait(
                (asking, silence), timeout=self._options.try_s, return_when=asyncio.FIRST_COMPLETED
            )
            if not asking.done():
                raise TimeoutError
            response = asking.result()
            self._heard_at = loop.time()
            return response
        finally:
            suspicion.cancel()
            for task in (asking, silence):
                task.cancel()

    def _suspect(self, began: float) -> None:
        if self._heard_at < began and self._probing is None and self._down is None:
            self._probing = asyncio.get_running_loop().create_task(self._probe())

    async def _probe(self) -> bool:
        """Asks every server something it knows; down when all are silent."""
        try:
            alive = await self._is_anybody_there()
        finally:
            self._probing = None
        if not alive:
            self._go_down()
        return alive

    async def _is_anybody_there(self) -> bool:
        asking = [asyncio.ensure_future(server.ask(PROBE)) for server in self._servers]
        if not asking:
            return False
        waits, waiting = PROBE_WAITS, set(asking)
        try:
            while waiting and waits:
                done, waiting = await asyncio.wait(
                    waiting, timeout=PROBE_S / PROBE_WAITS, return_when=asyncio.FIRST_COMPLETED
                )
                if any(task.exception() is None for task in done):
                    self._heard_at = asyncio.get_running_loop().time()
                    return True
                waits -= not done
            return False
        finally:
            for task in asking:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*asking, return_exceptions=True)

    def _go_down(self) -> None:
        if self._down is None:
            self._silence.set()
            self._down = asyncio.get_running_loop().create_task(self._stay_down())

    async def _stay_down(self) -> None:
        while True:
            await asyncio.sleep(self._options.down_s)
            if not self._options.servers:  # the machine may have come online with other servers
                for server in self._servers:
                    server.close()
                self._find_servers()
            if await self._is_anybody_there():
                break
        self._silence = asyncio.Event()
        self._down = None


def _system_servers() -> list[tuple[str, int]]:
    try:
        found = dns.resolver.Resolver(configure=True).nameservers
    except (dns.exception.DNSException, OSError, ValueError):
        return []
    pairs = []
    for server in found:
        with contextlib.suppress(ValueError):
            pairs.append((str(ipaddress.ip_address(str(server))), DEFAULT_PORT))
    return pairs


class TableResolver:
    """Answers from a `--dns` table; see `dns_table.load_table`."""

    def __init__(self, table: dns_table.Table, options: DnsOptions | None = None) -> None:
        self._table = table
        self._options = options or DnsOptions()

    def new_budget(self) -> Budget:
        """As the network's resolver gives it."""
        deadline = asyncio.get_running_loop().time() + self._options.message_s
        return Budget(self._options.message_questions, deadline)

    async def lookup(self, name: str, kind: str, *, budget: Budget | None = None) -> Answer:
        """What the table says."""
        if budget is not None:
            if budget.questions <= 0:
                return TEMPERROR
            budget.questions -= 1
        return dns_table.answer(self._table, Question(name.lower().rstrip("."), kind))


class OfflineResolver(TableResolver):
    """Asks nobody: every look-up is "temperror"."""

    def __init__(self) -> None:
        super().__init__({})

    async def lookup(self, name: str, kind: str, *, budget: Budget | None = None) -> Answer:
        """Always "temperror"."""
        return TEMPERROR


async def lookup_all(
    source: DnsSource, questions: Iterable[Question], *, budget: Budget | None = None
) -> dict[Question, Answer]:
    """Asks everything at once."""
    wanted = list(questions)
    answers = await asyncio.gather(*(source.lookup(q.name, q.kind, budget=budget) for q in wanted))
    return dict(zip(wanted, answers, strict=True))


async def run_check(
    check: Callable[[Lookup], T],
    source: DnsSource,
    *,
    budget: Budget | None = None,
    known: Mapping[Question, Answer] | None = None,
) -> T:
    """Runs a re-runnable check until every question it has is answered.

    A check that still asks after `MAX_RUNS` runs gets "temperror" for the rest.
    """
    answers = dict(known or {})
    for _ in range(MAX_RUNS):
        lookup = Lookup(answers)
        try:
            return check(lookup)
        except NeedLookup:
            answers.update(await lookup_all(source, lookup.wanted, budget=budget))
    return check(Lookup(GivenUp(answers)))


async def run_in_threads(
    check: Callable[[Lookup], T], source: DnsSource, threads: Executor, *, budget: Budget | None = None
) -> T:
    """As `run_check`, for a check that takes its time, and never gives None: it runs in a thread."""
    loop = asyncio.get_running_loop()
    answers: dict[Question, Answer] = {}
    for run in range(MAX_RUNS + 1):
        lookup = Lookup(GivenUp(answers) if run == MAX_RUNS else answers)
        found, wanted = await loop.run_in_executor(threads, _try, check, lookup)
        if found is not None:
            return found
        answers.update(await lookup_all(source, wanted, budget=budget))
    raise AssertionError("a check asks although nothing is left to ask")


def _try(check: Callable[[Lookup], T], lookup: Lookup) -> tuple[T | None, Sequence[Question]]:
    try:
        return check(lookup), ()
    except NeedLookup:
        return None, tuple(lookup.wanted)


class GivenUp(dict[Question, Answer]):
    """What is not known by now stays unknown: "temperror" for every other question."""

    def __contains__(self, question: object) -> bool:
        return True

    def get(self, question: Question, default: object = None) -> Answer:
        """The answer we have, else "temperror"."""
        return super().get(question, TEMPERROR)
