"""What an operator sees of the queue and does to it.

Everything is defined while an attempt is under way (Q22): the attempt's result counts.  A
hold or removal takes effect for what is left after it, so nothing is sent twice and
nothing that was delivered is called removed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from mailstack.delivery import rows, schema
from mailstack.delivery.entry import Facts
from mailstack.delivery.queue import Queue
from mailstack.delivery.rank import RANK_NAMES
from mailstack.model.errors import PermanentFailure


@dataclass(frozen=True, slots=True)
class RecipientView:
    """One recipient as `queue show` prints it; times in Unix seconds."""

    address: str
    kind: str
    state: str
    tries: int
    next_at: float | None
    host: str
    reply: str
    notify: str = ""


@dataclass(frozen=True, slots=True)
class MessageView:
    """One message as `queue list` prints it.

    Attributes:
        state: "running", "waiting", "held" or "damaged".
        next_at: Unix seconds of the next attempt; None when none is planned.
        damage: why it cannot be delivered as it is; "" when fine.
        rank: "urgent", "normal" or "bulk".
        needs: what the next host must announce, such as "REQUIRETLS".
    """

    queue_id: str
    accept_id: str
    kind: str
    sender: str
    owner: str
    size_octets: int
    created_at: float
    state: str
    next_at: float | None
    damage: str
    recipients: tuple[RecipientView, ...]
    needs: str = ""
    rank: str = ""


def messages(queue: Queue, *, limit: int = 1_000_000, owner: str = "") -> list[MessageView]:
    """What is in the queue, oldest first; only of one account when `owner` is given."""
    found = queue.read(
        f"SELECT {rows.FACT_COLUMNS}, held, damage FROM message WHERE (? = '' OR lower(owner) = lower(?))"  # noqa: S608
        " ORDER BY created_at, id LIMIT ?",
        (owner, owner, limit),
    )
    return [_view(queue, rows.facts(row), bool(row[-2]), str(row[-1])) for row in found]


def message(queue: Queue, queue_id: str) -> MessageView:
    """One message.

    Raises:
        PermanentFailure: there is none with this id.
    """
    found = queue.read(
        f"SELECT {rows.FACT_COLUMNS}, held, damage FROM message WHERE id = ?",  # noqa: S608
        (queue_id,),
    )
    if not found:
        raise _missing(queue_id)
    return _view(queue, rows.facts(found[0]), bool(found[0][-2]), str(found[0][-1]))


def header(queue: Queue, queue_id: str, *, limit: int = 65_536) -> bytes:
    """The header of a queued message, up to `limit` octets, with its last CRLF; b"" when unreadable."""
    view = message(queue, queue_id)
    try:
        with queue.spool.path(queue_id).open("rb") as file:
            start = file.read(min(limit, view.size_octets))
    except OSError:
        return b""
    end = start.find(b"\r\n\r\n")
    return start[: end + 2] if end >= 0 else start


def _view(queue: Queue, facts: Facts, held: bool, damage: str) -> MessageView:
    found = queue.read(
        "SELECT address, kind, state, tries, next_at, host, code, status, reply, notify FROM recipient"
        " WHERE message = ? ORDER BY position",
        (facts.queue_id,),
    )
    recipients = tuple(_recipient(row) for row in found)
    states = {recipient.state for recipient in recipients}
    plain = next((name for name in ("running", "waiting", "held") if name in states), "held")
    times = [r.next_at for r in recipients if r.next_at is not None]
    return MessageView(
        queue_id=facts.queue_id,
        accept_id=facts.accept_id,
        kind=facts.kind,
        sender=facts.sender,
        owner=facts.owner,
        size_octets=facts.size_octets,
        created_at=facts.created_at,
        state="damaged" if damage else "held" if held and plain != "running" else plain,
        next_at=min(times, default=None),
        damage=damage,
        recipients=recipients,
        needs=" ".join(_needs(facts)),
        rank=RANK_NAMES[facts.rank],
    )


def _needs(facts: Facts) -> Iterator[str]:
    if facts.requiretls:
        yield "REQUIRETLS"
    if facts.smtputf8 and (facts.has_8bit_header or not facts.sender.isascii()):
        yield "SMTPUTF8"
    if facts.body == "BINARYMIME":
        yield "BINARYMIME"
    elif facts.has_8bit:
        yield "8BITMIME"


def _recipient(row: tuple[object, ...]) -> RecipientView:
    address, kind, state, tries, next_at, host, code, status, reply, notify = row
    number = int(str(state))
    said = f"{code} {str(code)[0]}.{status} {reply}" if code and status else f"{code} {reply}" if code else ""
    return RecipientView(
        address=str(address),
        kind=str(kind),
        state=schema.STATE_NAMES[number],
        tries=int(str(tries)),
        next_at=float(str(next_at)) if number == schema.WAITING else None,
        host=str(host),
        reply=said,
        notify=str(notify),
    )


def select(queue: Queue, ids: Iterable[str] = (), *, owner: str = "", everything: bool = False) -> list[str]:
    """The messages an operator means.

    Raises:
        PermanentFailure: an id that is not in the queue.
    """
    if everything:
        return [str(i) for (i,) in queue.read("SELECT id FROM message ORDER BY created_at")]
    if owner:
        return [
            str(i) for (i,) in queue.read("SELECT id FROM message WHERE lower(owner) = lower(?)", (owner,))
        ]
    chosen = list(ids)
    for queue_id in chosen:
        if not queue.read("SELECT 1 FROM message WHERE id = ?", (queue_id,)):
            raise _missing(queue_id)
    return chosen


def retry(queue: Queue, ids: Iterable[str]) -> int:
    """Makes waiting recipients due now; those being tried or held stay as they are.

    Returns:
        Recipients that are due.
    """
    now = queue.now()
    return _each(
        queue,
        ids,
        lambda connection, queue_id: (
            connection.execute(
                "UPDATE recipient SET next_at = MIN(next_at, ?) WHERE message = ? AND state = 0",
                (now, queue_id),
            ).rowcount
        ),
    )


def hold(queue: Queue, ids: Iterable[str]) -> int:
    """Stops attempts until `release`; one under way still counts.  Gives the messages held."""

    def work(connection: sqlite3.Connection, queue_id: str) -> int:
        connection.execute("UPDATE recipient SET state = 4 WHERE message = ? AND state = 0", (queue_id,))
        return connection.execute("UPDATE message SET held = 1 WHERE id = ?", (queue_id,)).rowcount

    return _each(queue, ids, work)


def release(queue: Queue, ids: Iterable[str]) -> int:
    """Ends a hold; what is released is due now.  Damaged messages stay held.

    Returns:
        Messages released.
    """
    now = queue.now()

    def work(connection: sqlite3.Connection, queue_id: str) -> int:
        released = connection.execute(
            "UPDATE message SET held = 0 WHERE id = ? AND held = 1 AND damage = ''", (queue_id,)
        ).rowcount
        if released:
            connection.execute(
                "UPDATE recipient SET state = 0, next_at = MIN(next_at, ?) WHERE message = ? AND state = 4",
                (now, queue_id),
            )
            rows.hold_covered(connection, queue_id)
        return released

    return _each(queue, ids, work)


def remove(queue: Queue, ids: Iterable[str]) -> int:
    """Takes messages out without a report to anybody; an attempt under way ends first.

    Returns:
        Messages that are gone now; the others go when their attempt ends.
    """
    now = queue.now()
    gone: list[str] = []

    def work(connection: sqlite3.Connection, queue_id: str) -> int:
        connection.execute("UPDATE message SET removed = 1 WHERE id = ?", (queue_id,))
        done = rows.close_when_done(connection, queue_id, now)
        if done:
            gone.append(queue_id)
        return int(done)

    count = _each(queue, ids, work)
    queue.spool.discard(gone)
    return count


def _each(queue: Queue, ids: Iterable[str], work: _Work) -> int:
    chosen = list(ids)
    return queue.write(lambda connection: sum(work(connection, queue_id) for queue_id in chosen))


class _Work(Protocol):
    def __call__(self, connection: sqlite3.Connection, queue_id: str) -> int: ...


def _missing(queue_id: str) -> PermanentFailure:
    return PermanentFailure(f"there is no message {queue_id} in the queue", status="4.0")
