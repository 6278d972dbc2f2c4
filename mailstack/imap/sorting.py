"""Sorts messages by what SORT asks for.

Columns instead of objects: dates and sizes come from the view, texts are kept once
however many messages share them.  Long lists are sorted in runs that are merged then,
because one long sort would keep the event loop's thread waiting.

Texts are compared as `mime.searchable.fold` makes them equal, in capitals, by code point,
which is the order of their UTF-8 octets (RFC 5051).

Standards: RFC 5256 sections 2.2 and 3 (SORT), RFC 5957 (DISPLAYFROM, DISPLAYTO).
Imports: mime, model, view.  No I/O.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mailstack.imap.errors import Bad
from mailstack.imap.parser import Cursor
from mailstack.imap.view import View
from mailstack.mime.searchable import fold
from mailstack.model.mailbox import MessageFields

#: Criteria of one SORT; each key only needs to be there once.
MAX_CRITERIA = 20
#: Messages sorted in one go: a few milliseconds.
RUN = 10_000

_TEXTS: dict[bytes, Callable[[MessageFields], str]] = {
    b"SUBJECT": lambda fields: fields.base_subject,
    b"FROM": lambda fields: fields.from_mailbox,
    b"TO": lambda fields: fields.to_mailbox,
    b"CC": lambda fields: fields.cc_mailbox,
    b"DISPLAYFROM": lambda fields: fields.from_display,
    b"DISPLAYTO": lambda fields: fields.to_display,
}
_IN_VIEW = (b"ARRIVAL", b"SIZE")


@dataclass(frozen=True, slots=True)
class Criterion:
    """One of SORT's criteria; `key` in upper case."""

    key: bytes
    reverse: bool = False


def parse_criteria(cursor: Cursor) -> tuple[Criterion, ...]:
    """`(REVERSE DATE SUBJECT)`; of a key given twice only the first counts.

    Raises:
        Bad: not sort criteria, or too many.

    Source: RFC 5256 section 5, sort-criteria.
    """
    cursor.expect(b"(")
    found: dict[bytes, Criterion] = {}
    for _ in range(MAX_CRITERIA):
        word = cursor.word()
        reverse = word == b"REVERSE"
        if reverse:
            cursor.space()
            word = cursor.word()
        if word not in _TEXTS and word not in _IN_VIEW and word != b"DATE":
            raise Bad("There is no such sort criterion")
        found.setdefault(word, Criterion(word, reverse))
        if cursor.take(b")"):
            return tuple(found.values())
        cursor.space()
    raise Bad(f"More than {MAX_CRITERIA} sort criteria")


class Sorter:
    """Sorts positions of a view; `learn` first takes in their fields, piece by piece."""

    def __init__(self, view: View, criteria: Sequence[Criterion]) -> None:
        self._view = view
        self._criteria = criteria
        self._places = array("I")
        self._dates = array("q")
        self._texts: dict[bytes, list[str]] = {at.key: [] for at in criteria if at.key in _TEXTS}
        self._same: dict[str, str] = {}
        self._folded: dict[str, str] = {}

    @property
    def needs_fields(self) -> bool:
        """`learn` wants more than positions."""
        return any(criterion.key not in _IN_VIEW for criterion in self._criteria)

    def learn(self, places: Sequence[int], fields: Mapping[int, MessageFields]) -> None:
        """Takes in positions, ascending, and their fields by UID.

        A message whose fields nobody could read has empty ones: it is still in the mailbox.
        """
        view = self._view
        self._places.extend(places)
        if not self.needs_fields:
            return
        found = [fields.get(view.uids[at]) for at in places]
        self._dates.extend(
            [of.sent_at if of else view.dates[at] for at, of in zip(places, found, strict=True)]
        )
        for key, column in self._texts.items():
            text = _TEXTS[key]
            column.extend([self._fold(text(of)) if of else "" for of in found])

    def _fold(self, text: str) -> str:
        folded = self._folded.get(text)
        if folded is None:
            # As capitals, "[" and "_" come behind the letters.
            folded = fold(text).upper()
            self._folded[text] = folded = self._same.setdefault(folded, folded)
        return folded

    def order(self) -> list[int]:
        """All positions taken in, sorted; equal ones in the order of the mailbox."""
        order = list(range(len(self._places)))
        for criterion in reversed(self._criteria):
            order = in_order(order, self._key(criterion.key), reverse=criterion.reverse)
        return [self._places[at] for at in order]

    def _key(self, key: bytes) -> Callable[[int], Any]:
        view, places = self._view, self._places
        if key == b"ARRIVAL":
            return lambda at: view.dates[places[at]]
        if key == b"SIZE":
            return lambda at: view.sizes[places[at]]
        return self._dates.__getitem__ if key == b"DATE" else self._texts[key].__getitem__


def in_order(order: list[int], key: Callable[[int], Any], *, reverse: bool = False) -> list[int]:
    """Sorted by the key; stable, also in reverse."""
    if len(order) <= RUN:
        return sorted(order, key=key, reverse=reverse)
    runs = [
        sorted(order[begin : begin + RUN], key=key, reverse=reverse) for begin in range(0, len(order), RUN)
    ]
    return list(heapq.merge(*runs, key=key, reverse=reverse))
