"""Extension "relational": match types `:value` and `:count` (RFC 5231)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mailstack.sieve.context import Context
from mailstack.sieve.definition import STRING, Extension
from mailstack.sieve.match import OCTETS_PER_STEP, Captures, Matching, MatchType, Want

_RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
    "eq": operator.eq,
    "ne": operator.ne,
}


def _check(keys: Sequence[str], relation: str) -> str | None:
    if relation.lower() in _RELATIONS:
        return None
    known = ", ".join(f'"{name}"' for name in _RELATIONS)
    return f"'{relation[:20]}' is not a relational match; want one of {known}"


def _prepare_value(keys: Sequence[str], want: Want) -> Matching:
    holds, order = _RELATIONS[want.argument.lower()], want.comparator.order
    wanted = [order(key) for key in keys]

    def matching(values: Iterable[str], context: Context) -> Captures:
        for value in values:
            context.charge(len(value) // OCTETS_PER_STEP + len(wanted) // 16)
            found = order(value)
            if any(holds(found, key) for key in wanted):
                return ()
        return None

    return matching


def _prepare_count(keys: Sequence[str], want: Want) -> Matching:
    matching = _prepare_value(keys, want)

    def counting(values: Iterable[str], context: Context) -> Captures:
        # RFC 5231 section 4.2: the number itself is what the comparator sees.
        return matching([str(sum(1 for _ in values))], context)

    return counting


RELATIONAL = Extension(
    "relational",
    match_types=[
        MatchType(":value", _prepare_value, value=STRING, check=_check),
        MatchType(":count", _prepare_count, value=STRING, check=_check),
    ],
)
