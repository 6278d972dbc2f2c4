"""The filter's worker processes as the parent sees them: started, fed one step at a time, killed.

A worker that takes too long over a step is killed and replaced; the message of that step
is answered unfiltered, all others go on, with another worker if need be (M19).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from mailstack.app.filter_steps import Begins, Done, Setup, Step
from mailstack.net.filter_wire import FrameProtocol, frame

#: A nursery that cannot be started is tried again after this many seconds, then twice as many.
RETRY_S = 1.0
MAX_RETRY_S = 30.0
#: Loading takes half a second; a nursery that says nothing for so long is started anew.
START_S = 20.0
#: A worker that was told to go ends at once; one that does not is killed.
RETIRE_S = 2.0
#: Why a worker was killed that did not come back from a step.
TOO_SLOW = "filter too slow"

_log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_done = msgspec.msgpack.Decoder(Done)


@dataclass(eq=False, slots=True)
class WorkerProcess:
    """One worker.

    Attributes:
        job: whose step it is running; 0 while idle.
        since: when that step began; loop time.
        begun: the script it has begun in that step; None: none yet.
    """

    pid: int
    pidfd: int
    connection: FrameProtocol
    job: int = 0
    since: float = 0.0
    begun: Begins | None = None
    is_retired: bool = False
    alarm: asyncio.TimerHandle | None = field(default=None, repr=False)


class Pool:
    """Keeps the wanted number of workers."""

    def __init__(
        self,
        setup: Setup,
        *,
        done: Callable[[WorkerProcess, Done], None],
        lost: Callable[[WorkerProcess, str], None],
        changed: Callable[[], None],
    ) -> None:
        """
        Args:
            done: a step has ended.
            lost: a worker is gone with an unfinished step, and why.
            changed: there are other workers than before.
        """
        self._setup = setup
        self._told_done = done
        self._told_lost = lost
        self._told_changed = changed
        self._nursery: asyncio.subprocess.Process | None = None
        self._control: socket.socket | None = None
        self._wanted = asyncio.Event()
        self._up = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = False
        self._watching: asyncio.Task[None] | None = None
        self._why_killed: dict[WorkerProcess, str] = {}
        #: Process handles of retired workers.
        self._leaving: set[int] = set()
        self.workers: list[WorkerProcess] = []

    @property
    def pids(self) -> list[int]:
        """Process ids: the nursery and the workers."""
        nursery = [self._nursery.pid] if self._nursery is not None and self._has_nursery() else []
        return nursery + [worker.pid for worker in self.workers]

    async def start(self) -> None:
        """Starts the first workers; returns when they are there."""
        self._keeper = asyncio.get_running_loop().create_task(self._keep())
        self._wanted.set()
        await self._up.wait()

    async def stop(self) -> None:
        """Ends all processes."""
        self._stopping = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        for worker in list(self.workers):
            worker.connection.abort()
            self._kill(worker)
        for leaving in tuple(self._leaving):
            self._see_off(leaving)
        await self._end_nursery()

    def run(self, worker: WorkerProcess, step: Step) -> None:
        """Gives an idle worker a step."""
        loop = asyncio.get_running_loop()
        worker.job, worker.since = step.job, loop.time()
        worker.alarm = loop.call_later(self._setup.options.step_s, self._too_slow, worker)
        worker.connection.send(_encode(step))

    def tell(self, worker: WorkerProcess, step: Step) -> None:
        """Sends a step nobody answers."""
        worker.connection.send(_encode(step))

    def retire(self, worker: WorkerProcess) -> None:
        """Lets an idle worker go; a fresh one is started at once."""
        worker.is_retired = True
        self._wanted.set()
        leaving = os.dup(worker.pidfd)
        self._leaving.add(leaving)
        worker.connection.close()
        asyncio.get_running_loop().call_later(RETIRE_S, self._see_off, leaving)

    def _see_off(self, pidfd: int) -> None:
        """Who was let go and is still there is killed."""
        if pidfd in self._leaving:
            self._leaving.remove(pidfd)
            _kill(pidfd)
            os.close(pidfd)

    def _too_slow(self, worker: WorkerProcess) -> None:
        _log.error("worker %d takes too long and is killed", worker.pid)
        self._why_killed[worker] = TOO_SLOW
        self._kill(worker)

    @staticmethod
    def _kill(worker: WorkerProcess) -> None:
        if worker.pidfd >= 0:
            _kill(worker.pidfd)

    # -- what the workers say --------------------------------------------------------

    def _received(self, worker: WorkerProcess, payload: bytes) -> None:
        try:
            done = _done.decode(payload)
        except msgspec.MsgspecError:
            self._why_killed[worker] = "garbage from the filter"
            self._kill(worker)
            return
        if done.begins is not None:
            worker.begun = done.begins
            return
        if worker.alarm is not None:
            worker.alarm.cancel()
        worker.job, worker.begun = 0, None
        self._told_done(worker, done)

    def _gone(self, worker: WorkerProcess) -> None:
        if worker not in self.workers:
            return
        self.workers.remove(worker)
        if worker.alarm is not None:
            worker.alarm.cancel()
        os.close(worker.pidfd)
        worker.pidfd = -1
        why = self._why_killed.pop(worker, "filter crashed")
        if worker.job and not self._stopping:
            _log.error("worker %d is gone in the middle of a message: %s", worker.pid, why)
        self._wanted.set()
        self._told_lost(worker, why)
        self._told_changed()

    # -- starting them ---------------------------------------------------------------

    async def _keep(self) -> None:
        """Starts what is missing, for ever."""
        retry_s = RETRY_S
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                if not self._has_nursery():
                    await self._start_nursery()
                    self._told_changed()
                while sum(not w.is_retired for w in self.workers) < self._setup.options.workers:
                    await self._add_worker()
                    self._told_changed()
                self._up.set()
                retry_s = RETRY_S
            except (OSError, TimeoutError) as error:
                _log.error("filter workers cannot be started: %s", error)
                await self._end_nursery()
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, MAX_RETRY_S)
                self._wanted.set()

    def _has_nursery(self) -> bool:
        return self._nursery is not None and self._nursery.returncode is None

    async def _watch(self, nursery: asyncio.subprocess.Process) -> None:
        """A nursery that dies is replaced at once, so that the next worker need not wait for it."""
        await nursery.wait()
        if not self._stopping:
            self._wanted.set()

    async def _add_worker(self) -> None:
        assert self._control is not None
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        try:
            ours.setblocking(False)
            with theirs:
                socket.send_fds(self._control, [b"w"], [theirs.fileno()])
            async with asyncio.timeout(START_S):
                answer = await loop.sock_recv(self._control, 8)
            if len(answer) != 8:
                raise OSError("the nursery is gone")
            pid = int.from_bytes(answer, "big")
            pidfd = os.pidfd_open(pid)
        except BaseException:
            ours.close()
            raise
        held: list[WorkerProcess] = []
        _, connection = await loop.create_connection(
            lambda: FrameProtocol(
                lambda _, payload: self._received(held[0], payload), lambda _: self._gone(held[0])
            ),
            sock=ours,
        )
        worker = WorkerProcess(pid, pidfd, connection)
        held.append(worker)
        self.workers.append(worker)

    async def _start_nursery(self) -> None:
        await self._end_nursery()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            self._nursery = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "mailstack.app.filter_worker",
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
            )
        self._control = ours
        self._watching = asyncio.get_running_loop().create_task(self._watch(self._nursery))
        await asyncio.get_running_loop().sock_sendall(ours, frame(_encode(self._setup)))

    async def _end_nursery(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._nursery is None:
            return
        try:
            async with asyncio.timeout(RETIRE_S):
                await self._nursery.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._nursery.kill()
            await self._nursery.wait()
        self._nursery = None


def _kill(pidfd: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
