"""Lanes: what waits, by destination, rank and sender; from them the daemon takes by turns.

A lane knows a time before which none of its mail is due.  Triggers keep it no later than
the truth, whoever changes a row and how; a claim sets it right.  So a look at the queue
costs a step per lane that is looked at, however many messages wait in it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailstack.delivery.entry import Kind
from mailstack.delivery.rank import RANK_NAMES

if TYPE_CHECKING:
    from mailstack.delivery.queue import Queue

#: Senders that are looked at for one round and rank; the next round begins behind them.
MAX_SENDERS = 200
#: So many lanes are taken as they are due, whoever's they are: thousands that are not cost nothing.
MAX_FEW = 200


@dataclass(frozen=True, slots=True)
class Lane:
    """The mail of one sender and rank for one destination."""

    number: int
    destination: str
    rank: int
    sender: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What a round looks for.

    Attributes:
        most: lanes that can be served at all.
        after: by rank, the sender behind whom to begin.
        avoid: destinations that have no room.
        only: no other destinations; None: any.
    """

    most: int
    after: Mapping[int, str] = field(default_factory=dict)
    avoid: Collection[str] = ()
    only: Collection[str] | None = None


def sender_of(kind: Kind, origin: str, origin_domain: str, owner: str, address: str) -> str:
    """Whose turn a recipient takes: the account's, or that of what we do for one.

    Foreign senders share a turn by domain, so that one who changes names gains nothing.
    """
    match kind:
        case "submission" | "vacation" if origin:
            return origin
        case "local":
            return f"({kind}) {address.lower()}"
        case "forward":
            return f"({kind}) {owner.lower()}"
        case _:
            return f"({kind}) {origin_domain}"


def find_or_make(connection: sqlite3.Connection, destination: str, rank: int, sender: str) -> int:
    """The number of a lane."""
    key = (destination, rank, sender)
    found = connection.execute(
        "SELECT id FROM lane WHERE destination = ? AND rank = ? AND sender = ?", key
    ).fetchone()
    if found is None:
        made = connection.execute("INSERT INTO lane (destination, rank, sender) VALUES (?, ?, ?)", key)
        return int(str(made.lastrowid))
    return int(found[0])


def refresh(connection: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Sets right when lanes are due next."""
    connection.executemany(
        "UPDATE lane SET next_at = (SELECT MIN(next_at) FROM recipient WHERE state = 0 AND lane = lane.id)"
        " WHERE id = ?",
        [(number,) for number in numbers],
    )


def of_destination(connection: sqlite3.Connection, destination: str) -> list[int]:
    """The numbers of all lanes of a destination."""
    found = connection.execute("SELECT id FROM lane WHERE destination = ?", (destination,))
    return [int(number) for (number,) in found]


def forget_unused(connection: sqlite3.Connection) -> int:
    """Removes lanes without mail; gives how many those were."""
    return connection.execute(
        "DELETE FROM lane WHERE next_at IS NULL AND id NOT IN (SELECT lane FROM recipient)"
    ).rowcount


def next_at(queue: Queue) -> float | None:
    """When, after now, a lane may be due next; None when nothing is planned."""
    found = queue.read("SELECT MIN(next_at) FROM lane WHERE next_at > ?", (queue.now(),))
    return float(str(found[0][0])) if found and found[0][0] is not None else None


def ready(queue: Queue, wish: Wish) -> list[Lane]:
    """Lanes with mail that is due: of each rank from as many senders as possible."""
    look = _Look(queue, wish)
    few = look.due_first(MAX_FEW + 1)
    if len(few) <= MAX_FEW:
        return _both_ends(few)
    found: list[Lane] = []
    for rank in RANK_NAMES:
        after = wish.after.get(rank, "")
        first = look.one_each(rank, after)
        if after and len(first) < MAX_SENDERS:
            first += look.one_each(rank, "", until=after)
        found += first
        each = wish.most // len(first) if first else 0
        if each > 1:
            for lane in first:
                found += look.of_sender(rank, lane.sender, each)
    return list(dict.fromkeys(found))


def _both_ends(due: Sequence[Lane]) -> list[Lane]:
    """First, last, second, last but one: no backlog of the dead starves the new, nor they it."""
    mixed = [lane for pair in zip(due, reversed(due), strict=True) for lane in pair]
    return list(dict.fromkeys(mixed))


class _Look:
    """The queries of one round."""

    _WHERE = (
        " next_at <= :now AND destination NOT IN (SELECT value FROM json_each(:avoid))"
        " AND (:only IS NULL OR destination IN (SELECT value FROM json_each(:only)))"
    )
    _DUE_FIRST = (
        "SELECT id, destination, rank, sender FROM lane INDEXED BY lane_next"  # noqa: S608
        f" WHERE{_WHERE} ORDER BY next_at LIMIT :count"
    )
    #: A loose scan of the index: one step per sender who can be served, however many lanes each
    #: has.  One whose mail is not due, or goes where no room is, takes nobody's place.
    _ONE_EACH = (
        "WITH RECURSIVE s(name) AS ("  # noqa: S608
        " SELECT MIN(sender) FROM lane INDEXED BY lane_due"
        f"  WHERE rank = :rank AND sender > :after AND{_WHERE}"
        " UNION ALL SELECT (SELECT MIN(sender) FROM lane INDEXED BY lane_due"
        f"  WHERE rank = :rank AND sender > s.name AND{_WHERE})"
        f" FROM s WHERE s.name < :until LIMIT {MAX_SENDERS})"
        " SELECT lane.id, lane.destination, lane.rank, lane.sender FROM s JOIN lane ON lane.id = ("
        "  SELECT id FROM lane INDEXED BY lane_due WHERE rank = :rank AND sender = s.name AND"
        f"{_WHERE} ORDER BY next_at LIMIT 1)"
    )
    _OF_SENDER = (
        "SELECT id, destination, rank, sender FROM lane INDEXED BY lane_due"  # noqa: S608
        f" WHERE rank = :rank AND sender = :sender AND{_WHERE} ORDER BY next_at "
    )

    def __init__(self, queue: Queue, wish: Wish) -> None:
        self._queue = queue
        self._values: dict[str, object] = {
            "now": queue.now(),
            "avoid": json.dumps(list(wish.avoid)),
            "only": None if wish.only is None else json.dumps(list(wish.only)),
        }

    def due_first(self, count: int) -> list[Lane]:
        """The longest due lanes of all ranks and senders."""
        return self._lanes(self._DUE_FIRST, {"count": count})

    def one_each(self, rank: int, after: str, *, until: str = "\U0010ffff") -> list[Lane]:
        """The longest due lane of each sender behind `after`."""
        return self._lanes(self._ONE_EACH, {"rank": rank, "after": after, "until": until})

    def of_sender(self, rank: int, sender: str, count: int) -> list[Lane]:
        """A sender's lanes from both ends."""
        values: dict[str, object] = {"rank": rank, "sender": sender}
        half = -(-count // 2)
        oldest = self._lanes(f"{self._OF_SENDER} ASC LIMIT {half}", values)
        if len(oldest) < half:
            return oldest
        newest = self._lanes(f"{self._OF_SENDER} DESC LIMIT {half}", values)
        return [lane for pair in zip(oldest, newest, strict=False) for lane in pair]

    def _lanes(self, sql: str, values: Mapping[str, object]) -> list[Lane]:
        found = self._queue.read(sql, {**self._values, **values})
        return [Lane(int(str(n)), str(d), int(str(r)), str(s)) for n, d, r, s in found]
