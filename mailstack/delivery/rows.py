"""Rows of the queue's tables: how they are made, read and closed.  Plain SQL, no policy.

Every function runs inside a transaction of its caller's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, assert_never, cast

from mailstack.delivery import lanes, schema
from mailstack.delivery.entry import LOCAL, Entry, Facts, Kind, Result
from mailstack.delivery.spool import Envelope, StoredRecipient
from mailstack.model.address import Address, AddressError
from mailstack.model.outcome import Deferred, Delivered, Failed
from mailstack.model.reply import Reply

#: A far server's words are kept up to this many characters.
MAX_REPLY_CHARACTERS = 1_000

FACT_COLUMNS = (
    "id, accept_id, kind, sender, owner, is_sender_verified, smtputf8, body, has_8bit, has_8bit_header,"
    " ret, envid, size_octets, sha256, created_at, requiretls, rank"
)


class LeaseLost(Exception):
    """Somebody else owns the recipient by now, or an operator removed it; nothing was written."""


class WaitingRow(NamedTuple):
    """A due recipient, as `WAITING_COLUMNS` select it."""

    number: int
    message: str
    position: int
    address: str
    kind: str
    owner: str
    notify: str
    orcpt: str
    detail: str
    destination: str
    tries: int
    waited_s: float
    last_at: float
    delay_told: int
    original: str


WAITING_COLUMNS = ", ".join(WaitingRow._fields)


class LateRow(NamedTuple):
    """A recipient that has waited for long, as `LATE_COLUMNS` select it."""

    number: int
    address: str
    notify: str
    orcpt: str
    waited_s: float
    last_at: float
    host: str
    code: int
    status: str
    reply: str
    original: str
    is_ours: int
    detail: str


LATE_COLUMNS = ", ".join(LateRow._fields)


def destination_of(address: str) -> str:
    """The domain attempts are grouped by: lower case A-labels where it is one."""
    try:
        return Address.parse(address).domain
    except AddressError:
        return address.rpartition("@")[2].lower()


def origin_of(kind: Kind, owner: str, sender: str) -> tuple[str, str]:
    """Who sends, as holds and turns know them: the account, else the envelope sender; with the domain."""
    who = owner if owner and kind in ("submission", "vacation") else sender
    try:
        address = Address.parse(who)
    except AddressError:
        return who.lower(), who.lower().rpartition("@")[2]
    return address.key, address.domain


def turn_of(entry: Entry) -> str:
    """Whose turn an attempt takes; as `lanes.sender_of`."""
    facts = entry.facts
    origin = origin_of(facts.kind, facts.owner, facts.sender)
    return lanes.sender_of(facts.kind, *origin, facts.owner, entry.recipients[0].address)


def insert_all(connection: sqlite3.Connection, stored: Sequence[Envelope]) -> None:
    """Makes the rows of messages."""
    for envelope in stored:
        insert(connection, envelope)


def insert(connection: sqlite3.Connection, envelope: Envelope) -> None:
    """Makes the rows of a message from its file's trailer."""
    origin = origin_of(envelope.kind, envelope.owner, envelope.sender)
    connection.execute(
        f"INSERT INTO message ({FACT_COLUMNS}, origin, origin_domain)"  # noqa: S608
        f" VALUES ({', '.join('?' * 19)})",
        (
            envelope.queue_id,
            envelope.accept_id,
            envelope.kind,
            envelope.sender,
            envelope.owner,
            envelope.is_sender_verified,
            envelope.smtputf8,
            envelope.body,
            envelope.has_8bit,
            envelope.has_8bit_header,
            envelope.ret,
            envelope.envid,
            envelope.size_octets,
            envelope.sha256,
            envelope.created_at,
            envelope.requiretls,
            envelope.rank,
            *origin,
        ),
    )
    connection.executemany(
        "INSERT INTO recipient (message, position, address, kind, owner, notify, orcpt, detail, original,"
        " destination, lane, next_at, last_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            _recipient_row(connection, envelope, n, recipient, origin)
            for n, recipient in enumerate(envelope.recipients, 1)
        ],
    )
    hold_covered(connection, envelope.queue_id)


def _recipient_row(
    connection: sqlite3.Connection,
    envelope: Envelope,
    position: int,
    recipient: StoredRecipient,
    origin: tuple[str, str],
) -> tuple[object, ...]:
    destination = LOCAL if recipient.kind == "local" else destination_of(recipient.address)
    sender = lanes.sender_of(envelope.kind, *origin, envelope.owner, recipient.address)
    return (
        envelope.queue_id,
        position,
        recipient.address,
        recipient.kind,
        recipient.owner,
        " ".join(recipient.notify),
        recipient.orcpt,
        recipient.detail,
        recipient.original,
        destination,
        lanes.find_or_make(connection, destination, envelope.rank, sender),
        envelope.created_at,
        envelope.created_at,
    )


#: True for a row of `recipient` beside its `message` when a hold covers it; copies for
#: mailboxes here are nobody's sending.
COVERED = (
    "(recipient.kind = 'remote' AND ("
    "EXISTS (SELECT 1 FROM hold WHERE scope = 'sender' AND name = message.origin)"
    " OR EXISTS (SELECT 1 FROM hold WHERE scope = 'sender-domain' AND name = message.origin_domain)"
    " OR EXISTS (SELECT 1 FROM hold WHERE scope = 'destination' AND name = recipient.destination)))"
)


