"""Holds that cover whoever sends, a sending domain or a destination, and not one message.

A hold stops what waits and what comes: the messages stay in the queue, visible, with the
hold's reason, until somebody releases or purges them.  It outlives restarts.  An attempt
under way ends and its result counts (Q22); what is left is held.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast, get_args

from mailstack.delivery import rows
from mailstack.delivery.queue import Queue
from mailstack.delivery.rows import Taken
from mailstack.directory.names import not_an_address
from mailstack.model.address import Address, AddressError, parse_domain
from mailstack.model.errors import PermanentFailure

#: sender: an account, or a foreign envelope sender; the others: domains.
Scope: TypeAlias = Literal["sender", "sender-domain", "destination"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

#: Who holds the mail of an account that looks stolen.
CONTAINMENT = "containment"

_COLUMN: dict[Scope, str] = {
    "sender": "message.origin",
    "sender-domain": "message.origin_domain",
    "destination": "recipient.destination",
}


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold.

    Attributes:
        name: address or domain as `name_of` gives it.
        reason: why, for people; one line.
        who: who held it: an operator's name, or a part of mailstack such as "containment".
        since: Unix seconds.
    """

    scope: Scope
    name: str
    reason: str
    who: str
    since: float


def name_of(scope: Scope, text: str) -> str:
    """The form in which holds are compared.

    Raises:
        PermanentFailure: not an address, or not a domain; says which was wanted.
    """
    try:
        return Address.parse(text).key if scope == "sender" else parse_domain(text)
    except AddressError as error:
        if scope == "sender":
            raise not_an_address(text, str(error)) from None
        raise PermanentFailure(f"{text!r} cannot be a domain: {error}", status="1.3") from None


def hold(queue: Queue, scope: Scope, name: str, *, reason: str, who: str) -> int:
    """Holds what waits and what comes; a hold that stands gets the new reason.

    Returns:
        Messages with recipients that it covers now.

    Raises:
        PermanentFailure: the name is none.
        TemporaryFailure: disk or database; nothing is held.
    """
    name, now = name_of(scope, name), queue.now()

    def work(connection: sqlite3.Connection) -> int:
        connection.execute(
            "INSERT INTO hold (scope, name, reason, who, since) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (scope, name) DO UPDATE SET reason = excluded.reason, who = excluded.who",
            (scope, name, reason, who, now),
        )
        connection.execute(
            "UPDATE recipient SET state = 4 WHERE state = 0 AND number IN ("  # noqa: S608
            f"{_covered_by(scope, 'recipient.number')} AND recipient.state = 0)",
            (name,),
        )
        return len(_messages(connection, scope, name))

    return queue.write(work)


def release(queue: Queue, scope: Scope, name: str) -> int:
    """Ends a hold; what no other hold covers is due now.

    Returns:
        Messages with recipients that wait again.

    Raises:
        PermanentFailure: there is no such hold.
        TemporaryFailure: disk or database; nothing has changed.
    """
    name, now = name_of(scope, name), queue.now()

    def work(connection: sqlite3.Connection) -> int:
        _end(connection, scope, name)
        freed = connection.execute(
            f"{_covered_by(scope, 'recipient.message, recipient.number')}"
            f" AND recipient.state = 4 AND message.held = 0 AND NOT {rows.COVERED}",
            (name,),
        ).fetchall()
        connection.executemany(
            "UPDATE recipient SET state = 0, next_at = MIN(next_at, ?) WHERE number = ?",
            [(now, number) for _, number in freed],
        )
        return len({message for message, _ in freed})

    return queue.write(work)


def purge(queue: Queue, scope: Scope, name: str, *, note: Callable[[Taken], None] | None = None) -> int:
    """Takes out what a hold covers, without a report to anybody; the hold itself stays.

    Of a message with other recipients only those of a held destination go.  An attempt
    under way ends first.

    Args:
        note: hears of each message from which something was taken, once it is done.

    Returns:
        Messages from which something was taken.

    Raises:
        PermanentFailure: there is no such hold.
        TemporaryFailure: disk or database; nothing has changed.
    """
    name, now = name_of(scope, name), queue.now()
    gone: list[str] = []
    taken: dict[str, Taken] = {}

    def work(connection: sqlite3.Connection) -> int:
        _require(connection, scope, name)
        touched = _messages(connection, scope, name)
        for queue_id in touched:
            where = name if scope == "destination" else ""
            taken[queue_id] = rows.taken(connection, queue_id, where)
            if scope == "destination":
                connection.execute(
                    "UPDATE recipient SET state = 3 WHERE message = ? AND destination = ? AND state = 4",
                    (queue_id, name),
                )
            else:
                connection.execute("UPDATE message SET removed = 1 WHERE id = ?", (queue_id,))
            if rows.close_when_done(connection, queue_id, now):
                gone.append(queue_id)
        return len(touched)

    count = queue.write(work)
    queue.spool.remove(gone)
    if note is not None:
        for one in taken.values():
            note(one)
    return count


def find(queue: Queue, scope: Scope, name: str) -> Hold | None:
    """A hold that stands; None when there is none, or the name is none."""
    try:
        name = name_of(scope, name)
    except PermanentFailure:
        return None
    found = queue.read(f"{_SELECT} WHERE scope = ? AND name = ?", (scope, name))
    return _hold(found[0]) if found else None


def ended_by(hold: Hold) -> str:
    """The command that ends a hold, and with it whatever it stands for."""
    if hold.who == CONTAINMENT:
        return f"mailstack user release {hold.name}"
    return f"mailstack queue release --{hold.scope} {hold.name}"


def listed(queue: Queue) -> list[Hold]:
    """All holds, the oldest first."""
    return [_hold(row) for row in queue.read(f"{_SELECT} ORDER BY since, scope, name")]


_SELECT = "SELECT scope, name, reason, who, since FROM hold"


def _hold(row: Sequence[object]) -> Hold:
    scope, name, reason, who, since = row
    return Hold(cast("Scope", scope), str(name), str(reason), str(who), float(str(since)))


def _covered_by(scope: Scope, columns: str) -> str:
    return (
        f"SELECT {columns} FROM message JOIN recipient ON recipient.message = message.id"  # noqa: S608
        f" WHERE recipient.kind = 'remote' AND {_COLUMN[scope]} = ?"
    )


def _messages(connection: sqlite3.Connection, scope: Scope, name: str) -> list[str]:
    found = connection.execute(
        f"{_covered_by(scope, 'DISTINCT recipient.message')} AND recipient.state IN (0, 1, 4)", (name,)
    )
    return [str(message) for (message,) in found]


def _require(connection: sqlite3.Connection, scope: Scope, name: str) -> None:
    if (
        connection.execute("SELECT 1 FROM hold WHERE scope = ? AND name = ?", (scope, name)).fetchone()
        is None
    ):
        raise PermanentFailure(
            f"there is no hold of the {scope} {name}; see 'mailstack queue holds'", status="4.0"
        )


def _end(connection: sqlite3.Connection, scope: Scope, name: str) -> None:
    _require(connection, scope, name)
    connection.execute("DELETE FROM hold WHERE scope = ? AND name = ?", (scope, name))
