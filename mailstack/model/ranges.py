"""Sets of numbers as ranges (first, last): a few pairs instead of a million numbers.

Imports: nothing.  No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TypeAlias

Range: TypeAlias = tuple[int, int]


def ranges(numbers: Iterable[int]) -> list[Range]:
    """Ascending ranges of neighbouring numbers; duplicates count once."""
    return merged([(number, number) for number in sorted(set(numbers))])


def numbers(pairs: Iterable[Range]) -> set[int]:
    """All numbers of ranges known to be small."""
    return {number for first, last in pairs for number in range(first, last + 1)}


def merged(pairs: Iterable[Range]) -> list[Range]:
    """Ranges sorted by their first number; those that touch or overlap become one."""
    out: list[Range] = []
    for first, last in pairs:
        if out and first <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], last))
        else:
            out.append((first, last))
    return out


def gaps(numbers: Sequence[int], end: int) -> list[Range]:
    """What lies from 1 to below `end` between these ascending numbers."""
    out = []
    free = 1
    for number in chain(numbers, (end,)):
        if number > free:
            out.append((free, number - 1))
        free = number + 1
    return out


def common(one: Sequence[Range], other: Sequence[Range]) -> list[Range]:
    """What two lists of ascending ranges that do not touch have in common."""
    out = []
    at = 0
    for first, last in one:
        while at < len(other) and other[at][1] < first:
            at += 1
        here = at
        while here < len(other) and other[here][0] <= last:
            out.append((max(first, other[here][0]), min(last, other[here][1])))
            here += 1
        at = max(at, here - 1)
    return out
