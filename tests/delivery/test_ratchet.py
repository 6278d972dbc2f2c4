"""What a domain has shown of TLS, and when it falls below it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.delivery.ratchet import (
    CLEAR,
    DAY_S,
    MODERN,
    OLD,
    VERIFIED,
    Hold,
    Standing,
    after,
    held,
    level_of,
)

HOLD = Hold(days=30, sessions=3)
NOW = 1_790_000_000.0


def shown(*sessions: tuple[float, int]) -> dict[int, Standing]:
    """Standings after sessions at so many days from NOW."""
    standings: dict[int, Standing] = {}
    for days, level in sessions:
        standings = after(standings, level, now=NOW + days * DAY_S)
    return standings


def test_a_level_is_held_after_days_and_sessions() -> None:
    standings = shown((0, MODERN), (10, VERIFIED), (29, MODERN))
    assert held(standings, HOLD, now=NOW + 29.9 * DAY_S) == CLEAR
    assert held(standings, HOLD, now=NOW + 30 * DAY_S) == MODERN
    assert held(shown((0, MODERN), (1, MODERN)), HOLD, now=NOW + 90 * DAY_S) == CLEAR
    assert held(standings, Hold(days=0, sessions=1), now=NOW + 90 * DAY_S) == CLEAR


def test_the_best_level_that_every_session_had_is_held() -> None:
    standings = shown((0, VERIFIED), (10, VERIFIED), (20, VERIFIED))
    assert held(standings, HOLD, now=NOW + 31 * DAY_S) == VERIFIED
    standings = shown((0, VERIFIED), (10, MODERN), (20, VERIFIED), (25, VERIFIED))
    assert held(standings, HOLD, now=NOW + 31 * DAY_S) == MODERN


def test_after_a_fall_the_days_are_counted_anew() -> None:
    standings = shown((0, VERIFIED), (10, VERIFIED), (31, VERIFIED))
    assert held(standings, HOLD, now=NOW + 32 * DAY_S) == VERIFIED
    fallen = after(standings, CLEAR, now=NOW + 32 * DAY_S)
    assert fallen == {}
    assert held(after(fallen, VERIFIED, now=NOW + 33 * DAY_S), HOLD, now=NOW + 34 * DAY_S) == CLEAR


def test_a_clock_that_was_ahead_leaves_nobody_unwatched() -> None:
    standings = shown((400, MODERN), (1, MODERN), (2, MODERN))
    assert held(standings, HOLD, now=NOW + 32 * DAY_S) == MODERN


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(CLEAR, VERIFIED)), max_size=30))
def test_no_level_is_held_above_one_that_is_not_older(sessions: list[tuple[float, int]]) -> None:
    standings = shown(*sorted(sessions))
    sinces = [standings[level].since for level in sorted(standings)]
    assert sinces == sorted(sinces)
    assert sorted(standings) == list(range(1, 1 + len(standings)))
    if sessions:
        assert max(standings, default=CLEAR) == max(sessions)[1]


@pytest.mark.parametrize(
    ("tls", "is_verified", "level"),
    [
        ("", False, CLEAR),
        ("TLSv1 AES128-SHA", True, OLD),
        ("TLSv1.1 AES128-SHA", False, OLD),
        ("TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256", False, MODERN),
        ("TLSv1.3 TLS_AES_256_GCM_SHA384", True, VERIFIED),
    ],
)
def test_a_session_has_a_level(tls: str, is_verified: bool, level: int) -> None:
    assert level_of(tls, is_verified=is_verified) == level
