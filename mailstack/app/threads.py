"""Threads for what blocks, for one event loop: few, and the same ones again and again.

A `ThreadPoolExecutor` wakes its threads in turn, so each comes to its work with cold
caches, and its futures are made for more than a loop needs.  Here the thread that was
idle for the shortest time takes the work, a further one starts only when all are busy,
and `run` gives its result to the loop without a second future in between.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, ParamSpec, TypeVar, TypeVarTuple

T = TypeVar("T")
P = ParamSpec("P")
Ts = TypeVarTuple("Ts")

#: Does the work, and gives what tells of it: a thread that has told can be taken again at once.
_Job = Callable[[], Callable[[], None]]


class Threads(Executor):
    """At most so many threads; what finds none waits."""

    def __init__(self, count: int, name: str) -> None:
        """`name`: of the threads; they start when they are needed."""
        self._count = count
        self._name = name
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._threads: list[threading.Thread] = []
        self._waiting: deque[_Job] = deque()
        self._is_closed = False

    def run(self, work: Callable[[*Ts], T], *arguments: *Ts) -> asyncio.Future[T]:
        """Does the work in a thread; to be called and awaited on an event loop.

        Work that waits when its future is cancelled is not begun.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def job() -> Callable[[], None]:
            if future.cancelled():
                return _nothing
            try:
                result = work(*arguments)
            except BaseException as error:
                return partial(_tell, loop, _fail, future, error)
            return partial(_tell, loop, _finish, future, result)

        self._begin(job)
        return future

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See Executor."""
        future: Future[T] = Future()

        def job() -> Callable[[], None]:
            if not future.set_running_or_notify_cancel():
                return _nothing
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                return partial(future.set_exception, error)
            return partial(future.set_result, result)

        self._begin(job)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the threads; what was begun or waits is finished first, unless it is to be cancelled."""
        with self._lock:
            self._is_closed = True
            if cancel_futures:
                self._waiting.clear()
            idle, self._idle = self._idle, []
            for worker in idle:
                worker.wake.release()
        if wait:
            for thread in self._threads:
                thread.join()

    def _begin(self, job: _Job) -> None:
        with self._lock:
            if self._is_closed:
                raise RuntimeError(f"the threads {self._name!r} have ended")
            if self._idle:
                worker = self._idle.pop()
                worker.job = job
                worker.wake.release()
            elif len(self._threads) < self._count:
                worker = _Worker(job)
                name = f"{self._name}_{len(self._threads)}"
                thread = threading.Thread(target=self._serve, args=(worker,), name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
            else:
                self._waiting.append(job)

    def _serve(self, worker: _Worker) -> None:
        job, worker.job = worker.job, None
        while job is not None:
            tell = job()
            with self._lock:
                job = self._waiting.popleft() if self._waiting else None
                is_idle = job is None and not self._is_closed
                if is_idle:
                    self._idle.append(worker)
            tell()
            del tell  # or the result would live until the next
            if is_idle:
                worker.wake.acquire()
                job, worker.job = worker.job, None


class _Worker:
    """One thread's next job, and what wakes it."""

    __slots__ = ("job", "wake")

    def __init__(self, job: _Job) -> None:
        self.job: _Job | None = job
        self.wake = threading.Lock()
        self.wake.acquire()


def _nothing() -> None:
    """Nobody wants to hear of it."""


def _tell(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *arguments: Any) -> None:
    try:
        loop.call_soon_threadsafe(callback, *arguments)
    except RuntimeError:
        if not loop.is_closed():  # else nobody waits any more
            raise


def _finish(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