def hold_covered(connection: sqlite3.Connection, queue_id: str) -> None:
    """Holds those waiting recipients of a message that a hold covers."""
    if connection.execute("SELECT 1 FROM hold LIMIT 1").fetchone() is None:
        return
    connection.execute(
        "UPDATE recipient SET state = 4 WHERE message = ? AND state = 0 AND number IN ("  # noqa: S608
        " SELECT recipient.number FROM recipient JOIN message ON message.id = recipient.message"
        f" WHERE recipient.message = ? AND {COVERED})",
        (queue_id, queue_id),
    )


@dataclass(frozen=True, slots=True)
class Taken:
    """What an operator took out of a message.

    Attributes:
        owner: the account that sent or forwards it; "": nobody here.
        recipients: their addresses; those that had not come to their end.
    """

    queue_id: str
    owner: str
    recipients: tuple[str, ...]


def taken(connection: sqlite3.Connection, queue_id: str, destination: str = "") -> Taken:
    """What taking out a message, or its recipients at a held destination, takes; before it is done."""
    owner = connection.execute("SELECT owner FROM message WHERE id = ?", (queue_id,)).fetchone()
    addresses = connection.execute(
        "SELECT address FROM recipient WHERE message = ?1 AND state NOT IN (2, 3)"
        " AND (?2 = '' OR destination = ?2 AND state = 4) ORDER BY position",
        (queue_id, destination),
    )
    return Taken(queue_id, str(owner[0]) if owner else "", tuple(str(one) for (one,) in addresses))


def find_facts(connection: sqlite3.Connection, queue_id: str) -> Facts:
    """A message's row; KeyError when there is none."""
    row = connection.execute(f"SELECT {FACT_COLUMNS} FROM message WHERE id = ?", (queue_id,)).fetchone()  # noqa: S608
    if row is None:
        raise KeyError(queue_id)
    return facts(row)


def facts(row: Sequence[object]) -> Facts:
    """A message row, as `FACT_COLUMNS` select it."""
    return Facts(
        queue_id=str(row[0]),
        accept_id=str(row[1]),
        kind=cast("Kind", row[2]),
        sender=str(row[3]),
        owner=str(row[4]),
        is_sender_verified=bool(row[5]),
        smtputf8=bool(row[6]),
        body=str(row[7]),
        has_8bit=bool(row[8]),
        has_8bit_header=bool(row[9]),
        ret=str(row[10]),
        envid=str(row[11]),
        size_octets=int(str(row[12])),
        sha256=str(row[13]),
        created_at=float(str(row[14])),
        requiretls=bool(row[15]),
        rank=int(str(row[16])),
    )


def note(connection: sqlite3.Connection, result: Result, lease_owner: str) -> None:
    """One recipient's outcome, only while the attempt is still the one we claimed."""
    outcome = result.outcome
    match outcome:
        case Delivered():
            state, reply = schema.DELIVERED, Reply(250, "0.0", outcome.detail)
        case Failed():
            state, reply = schema.FAILED, outcome.reply
        case Deferred():
            state, reply = schema.WAITING, outcome.reply
        case _:
            assert_never(outcome)
    done = connection.execute(
        "UPDATE recipient SET state = ?, lease_owner = '', lease_until = 0, crashes = 0, next_at = ?,"
        " host = ?, code = ?, status = ?, reply = ?, is_ours = ?"
        " WHERE number = ? AND state = 1 AND lease_owner = ? AND tries = ?",
        (
            state,
            result.recipient.next_at,
            result.host,
            reply.code,
            reply.status,
            reply.text[:MAX_REPLY_CHARACTERS],
            result.is_ours,
            result.recipient.row,
            lease_owner,
            result.recipient.tries,
        ),
    )
    if done.rowcount != 1:
        raise LeaseLost


def close_when_done(connection: sqlite3.Connection, queue_id: str, now: float) -> bool:
    """Applies an operator's hold or removal, and deletes a message nobody waits for any more.

    Returns:
        True when the message is gone and its file may go.
    """
    row = connection.execute("SELECT held, removed FROM message WHERE id = ?", (queue_id,)).fetchone()
    if row is None:
        return False
    held, removed = row
    if removed:
        connection.execute(
            "UPDATE recipient SET state = 3 WHERE message = ? AND state IN (0, 4)", (queue_id,)
        )
    elif held:
        connection.execute("UPDATE recipient SET state = 4 WHERE message = ? AND state = 0", (queue_id,))
    else:
        hold_covered(connection, queue_id)
    active = connection.execute(
        "SELECT 1 FROM recipient WHERE message = ? AND state IN (0, 1, 4) LIMIT 1", (queue_id,)
    ).fetchone()
    if active is not None:
        return False
    connection.execute("INSERT OR REPLACE INTO finished (id, at) VALUES (?, ?)", (queue_id, now))
    connection.execute("DELETE FROM message WHERE id = ?", (queue_id,))
    return True
