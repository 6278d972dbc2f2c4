"""The main process of a daemon: forks workers, listens to them, starts the dead again.

Only one generation of a daemon runs at a time: the main process and its workers hold a
lock file together, so after `kill -9` of the main process the next one begins when the
last worker of the old one is gone.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import socket
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mailstack.app.keeper import Child, Keeper, send
from mailstack.disk.lock import lock_within
from mailstack.net import systemd

#: Descriptor whose end of file means that whoever started us is gone.
LIFELINE = "MAILSTACK_LIFELINE"
#: A worker whose loop did not turn for so long prints where it hangs and ends itself; one
#: that cannot do even that is killed.  Below the units' WatchdogSec.
SILENT_S = 40.0
KILL_GRACE_S = 5.0
#: A daemon that lost its disk, or its starter, has no time to finish.
FATAL_GRACE_S = 3.0
LOCK_WAIT_S = 5.0
_NAP_S = 0.02
#: Daemons that may have two generations of workers while a new configuration is taken.
_OVERLAP = ("smtp", "imap")

_log = logging.getLogger(__name__)


class Work(Protocol):
    """What a worker does."""

    def __call__(self, number: int, count: int, channel: socket.socket) -> int:
        """The worker's life; gives its exit status."""
        ...

    def read_again(self) -> bool:
        """Takes a new configuration; False when there is none."""
        ...


@dataclass(eq=False, slots=True)
class _Worker(Child):
    number: int = 0
    channel: socket.socket | None = None
    ready: bool = False
    heard_at: float = 0.0
    children: list[int] = field(default_factory=list)


