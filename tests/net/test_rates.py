"""How often something may happen, over all processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstack.net.counts import Counts, LocalCounts, SharedCounts
from mailstack.net.rates import Rates
from tests.kit.clock import Clock


@pytest.fixture(params=["local", "shared"])
def counts(request: pytest.FixtureRequest, tmp_path: Path) -> Counts:
    return LocalCounts() if request.param == "local" else SharedCounts(tmp_path / "counts")


def test_a_burst_and_then_the_rate(counts: Counts) -> None:
    clock = Clock(0.0)
    rates = Rates(counts, per_minute=60, burst=100, now=clock)
    assert [rates.allows("a") for _ in range(110)] == [True] * 100 + [False] * 10
    assert rates.allows("b")
    # An hour of one try every half second: the rate is let through.
    allowed = 0
    for _ in range(7200):
        clock.advance(0.5)
        allowed += rates.allows("a")
    assert 3400 <= allowed <= 3700


def test_two_workers_share_the_rate(counts: Counts) -> None:
    clock = Clock(1_000_000.0)
    one, two = (Rates(counts, per_minute=60, burst=100, now=clock) for _ in range(2))
    assert sum(one.allows("a") + two.allows("a") for _ in range(100)) == 100


def test_what_is_over_is_given_back(counts: Counts) -> None:
    clock = Clock(0.0)
    rates = Rates(counts, per_minute=60, burst=10, now=clock)
    for n in range(50):
        rates.allows(f"k{n}")
    slot = int(clock() // 10)
    clock.advance(25)
    rates.allows("other")
    assert [counts.add(f"{slot} k{n}", 0) for n in range(50)] == [0] * 50


def test_a_rate_of_nothing_lets_nothing_through_but_the_burst(counts: Counts) -> None:
    clock = Clock(0.0)
    rates = Rates(counts, per_minute=0, burst=2, now=clock)
    assert [rates.allows("a") for _ in range(3)] == [True, True, False]
    nothing = Rates(counts, per_minute=60, burst=0, now=clock)
    assert not nothing.allows("b")
