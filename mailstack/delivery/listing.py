"""What an operator sees of the queue, in words: why something waits, and what comes next."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mailstack.delivery import holds, rows, schedule, schema, words
from mailstack.delivery.entry import Facts
from mailstack.delivery.holds import Hold
from mailstack.delivery.queue import Queue
from mailstack.delivery.rank import RANK_NAMES
from mailstack.model.errors import PermanentFailure
from mailstack.model.reply import Reply

#: Messages whose recipients are read at once.
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class RecipientView:
    """One recipient as `queue show` prints it; times in Unix seconds.

    Attributes:
        reply: the far server's words, with their codes.
        why: what they mean.
        given_up_at: when the sender is told at the latest, by what is known now.
        holds: the holds that cover it.
    """

    address: str
    kind: str
    state: str
    tries: int
    next_at: float | None
    host: str
    reply: str
    notify: str = ""
    why: str = ""
    given_up_at: float | None = None
    holds: tuple[Hold, ...] = ()


@dataclass(frozen=True, slots=True)
class MessageView:
    """One message as `queue list` prints it.

    Attributes:
        state: "running", "waiting", "held" or "damaged".
        is_held: by itself, with 'queue hold ID'.
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
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class Crowd:
    """What waits for one destination, as `queue summary` prints it; times in Unix seconds."""

    destination: str
    waiting: int
    running: int
    held: int
    oldest_at: float
    next_at: float | None
    why: str


def count(queue: Queue) -> int:
    """Messages in the queue."""
    return int(str(queue.read("SELECT COUNT(*) FROM message")[0][0]))


def messages(queue: Queue, *, limit: int = 1_000_000, owner: str = "") -> list[MessageView]:
    """What is in the queue, oldest first; only of one account when `owner` is given."""
    found = queue.read(
        f"SELECT {_COLUMNS} FROM message WHERE (? = '' OR lower(owner) = lower(?))"  # noqa: S608
        " ORDER BY created_at, id LIMIT ?",
        (owner, owner, limit),
    )
    return _views(queue, found)


def message(queue: Queue, queue_id: str) -> MessageView:
    """One message.

    Raises:
        PermanentFailure: there is none with this id.
    """
    found = queue.read(f"SELECT {_COLUMNS} FROM message WHERE id = ?", (queue_id,))  # noqa: S608
    if not found:
        raise missing(queue_id)
    return _views(queue, found)[0]


def missing(queue_id: str) -> PermanentFailure:
    """Says that a message is not there."""
    return PermanentFailure(f"there is no message {queue_id} in the queue", status="4.0")


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


def crowds(queue: Queue, *, limit: int) -> list[Crowd]:
    """The destinations with most recipients, with the last answer of one of them."""
    found = queue.read(
        "SELECT destination, SUM(state = 0), SUM(state = 1), SUM(state = 4), MIN(message.created_at),"
        " MIN(CASE state WHEN 0 THEN next_at END), MAX(last_at || ' ' || recipient.number)"
        " FROM recipient JOIN message ON message.id = recipient.message WHERE state IN (0, 1, 4)"
        " GROUP BY destination ORDER BY COUNT(*) DESC, destination LIMIT ?",
        (limit,),
    )
    return [_crowd(queue, row) for row in found]


def _crowd(queue: Queue, row: Sequence[object]) -> Crowd:
    name, waiting, running, held, oldest, next_at, latest = row
    said = queue.read(
        "SELECT host, code, status, reply, is_ours FROM recipient WHERE number = ?", (str(latest).split()[1],)
    )
    return Crowd(
        str(name),
        int(str(waiting)),
        int(str(running)),
        int(str(held)),
        float(str(oldest)),
        None if next_at is None else float(str(next_at)),
        next((_why(*one) for one in said), ""),
    )


def outlook(view: MessageView, recipient: RecipientView, *, now: float) -> str:
    """What comes next for a recipient: a sentence without its subject."""
    match recipient.state:
        case "delivered" | "failed":
            return f"is done: {recipient.state}"
        case "running":
            return "is being tried now"
        case "waiting" if recipient.next_at is not None and recipient.next_at > now:
            return f"is tried again in {_span(recipient.next_at - now)}{_end(recipient, now)}"
        case "waiting":
            return f"is due and waits for its turn{_end(recipient, now) if recipient.tries else ''}"
        case _:
            return _held(view, recipient, now)


