"""Keeping processes alive, without daemons: forks that fail, children that will not go."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection

import pytest

from mailstack.app.keeper import Child, Keeper, words


def child_process(then: Callable[[], None]) -> int:
    """Forks; the child does `then` and is gone."""
    pid = os.fork()
    if pid == 0:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        then()
        os._exit(0)
    return pid


def supervised(scenario: Callable[[Connection], None]) -> list[object]:
    """Runs the scenario in a process of its own (a keeper takes over the signals); gives what it sent."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=scenario, args=(theirs,))
    process.start()
    theirs.close()
    process.join(20)
    assert process.exitcode == 0
    sent = []
    while ours.poll():
        try:
            sent.append(ours.recv())
        except EOFError:
            break
    ours.close()
    return sent


def fork_fails_twice(results: Connection) -> None:
    tries = 0

    def start() -> int:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        return child_process(lambda: time.sleep(60))

    keeper = _Until(lambda: bool(child.pid), grace_s=2.0)
    child = Child("late", start)
    keeper.children.append(child)
    results.send((keeper.run(), tries))


def test_a_fork_that_fails_is_tried_again() -> None:
    # F31
    assert supervised(fork_fails_twice) == [(0, 3)]


def phases(results: Connection) -> None:
    ended: list[str] = []

    class Noting(_Until):
        def on_exit(self, child: Child, status: int) -> None:
            ended.append(child.name)

    keeper = Noting(lambda: all(child.pid for child in keeper.children), grace_s=5.0)
    for name, phase in (("filter", 1), ("smtp", 0), ("queue", 1), ("imap", 0)):
        start = lambda: child_process(lambda: time.sleep(60))  # noqa: E731
        keeper.children.append(Child(name, start, stop_phase=phase))
    keeper.run()
    results.send(ended)


def test_phases_end_one_after_the_other() -> None:
    (ended,) = supervised(phases)
    assert set(ended[:2]) == {"smtp", "imap"} and set(ended[2:]) == {"filter", "queue"}


def deaf_child(results: Connection) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)

    keeper = _Until(lambda: bool(child.pid), grace_s=0.5)
    child = Child("deaf", lambda: child_process(ignore))
    keeper.children.append(child)
    begun = time.monotonic()
    keeper.run()
    results.send(time.monotonic() - begun)


def test_who_does_not_hear_is_killed_after_the_grace() -> None:
    (took_s,) = supervised(deaf_child)
    assert isinstance(took_s, float) and 0.4 < took_s < 30


@pytest.mark.parametrize(
    ("status", "text"),
    [(0, "status 0"), (75, "status 75"), (-9, "killed by SIGKILL"), (-99, "killed by signal 99")],
)
def test_an_exit_status_in_words(status: int, text: str) -> None:
    assert words(status) == text


class _Until(Keeper):
    """Stops once something holds."""

    def __init__(self, holds: Callable[[], bool], *, grace_s: float) -> None:
        super().__init__(grace_s=grace_s)
        self._holds = holds

    def tick(self, now: float) -> float:
        if self._holds() and not self.stopping:
            time.sleep(0.2)  # until the children have their signal handlers
            self.stop()
        return now + 0.1
