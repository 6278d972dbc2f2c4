"""A clock that goes slow at times and never fast."""

from __future__ import annotations

import pytest

from mailstack.state import steady
from mailstack.state.steady import Reading, Steady

DAY_S = 86_400.0
DATE = 1_767_225_600.0


def after(*readings: Reading) -> Steady:
    clock = Steady()
    for reading in readings:
        clock.look(reading)
    return clock


@pytest.mark.parametrize("jump", [0, DAY_S, -DAY_S, 10 * 365 * DAY_S, -DATE])
def test_while_the_machine_runs_the_date_does_not_matter(jump: float) -> None:
    # F28
    clock = after(Reading("a", 10, DATE), Reading("a", 3_610, DATE + 3_600 + jump))
    assert clock.elapsed_s == 3_600
    assert clock.date_s <= DATE + 2 * 3_600


@pytest.mark.parametrize(
    ("off_s", "passed_s"), [(3_600, 3_600), (-3_600, 5), (40 * DAY_S, DAY_S), (-DATE, 5), (0, 5)]
)
def test_over_a_boot_a_day_is_believed_at_most(off_s: float, passed_s: float) -> None:
    clock = after(Reading("a", 1_000, DATE), Reading("b", 5, DATE + off_s))
    assert clock.elapsed_s == passed_s


def test_where_no_boot_is_known_the_date_is_believed_for_a_day() -> None:
    assert after(Reading("", 9, DATE), Reading("", 9, DATE + 60)).elapsed_s == 60
    assert after(Reading("", 9, DATE), Reading("", 9, DATE + 9 * DAY_S)).elapsed_s == DAY_S


def test_the_believed_date_hurries_after_the_clock_and_follows_it_back() -> None:
    clock = after(Reading("a", 0, DATE), Reading("a", DAY_S, DATE + 30 * DAY_S))
    assert clock.date_s == DATE + 2 * DAY_S
    clock.look(Reading("a", 2 * DAY_S, DATE + 2 * DAY_S))
    assert clock.date_s == DATE + 2 * DAY_S
    clock.look(Reading("a", 2 * DAY_S, DATE))
    assert clock.date_s == DATE


def test_the_machine_has_such_clocks() -> None:
    first, second = steady.read_clocks(1.0), steady.read_clocks(2.0)
    assert first.boot == second.boot
    assert second.since_boot_s >= first.since_boot_s > 0
