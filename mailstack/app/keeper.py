"""Keeps processes alive: starts, reaps, restarts, stops.  No threads, no event loop.

Both main processes use it: a daemon's for its workers (`app/workers.py`) and that of
`mailstack up` for the daemons (`app/supervisor.py`).  One loop waits for signals, for
what children say and for the next moment something is due.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

#: A child that lived this long did not die fast: it is started again at once.
HEALTHY_S = 5.0
FIRST_DELAY_S = 0.1
#: The dead are back within a second; only what dies again and again waits longer.
MAX_DELAY_S = 0.9
HOPELESS_DEATHS = 20
HOPELESS_DELAY_S = 10.0
_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)

_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Child:
    """A process to keep.

    Attributes:
        name: for the log.
        start: makes the process and gives its pid; in the new process it never returns.
        stop_phase: phases stop one after the other, 0 first.
        keep: False when it is not to be started again.
        asked: it was told to end, to be started again.
        pid: 0 while it does not run.
        started_at: monotonic seconds.
        due_at: monotonic seconds of the next start.
        quick_deaths: how often in a row it died fast.
    """

    name: str
    start: Callable[[], int]
    stop_phase: int = 0
    keep: bool = True
    asked: bool = False
    pid: int = 0
    started_at: float = 0.0
    due_at: float = 0.0
    quick_deaths: int = 0


def restart_delay_s(quick_deaths: int) -> float:
    """How long the dead stay dead, by how often in a row they died fast; 0 for the first time."""
    if quick_deaths == 0:
        return 0.0
    if quick_deaths > HOPELESS_DEATHS:
        return HOPELESS_DELAY_S
    return float(min(FIRST_DELAY_S * 2 ** (quick_deaths - 1), MAX_DELAY_S))


class Keeper:
    """The loop.  Subclasses say what a death means and what is due when."""

    def __init__(self, *, grace_s: float) -> None:
        """Takes over this process's signals.

        Args:
            grace_s: seconds the children may take to stop before they are killed.
        """
        self.grace_s = grace_s
        self.children: list[Child] = []
        self.stopping = False
        self.status = 0
        self._kill_at = 0.0
        self._phase = -1
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._signalled = socket.socketpair()
        for end in (self._wakeup, self._signalled):
            end.setblocking(False)
        self._selector.register(self._signalled, selectors.EVENT_READ, self._on_signals)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        for number in _HANDLED:
            signal.signal(number, lambda *_: None)

    # -- for subclasses ---------------------------------------------------------------

    def watch(self, source: int | socket.socket, callback: Callable[[], None]) -> None:
        """Calls back when `source` can be read."""
        self._selector.register(source, selectors.EVENT_READ, callback)

    def unwatch(self, source: int | socket.socket) -> None:
        """No longer; unknown sources are ignored."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(source)

    def forget(self) -> None:
        """In a fresh child: gives back signals and descriptors that are the parent's."""
        signal.set_wakeup_fd(-1)
        for number in _HANDLED:
            signal.signal(number, signal.SIG_DFL)
        self._selector.close()
        self._wakeup.close()
        self._signalled.close()

    def on_exit(self, child: Child, status: int) -> None:
        """A child is gone.  `status`: exit status, or minus the signal that killed it."""

    def on_hangup(self) -> None:
        """SIGHUP."""

    def tick(self, now: float) -> float:
        """Called in every round; gives the monotonic second of the next one wanted."""
        return now + 60.0

    # -- the loop ---------------------------------------------------------------------

    def run(self) -> int:
        """Until everything is stopped; gives the exit status."""
        while not self.stopping or self._alive():
            now = time.monotonic()
            due_at = min(self._start_due(now), self._stop_due(now), self.tick(now))
            if self.stopping and not self._alive():
                break
            for key, _ in self._selector.select(max(0.0, due_at - time.monotonic())):
                key.data()
            self._reap()
        return self.status

    def stop(self, *, status: int = 0, grace_s: float | None = None) -> None:
        """Begins to stop all children, phase by phase; `run` then returns `status`."""
        if self.stopping:
            if grace_s is not None:
                self._kill_at = min(self._kill_at, time.monotonic() + grace_s)
            return
        self.stopping = True
        self.status = status
        self._kill_at = time.monotonic() + (self.grace_s if grace_s is None else grace_s)

    def _alive(self) -> list[Child]:
        return [child for child in self.children if child.pid]

    def _on_signals(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in self._signalled.recv(4096):
                if number in (signal.SIGTERM, signal.SIGINT):
                    # Asked a second time by Ctrl-C: at once.
                    hurry = self.stopping and number == signal.SIGINT
                    self.stop(grace_s=0.0 if hurry else None)
                elif number == signal.SIGHUP and not self.stopping:
                    self.on_hangup()

    def _start_due(self, now: float) -> float:
        if self.stopping:
            return now + 60.0
        waiting = [child for child in self.children if not child.pid and child.keep]
        for child in waiting:
            if child.due_at <= now:
                self._start(child, now)
        return min((child.due_at for child in waiting if not child.pid), default=now + 60.0)

    def _start(self, child: Child, now: float) -> None:
        child.started_at = now
        try:
            child.pid = child.start()
        except OSError as error:
            # fork failed: too many processes or no memory (F31); the others go on.
            child.quick_deaths += 1
            child.due_at = now + max(restart_delay_s(child.quick_deaths), FIRST_DELAY_S)
            _log.error("%s cannot be started: %s", child.name, error.strerror)

    def _stop_due(self, now: float) -> float:
        alive = self._alive()
        if not self.stopping or not alive:
            return now + 60.0
        if now >= self._kill_at:
            for child in alive:
                _log.warning("%s did not stop in time and is killed", child.name)
                send(child.pid, signal.SIGKILL)
            self._kill_at = now + 1.0
        phase = min(child.stop_phase for child in alive)
        if phase > self._phase:
            self._phase = phase
            for child in alive:
                if child.stop_phase == phase:
                    send(child.pid, signal.SIGTERM)
        return self._kill_at

    def _reap(self) -> None:
        for child in self._alive():
            try:
                pid, wait_status = os.waitpid(child.pid, os.WNOHANG)
            except ChildProcessError:
                pid, wait_status = child.pid, 0
            if pid:
                self._bury(child, os.waitstatus_to_exitcode(wait_status))

    def _bury(self, child: Child, status: int) -> None:
        now = time.monotonic()
        quick = now - child.started_at < HEALTHY_S
        child.quick_deaths = child.quick_deaths + 1 if quick and status else 0
        child.due_at = now + restart_delay_s(child.quick_deaths)
        if child.asked and not status:
            _log.info("%s (pid %d) ended and is started again, as it was told", child.name, child.pid)
        elif not self.stopping and child.keep:
            _log.warning("%s (pid %d) ended: %s; it is started again", child.name, child.pid, words(status))
        self.on_exit(child, status)
        child.pid, child.asked = 0, False
        if not child.keep:
            self.children.remove(child)


def words(status: int) -> str:
    """An exit status for people."""
    if status >= 0:
        return f"status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def send(pid: int, number: signal.Signals) -> None:
    """A signal to a child of ours that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
