"""The background thread of one process: cache rows, file names, files to remove.

Nothing here is promised to anybody: what it does not get done is done by the next
process, from the rows marked in account.db.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from mailstack.mailbox.cache import Head, make_head, make_texts
from mailstack.mailbox.options import MailboxOptions
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import MailboxError, MessageTexts

if TYPE_CHECKING:
    from mailstack.mailbox.core import Core

#: New messages are collected this long, so that several share a transaction.
TEXTS_DELAY_S = 0.2
#: The full-text index waits so long for more messages; between turns it pauses as long as one took.
INDEX_DELAY_S = 2.0
#: After trouble with a disk, this long until the next try.
TROUBLE_DELAY_S = 30.0
_MAX_BATCH = 256


class Worker:
    """Jobs per account, done by one thread that starts with the first."""

    def __init__(
        self,
        options: MailboxOptions,
        trouble: Callable[[TemporaryFailure], None],
        jobs: Mapping[str, Callable[[Core], bool]],
    ) -> None:
        """Starts nothing yet.

        Args:
            trouble: told of failures nobody waits for.
            jobs: by name; each gives True when more of it is left.
        """
        self._options = options
        self._trouble = trouble
        self._jobs = jobs
        self._turn = threading.Condition()
        self._texts: dict[Core, list[tuple[int, MessageTexts, Head]]] = {}
        self._texts_waiting = 0
        self._texts_due = 0.0
        self._due: dict[tuple[str, Core], float] = {}
        self._busy = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def report(self, error: TemporaryFailure) -> None:
        """Tells whoever watches of a failure that stops nobody."""
        self._trouble(error)

    def texts(self, core: Core, mid: int, data: bytes) -> None:
        """Makes a new message's texts now and has them kept later; dropped when too many wait.

        They are made in the caller's thread: a thread that computes beside it would make
        each of its system calls wait for Python's lock.
        """
        if self._texts_waiting >= self._options.cache_backlog:
            return
        texts = make_texts(data)
        head = make_head(data[: texts.header_octets])
        with self._turn:
            if self._closed:
                return
            if not self._texts:
                self._texts_due = time.monotonic() + TEXTS_DELAY_S
                self._wake()
            self._texts.setdefault(core, []).append((mid, texts, head))
            self._texts_waiting += 1

    def names(self, core: Core) -> None:
        """Flags changed: the file names follow after a while."""
        self._add("names", core, self._options.flag_names_delay_s)

    def doomed(self, core: Core) -> None:
        """Rows are gone: their files follow soon."""
        self._add("doomed", core, 0.05)

    def notices(self, core: Core) -> None:
        """A warning of a nearly full mailbox is to be written."""
        self._add("notices", core, 0.05)

    def index(self, core: Core) -> None:
        """The full-text index may be behind: it catches up after a while, if this process does that."""
        if "index" in self._jobs:
            self._add("index", core, INDEX_DELAY_S)

    def flush(self, core: Core | None = None) -> None:
        """Does now, in this thread, what waits for an account; or for all.  The index may wait.

        Raises:
            TemporaryFailure: the disk is in trouble.
        """
        with self._turn:
            # A job that needs what waits is busy itself.
            while self._busy and threading.current_thread() is not self._thread:
                self._turn.wait()
            cores = set(self._texts) | {each for kind, each in self._due if kind != "index"}
            if core is not None:
                cores &= {core}
            texts = {each: self._texts.pop(each) for each in cores if each in self._texts}
            jobs = [job for job in self._due if job[1] in cores and job[0] != "index"]
            for job in jobs:
                del self._due[job]
            self._texts_waiting -= sum(map(len, texts.values()))
        for each, batch in texts.items():
            each.cache.put_all(each.db.epoch, batch)
        for kind, each in jobs:
            while self._jobs[kind](each):
                pass

    def close(self) -> None:
        """Stops the thread and does what is left."""
        with self._turn:
            self._closed = True
            self._turn.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()
        self.flush()

    def _add(self, kind: str, core: Core, delay_s: float) -> None:
        with self._turn:
            if (kind, core) in self._due:
                return
            self._due[kind, core] = time.monotonic() + delay_s
            if not self._closed:
                self._wake()

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="mailbox worker", daemon=True)
            self._thread.start()
        self._turn.notify_all()

    def _run(self) -> None:
        while True:
            with self._turn:
                self._busy = False
                self._turn.notify_all()
                job = self._next()
                while job is None and not self._closed:
                    self._turn.wait(self._wait_s())
                    job = self._next()
                if job is None or self._closed:
                    return
                self._busy = True
            try:
                job()
            except BaseException:
                # A mistake of ours: it is shown, and the next job starts a new thread.
                with self._turn:
                    self._busy, self._thread = False, None
                    self._turn.notify_all()
                raise

    def _wait_s(self) -> float | None:
        times = list(self._due.values())
        if self._texts:
            times.append(self._texts_due)
        return max(min(times) - time.monotonic(), 0.001) if times else None

    def _next(self) -> Callable[[], None] | None:
        """Takes the next job that is due."""
        if self._closed:
            return None
        now = time.monotonic()
        if self._texts and self._texts_due <= now:
            core = next(iter(self._texts))
            waiting = self._texts[core]
            batch, rest = waiting[:_MAX_BATCH], waiting[_MAX_BATCH:]
            if rest:
                self._texts[core] = rest
            else:
                del self._texts[core]
            self._texts_waiting -= len(batch)
            return lambda: core.cache.put_all(core.db.epoch, batch)
        for (kind, core), due in self._due.items():
            if due <= now:
                del self._due[kind, core]
                return lambda: self._do(kind, core)
        return None

    def _do(self, kind: str, core: Core) -> None:
        started = time.monotonic()
        try:
            more = self._jobs[kind](core)
        except TemporaryFailure as error:
            self._trouble(error)
            self._add(kind, core, TROUBLE_DELAY_S)
        except MailboxError:
            pass  # the folder went in between
        else:
            if more:
                self._add(kind, core, time.monotonic() - started if kind == "index" else 0.0)
