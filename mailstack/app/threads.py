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
from typing import Any, ParamSpec, TypeVar, TypeVarTuple

T = TypeVar("T")
P = ParamSpec("P")
Ts = TypeVarTuple("Ts")

_Job = Callable[[], None]


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

        def job() -> None:
            if future.cancelled():
                return
            try:
                result = work(*arguments)
            except BaseException as error:
                _tell(loop, _fail, future, error)
            else:
                _tell(loop, _finish, future, result)

        self._begin(job)
        return future

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See Executor."""
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

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
        while True:
            job, worker.job = worker.job, None
            if job is not None:
                job()
                del job  # or what it holds would live until the next
            with self._lock:
                if self._waiting:
                    worker.job = self._waiting.popleft()
                    continue
                if self._is_closed:
                    return
                self._idle.append(worker)
            worker.wake.acquire()


class _Worker:
    """One thread's next job, and what wakes it."""

    __slots__ = ("job", "wake")

    def __init__(self, job: _Job) -> None:
        self.job: _Job | None = job
        self.wake = threading.Lock()
        self.wake.acquire()


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
