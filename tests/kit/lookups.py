"""Runs re-runnable checks against a `--dns` table, as the shell does, and counts questions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from mailstack.model.dns import Answer, Lookup, NeedLookup, Question
from mailstack.net import dns_table

T = TypeVar("T")


def resolve(check: Callable[[Lookup], T], table: dict[str, dict[str, Any]] | None = None) -> T:
    """The check's result once all its questions are answered from the table."""
    return resolve_counted(check, table)[0]


def resolve_counted(
    check: Callable[[Lookup], T], table: dict[str, dict[str, Any]] | None = None
) -> tuple[T, list[Question]]:
    """As `resolve`, with every question that was asked."""
    folded = {name.lower().rstrip("."): entry for name, entry in (table or {}).items()}
    known: dict[Question, Answer] = {}
    for _ in range(100):
        lookup = Lookup(known)
        try:
            return check(lookup), list(known)
        except NeedLookup:
            assert lookup.wanted, "a check asked without saying what"
            for question in lookup.wanted:
                known[question] = dns_table.answer(folded, question)
    raise AssertionError("the check never ends")
