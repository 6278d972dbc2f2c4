"""What a worker knows about clients of port 25, shared by all workers through `state.db`.

Questions are answered at once from a snapshot on the event loop; what was seen is written
in batches by a thread, and the snapshot is taken anew with it, twice a second.  A database
that fails weakens the protection and stops no mail.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

from mailstack.app.beside import go_on
from mailstack.app.mx_options import MxOptions
from mailstack.model.errors import TemporaryFailure
from mailstack.model.network import Networks, is_outside, network_of
from mailstack.smtp.options import cap
from mailstack.state.copies import HOUR_S, Copies, Signed
from mailstack.state.guesses import Count, Guesses, Rule
from mailstack.state.sender_history import SERVER, SenderHistory
from mailstack.state.traps import Traps
from mailstack.state.wanted import Wanted

#: How often counts are written and read, in seconds.
LOOK_S = 0.5
#: What is noted once is not written again for so long, in seconds.
NOTE_AGAIN_S = 86_400.0
#: Names remembered as noted.
MAX_NOTED = 20_000
#: Copies of a signed message in one worker from which on they are counted in all.
MANY_COPIES = 10
#: Hits of traps that are kept while they cannot be written.
MAX_HITS = 1_000

_log = logging.getLogger(__name__)


class Reputation:
    """One worker's view."""

    def __init__(
        self, state_db: Path, options: MxOptions, *, now: Callable[[], float], disk: Executor
    ) -> None:
        self._options = options
        self._now = now
        self._disk = disk
        self._guesses = Guesses(state_db)
        self._traps = Traps(state_db)
        self._wanted = Wanted(state_db)
        self._copies = Copies(state_db, synchronous="NORMAL")
        self._history = SenderHistory(state_db)
        self._relays = Networks(options.trusted_relays)
        most = cap(options.guesses)
        self._rule = None if most is None else Rule(most, options.guesses_ratio, options.guesses_window_s)
        self._counts: dict[str, Count] = {}
        self._window = 0
        self._hits: list[tuple[str, str, float]] = []
        self._noted: dict[str, float] = {}
        self._to_note: set[str] = set()
        self._to_hear: set[tuple[int, str]] = set()
        self._signed: dict[Signed, int] = {}
        self._signed_hour = 0
        self._most_copies = cap(options.replay_copies)
        self._replayed: dict[Signed, int] = {}
        self._guessing: dict[str, float] = {}
        self._trapped: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._is_broken = False

    # -- questions: no waiting ------------------------------------------------------------

    @property
    def relays(self) -> Networks:
        """The trusted relays."""
        return self._relays

    def is_guessing(self, ip: str) -> bool:
        """True for a client that tried too many names and is put off."""
        until = self._guessing.get(network_of(ip, 32, 64)) if self._guessing else None
        return until is not None and until > self._now()

    def trap_hits(self, ip: str) -> int:
        """Hits of the client's network, 0 below the limit."""
        hits = self._trapped.get(network_of(ip, 24, 64), 0) if self._trapped else 0
        return hits if hits >= self._options.trap_hits else 0

    @property
    def has_replayed(self) -> bool:
        """Some signed message comes again and again."""
        return bool(self._replayed)

    def copies(self, signed: Iterable[Signed]) -> tuple[int, str]:
        """Of the most frequent of these, if that is too often: copies, and who signed it; else 0."""
        return max(((self._replayed.get(one, 0), one[0]) for one in signed), default=(0, ""))

    # -- notes: no waiting ----------------------------------------------------------------

    def recipient(self, ip: str, *, is_known: bool) -> None:
        """A client named a recipient that exists, or one that does not."""
        if self._rule is None or ip in self._relays or not ip:
            return
        client = network_of(ip, 32, 64)
        count = self._counts.get(client, Count())
        more = replace(count, good=count.good + 1) if is_known else replace(count, unknown=count.unknown + 1)
        self._counts[client] = more

    def trap(self, ip: str, address: str) -> int:
        """Mail for a spam trap came from here; gives how often, as far as this worker knows."""
        if not is_outside(ip) or ip in self._relays:
            return 0
        network = network_of(ip, 24, 64)
        self._hits.append((network, address, self._now()))
        return self._trapped.get(network, 0) + sum(hit[0] == network for hit in self._hits)

    def signed(self, domain: str, body: str, copies: int) -> None:
        """So many copies of a message came, with this signature and nothing else to prove its author."""
        if self._most_copies is None:
            return
        hour = int(self._now() // HOUR_S)
        if hour != self._signed_hour or len(self._signed) >= MAX_NOTED:
            self._signed_hour, self._signed = hour, {}
        key = (domain, body)
        self._signed[key] = self._signed.get(key, 0) + copies

    def wanted(self, ip: str, domain: str) -> None:
        """Authenticated mail that is no spam came from here."""
        self._to_note.update(name for name in _names(ip, domain) if self._is_news(name))

    def heard(self, author: str, account_ids: Iterable[int]) -> None:
        """Wanted mail of an authenticated author came to these accounts."""
        for account_id in (SERVER, *account_ids):
            if len(self._to_hear) < MAX_NOTED and self._is_news(f"from {account_id} {author}"):
                self._to_hear.add((account_id, author))

    def _is_news(self, name: str) -> bool:
        """True when it was not said within the day."""
        now = self._now()
        if self._noted.get(name, 0.0) >= now - NOTE_AGAIN_S:
            return False
        if len(self._noted) >= MAX_NOTED:
            self._noted.clear()
        self._noted[name] = now
        return True

    # -- the database ---------------------------------------------------------------------

    async def is_wanted(self, ip: str, domain: str = "") -> bool:
        """Whether wanted mail came from this network, or this authenticated domain, lately."""
        names, since = _names(ip, domain), self._now() - self._options.wanted_s
        if not names:
            return False
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._disk, lambda: self._wanted.is_any(names, since=since)
            )
        except TemporaryFailure as error:
            self._trouble(error)
            return True

    def start(self) -> None:
        """Writes and reads from now on; call it in the running loop."""
        self._task = asyncio.get_running_loop().create_task(
            go_on("sharing what is known of clients", self._go)
        )

    async def close(self) -> None:
        """Writes what is left."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            await self.look()
        for table in (self._guesses, self._traps, self._wanted, self._history, self._copies):
            table.close()

    async def _go(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Writes what was seen and takes a new snapshot."""
        counts = self._take_counts()
        hits, self._hits = self._hits, []
        names, self._to_note = self._to_note, set()
        heard, self._to_hear = self._to_hear, set()
        signed = self._take_signed()
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._disk, self._exchange, counts, hits, names, heard, signed)
        except TemporaryFailure as error:
            self._trouble(error)
            # Written next time; doing it twice changes nothing.
            self._hits = (hits + self._hits)[:MAX_HITS]
            if len(self._to_note) < MAX_NOTED:
                self._to_note |= names
            if len(self._to_hear) < MAX_NOTED:
                self._to_hear |= heard
            return
        self._is_broken = False
        self._guessing, self._trapped, self._replayed = found

    def _take_signed(self) -> dict[Signed, int]:
        """Counts worth sharing; they begin again here."""
        many = {key: copies for key, copies in self._signed.items() if copies >= MANY_COPIES}
        for key in many:
            self._signed[key] = 0
        return many

    def _take_counts(self) -> dict[str, Count]:
        """Counts to be written: those of clients that named somebody unknown.

        Good recipients alone need no write; they wait for the day they are weighed.
        """
        counts = {client: count for client, count in self._counts.items() if count.unknown}
        for client in counts:
            del self._counts[client]
        window = int(self._now() // self._options.guesses_window_s)
        if window != self._window or len(self._counts) > MAX_NOTED:
            self._window, self._counts = window, {}
        return counts

    def _exchange(
        self,
        counts: dict[str, Count],
        hits: list[tuple[str, str, float]],
        names: set[str],
        heard: set[tuple[int, str]],
        signed: dict[Signed, int],
    ) -> tuple[dict[str, float], dict[str, int], dict[Signed, int]]:
        now, options = self._now(), self._options
        for network, trap, at in hits:
            self._traps.hit(network, trap, now=at, keep_s=options.trap_s)
        if names:
            self._wanted.note(names, now=now, keep_s=options.wanted_s)
        if heard:
            self._history.note(heard, now=now)
        trapped = self._traps.hits(since=now - options.trap_s)
        if signed:
            self._copies.add(signed, now=now)
        replayed = {} if self._most_copies is None else self._copies.many(self._most_copies, now=now)
        if self._rule is None:
            return {}, trapped, replayed
        if counts:
            self._guesses.add(counts, self._rule, now=now)
        guessing = self._guesses.guessing(self._rule, now=now)
        return {client: until for client, (until, _) in guessing.items()}, trapped, replayed

    def _trouble(self, error: TemporaryFailure) -> None:
        if not self._is_broken:
            self._is_broken = True
            _log.error("what is known about clients cannot be shared: %s", error.why)


def _names(ip: str, domain: str) -> list[str]:
    names = [f"net {network_of(ip, 24, 64)}"] if is_outside(ip) else []
    return [*names, f"dom {domain}"] if domain else names