class Workers(Keeper):
    """Keeps `count` workers alive."""

    def __init__(self, role: str, *, count: int, work: Work, lock: int, grace_s: float) -> None:
        super().__init__(grace_s=grace_s)
        self._role = role
        self._count = count
        self._work = work
        self._lock = lock
        self._told: list[str] = []
        self._was_ready = False
        self._watchdog_s = systemd.watchdog_s()
        self._pinged_at = 0.0
        for number in range(count):
            self._add(number)
        lifeline = os.environ.pop(LIFELINE, "")
        if lifeline:
            self._lifeline = int(lifeline)
            os.set_inheritable(self._lifeline, False)
            self.watch(self._lifeline, self._abandoned)

    def _add(self, number: int) -> None:
        worker = _Worker(f"worker {number}", lambda: self._fork(worker), number=number)
        self.children.append(worker)

    # -- a worker's birth and death -----------------------------------------------------

    def _fork(self, worker: _Worker) -> int:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stderr.flush()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            ours.close()
            self._become_worker(worker, theirs)
        theirs.close()
        ours.setblocking(False)
        worker.channel, worker.ready, worker.children = ours, False, []
        worker.heard_at = time.monotonic()
        self.watch(ours, lambda: self._hear(worker))
        return pid

    def _become_worker(self, worker: _Worker, channel: socket.socket) -> None:
        status = os.EX_SOFTWARE
        try:
            self.forget()
            for other in self._workers():
                if other.channel is not None:
                    other.channel.close()
            # Whatever the worker forks must neither keep the lock nor look like it.
            os.register_at_fork(after_in_child=lambda: _let_go(self._lock, channel))
            channel.setblocking(False)
            status = self._work(worker.number, self._count, channel)
        except BaseException:
            traceback.print_exc()
        finally:
            logging.shutdown()
            os._exit(status)

    def _workers(self) -> list[_Worker]:
        return [child for child in self.children if isinstance(child, _Worker)]

    def on_exit(self, child: Child, status: int) -> None:
        """Closes the channel; a worker with a broken configuration ends us all."""
        assert isinstance(child, _Worker)
        if child.channel is not None:
            self._hear(child)
        self._hang_up(child)
        child.ready = False
        if status == os.EX_CONFIG:
            self.stop(status=os.EX_CONFIG, grace_s=FATAL_GRACE_S)

    def _hang_up(self, worker: _Worker) -> None:
        if worker.channel is not None:
            self.unwatch(worker.channel)
            worker.channel.close()
            worker.channel = None

    # -- what workers say ---------------------------------------------------------------

    def _hear(self, worker: _Worker) -> None:
        while worker.channel is not None:
            try:
                said = worker.channel.recv(4096)
            except BlockingIOError:
                return
            except OSError:
                said = b""
            if not said:
                self._hang_up(worker)
                return
            worker.heard_at = time.monotonic()
            self._understand(worker, said.decode("ascii", "replace"))

    def _understand(self, worker: _Worker, said: str) -> None:
        word, _, rest = said.partition(" ")
        if word == "ready":
            worker.ready = True
        elif word == "children":
            worker.children = [int(pid) for pid in rest.split(",") if pid]
        elif word == "fatal":
            self.stop(status=os.EX_SOFTWARE, grace_s=FATAL_GRACE_S)

    def _abandoned(self) -> None:
        self.unwatch(self._lifeline)
        os.close(self._lifeline)
        self.stop(status=os.EX_SOFTWARE, grace_s=FATAL_GRACE_S)

    # -- what we say --------------------------------------------------------------------

    def tick(self, now: float) -> float:
        """Reports changes, pings systemd while all workers answer, ends those that do not."""
        alive = [worker for worker in self._workers() if worker.pid]
        silent = [worker for worker in alive if now - worker.heard_at > SILENT_S + KILL_GRACE_S]
        for worker in silent:
            _log.error("%s (pid %d) hangs and is killed", worker.name, worker.pid)
            send(worker.pid, signal.SIGKILL)
        self._report(alive)
        if self._watchdog_s is None:
            return now + KILL_GRACE_S
        # One that even SIGKILL does not end (a disk that hangs) is for systemd to see.
        if not silent and now - self._pinged_at >= self._watchdog_s / 3:
            self._pinged_at = now
            systemd.notify("WATCHDOG=1")
        next_ping_at = self._pinged_at + self._watchdog_s / 3
        return now + KILL_GRACE_S if silent else min(now + KILL_GRACE_S, next_ping_at)

    def _report(self, alive: list[_Worker]) -> None:
        pids = [pid for worker in alive for pid in (worker.pid, *worker.children)]
        lines = [f"X_MAILSTACK_WORKERS={','.join(map(str, pids))}"]
        ready = len({worker.number for worker in alive if worker.ready}) == self._count
        self._was_ready = self._was_ready or ready
        if self.stopping:
            lines.append("STOPPING=1")
        elif self._was_ready:
            lines += ["READY=1", f"STATUS={self._role}: {len(alive)} of {self._count} workers"]
        if lines != self._told:
            self._told = lines
            systemd.notify(*lines)

    def on_hangup(self) -> None:
        """New configuration: new workers, and the old ones finish what they do (F38)."""
        if not self._work.read_again():
            return
        _log.info("the configuration was read again")
        for worker in self._workers():
            if not worker.pid:
                continue
            if self._role in _OVERLAP:
                worker.keep = False
                self._add(worker.number)
            worker.asked = worker.keep
            send(worker.pid, signal.SIGTERM)


def hold_lock(lock_file: Path, *, wait_s: float | None = None) -> int:
    """Takes the lock of a daemon or supervisor; gives its descriptor, to be kept open.

    Args:
        wait_s: for processes a killed predecessor left behind; None: LOCK_WAIT_S.

    Raises:
        TemporaryFailure: it runs already on the same state directory.
    """
    lock_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    wait_s = LOCK_WAIT_S if wait_s is None else wait_s
    lock_within(fd, wait_s, f"{lock_file} is held: it runs already", nap_s=_NAP_S)
    return fd


def is_held(lock_file: Path) -> bool:
    """Whether a process holds this lock."""
    try:
        fd = os.open(lock_file, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _let_go(lock: int, channel: socket.socket) -> None:
    os.close(lock)
    channel.close()