def _held(view: MessageView, recipient: RecipientView, now: float) -> str:
    if view.damage:
        return f"cannot be sent: {view.damage}; 'mailstack queue remove {view.queue_id}' takes it out"
    if view.is_held:
        return f"is held until 'mailstack queue release {view.queue_id}'"
    return "; ".join(_held_by(hold, now) for hold in recipient.holds) or "is held"


def _end(recipient: RecipientView, now: float) -> str:
    if recipient.given_up_at is None:
        return ""
    left_s = recipient.given_up_at - now
    return f", given up after {_span(left_s)}" if left_s > 0 else ", for the last time"


def _held_by(hold: Hold, now: float) -> str:
    return (
        f"is held for {_span(now - hold.since)} by {hold.who} ({hold.reason}) until '{holds.ended_by(hold)}'"
    )


def _span(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    if minutes < 120:
        return f"{minutes} min"
    return f"{round(minutes / 60)} h" if minutes < 48 * 60 else f"{round(minutes / 1_440)} days"


_COLUMNS = f"{rows.FACT_COLUMNS}, held, damage, origin, origin_domain"


def _views(queue: Queue, found: Sequence[Sequence[object]]) -> list[MessageView]:
    standing = holds.listed(queue)
    views = []
    for start in range(0, len(found), _CHUNK):
        chunk = found[start : start + _CHUNK]
        recipients = _recipients(queue, [str(row[0]) for row in chunk])
        for row in chunk:
            # What came to its end between the two looks is not there any more.
            if str(row[0]) in recipients:
                views.append(_view(queue, row, recipients[str(row[0])], standing))
    return views


def _recipients(queue: Queue, ids: list[str]) -> dict[str, list[Sequence[object]]]:
    found = queue.read(
        "SELECT message, address, kind, state, tries, next_at, host, code, status, reply, notify,"
        " destination, waited_s, is_ours FROM recipient WHERE message IN (SELECT value FROM json_each(?))"
        " ORDER BY message, position",
        (json.dumps(ids),),
    )
    by_message: dict[str, list[Sequence[object]]] = {}
    for row in found:
        by_message.setdefault(str(row[0]), []).append(row[1:])
    return by_message


def _view(
    queue: Queue, row: Sequence[object], found: Sequence[Sequence[object]], standing: Sequence[Hold]
) -> MessageView:
    facts = rows.facts(row)
    held, damage, origin, origin_domain = bool(row[-4]), str(row[-3]), str(row[-2]), str(row[-1])
    who = {("sender", origin), ("sender-domain", origin_domain)}
    recipients = tuple(_recipient(queue, facts, one, who, standing) for one in found)
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
        is_held=held,
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


def _recipient(
    queue: Queue,
    facts: Facts,
    row: Sequence[object],
    who: set[tuple[str, str]],
    standing: Sequence[Hold],
) -> RecipientView:
    (
        address,
        kind,
        state,
        tries,
        next_at,
        host,
        code,
        status,
        reply,
        notify,
        destination,
        waited_s,
        is_ours,
    ) = row
    number = int(str(state))
    said = f"{code} {str(code)[0]}.{status} {reply}" if code and status else f"{code} {reply}" if code else ""
    left_s = schedule.give_up_after_s(facts.kind, queue.options) - float(str(waited_s))
    covered = who | {("destination", str(destination))}
    return RecipientView(
        address=str(address),
        kind=str(kind),
        state=schema.STATE_NAMES[number],
        tries=int(str(tries)),
        next_at=float(str(next_at)) if number == schema.WAITING else None,
        host=str(host),
        reply=said,
        notify=str(notify),
        why=_why(host, code, status, reply, is_ours) if number != schema.DELIVERED else "",
        given_up_at=queue.now() + max(0.0, left_s) if number == schema.WAITING else None,
        holds=tuple(h for h in standing if kind == "remote" and (h.scope, h.name) in covered)
        if number == schema.HELD
        else (),
    )


def _why(host: object, code: object, status: object, reply: object, is_ours: object) -> str:
    """What the last answer means; "" when nobody has said anything yet."""
    if not code:
        return ""
    answer = Reply(int(str(code)), str(status), str(reply))
    return words.explain(answer, "en", is_ours=bool(is_ours) or not host).means
