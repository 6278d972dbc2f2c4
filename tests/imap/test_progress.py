"""How far a long command is."""

from __future__ import annotations

from mailstack.imap.progress import TOLD_EVERY_S, Progress


class Clock:
    """Monotonic seconds, set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_said_of_a_short_command() -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.begin(b"a1")
    clock.now += TOLD_EVERY_S - 0.1
    assert progress.line(1, 2) == b""


def test_a_long_command_is_told_of_at_most_so_often() -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.begin(b"a1")
    clock.now += TOLD_EVERY_S
    assert progress.line(1, 2) == b'* OK [INPROGRESS ("a1" 1 2)] Still at work\r\n'
    assert progress.line(2, 2) == b""
    clock.now += TOLD_EVERY_S
    assert progress.line(3, 2) == b'* OK [INPROGRESS ("a1" 2 2)] Still at work\r\n'


def test_an_unknown_goal_is_nil() -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.begin(b"a1")
    clock.now += TOLD_EVERY_S
    assert progress.line(7, 0) == b'* OK [INPROGRESS ("a1" 7 NIL)] Still at work\r\n'
