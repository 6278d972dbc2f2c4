"""Sets of numbers as ranges."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from mailstack.model.ranges import common, gaps, merged, numbers, ranges

NUMBERS = st.sets(st.integers(1, 60), max_size=40)


@given(NUMBERS)
def test_ranges_hold_exactly_the_numbers_and_never_touch(wanted: set[int]) -> None:
    found = ranges([*wanted, *wanted])
    assert numbers(found) == wanted
    assert all(last + 1 < first for (_, last), (first, _) in itertools.pairwise(found))


@given(NUMBERS, NUMBERS)
def test_what_two_sets_have_in_common(one: set[int], other: set[int]) -> None:
    assert numbers(common(ranges(one), ranges(other))) == one & other


@given(NUMBERS, st.integers(61, 70))
def test_gaps_are_all_the_other_numbers(wanted: set[int], end: int) -> None:
    assert numbers(gaps(sorted(wanted), end)) == set(range(1, end)) - wanted


def test_ranges_that_touch_or_overlap_become_one() -> None:
    assert merged([(1, 3), (2, 2), (4, 6), (8, 9)]) == [(1, 6), (8, 9)]


def test_huge_ranges_cost_nothing() -> None:
    assert common([(1, 4_294_967_295)], [(5, 4_294_967_290)]) == [(5, 4_294_967_290)]
