"""A flood of refusals does not fill the log."""

from __future__ import annotations

from mailstack.app.quiet import LINES, MAX_KEYS, WINDOW_S, Quiet
from tests.kit.clock import Clock


def test_a_flood_is_a_few_lines_and_their_number() -> None:
    # S43, P9
    clock = Clock()
    quiet = Quiet(now=clock)
    said = [quiet.left_out("192.0.2.1", "connections") for _ in range(1000)]
    assert said == [0] * LINES + [None] * (1000 - LINES)
    assert quiet.left_out("198.51.100.1", "connections") == 0
    assert quiet.left_out("192.0.2.1", "tls") == 0
    clock.advance(WINDOW_S)
    assert quiet.left_out("192.0.2.200", "connections") == 1000 - LINES
    assert quiet.left_out("192.0.2.1", "connections") == 0


def test_it_remembers_a_bounded_number_of_networks() -> None:
    quiet = Quiet(now=Clock())
    for n in range(MAX_KEYS + 500):
        assert quiet.left_out(f"10.{n >> 8}.{n & 255}.1", "connections") == 0
    assert len(quiet._seen) == MAX_KEYS
