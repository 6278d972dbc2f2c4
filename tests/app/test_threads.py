"""Threads for what blocks: results, failures, the end, and who gets the next work."""

from __future__ import annotations

import asyncio
import threading

import pytest

from mailstack.app.threads import Threads
from tests.kit.process import eventually


async def test_results_and_failures_come_back_to_the_loop() -> None:
    threads = Threads(4, "test")
    loop = asyncio.get_running_loop()
    assert await threads.run(divmod, 7, 2) == (3, 1)
    assert await loop.run_in_executor(threads, divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await threads.run(divmod, 1, 0)
    with pytest.raises(ZeroDivisionError):
        await loop.run_in_executor(threads, divmod, 1, 0)
    done = await asyncio.gather(*(threads.run(pow, number, 2) for number in range(200)))
    assert done == [number**2 for number in range(200)]
    threads.shutdown()


async def test_one_thread_is_enough_for_one_after_the_other() -> None:
    threads = Threads(16, "test")
    names = {await threads.run(lambda: threading.current_thread().name) for _ in range(50)}
    assert len(names) == 1
    threads.shutdown()


async def test_at_most_so_many_at_a_time_and_the_rest_waits() -> None:
    threads = Threads(3, "test")
    gate, lock = threading.Event(), threading.Lock()
    at_once: list[int] = []
    running = 0

    def work() -> None:
        nonlocal running
        with lock:
            running += 1
            at_once.append(running)
        gate.wait(30)
        with lock:
            running -= 1

    waiting = [threads.run(work) for _ in range(10)]
    eventually(lambda: len(at_once) == 3)
    gate.set()
    await asyncio.gather(*waiting)
    assert max(at_once) == 3
    threads.shutdown()


async def test_the_end_finishes_what_waits_and_takes_nothing_new() -> None:
    threads = Threads(1, "test")
    gate = threading.Event()
    first, second = threads.run(gate.wait, 30), threads.run(pow, 2, 3)
    ending = asyncio.get_running_loop().run_in_executor(None, threads.shutdown)
    gate.set()
    assert (await first, await second) == (True, 8)
    await ending
    with pytest.raises(RuntimeError, match="have ended"):
        threads.run(pow, 2, 3)


async def test_what_is_cancelled_before_it_began_is_not_done() -> None:
    threads = Threads(1, "test")
    gate = threading.Event()
    done: list[int] = []
    first = threads.run(gate.wait, 30)
    waits = threads.run(done.append, 1)
    future = threads.submit(done.append, 2)
    last = threads.run(done.append, 3)
    waits.cancel()
    assert future.cancel()
    gate.set()
    await first
    await last
    assert done == [3]
    threads.shutdown()


def test_work_of_a_loop_that_is_gone_ends_quietly() -> None:
    threads = Threads(1, "test")
    gate = threading.Event()

    async def leave() -> None:
        threads.run(gate.wait, 30)

    asyncio.run(leave())
    gate.set()
    assert threads.submit(pow, 2, 3).result(30) == 8
    threads.shutdown()
