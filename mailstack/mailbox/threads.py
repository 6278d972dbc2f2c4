"""Which thread a message belongs to: its RFC 8474 THREADID.

The account remembers every message id its messages have or name, as a hash, with the
thread it belongs to.  A message joins the thread of its own id (a copy, or an answer was
here first), else of its nearest ancestor that is known; else it begins one, named after
the oldest ancestor it names, so that the same mail makes the same thread again after a
rebuild.  A thread once reported never changes, so two threads that turn out to be one
stay two.  The work for a message does not grow with the mailbox.

Standards: RFC 8474 section 5.2.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from typing import Protocol

from mailstack.mailbox import messages
from mailstack.mailbox.core import Core, first_place
from mailstack.mailbox.files import Written
from mailstack.mime import links
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import MailboxError, MessageFile, MessageRow

#: Headers read before their threads are written.
_BATCH = 500


def links_of(written: Written) -> links.Links:
    """The links of a message that was just written."""
    if written.data is not None:
        return links.read(written.data)
    with open(written.path, "rb") as file:
        return links.read(file.read(links.MAX_BLOCK_OCTETS))


def join(connection: sqlite3.Connection, found: links.Links, mid: int) -> int:
    """The thread of a message, which its ids belong to from now on.

    Args:
        mid: names the thread of a message without any id.
    """
    hashes = [hash_of(each) for each in (*found.ancestors, found.own) if each]
    if not hashes:
        return -mid
    marks = ",".join("?" * len(hashes))
    known = dict(
        connection.execute(f"SELECT id, thread FROM threads WHERE id IN ({marks})", hashes)  # noqa: S608
    )
    # The last is its own id when it has one, then the nearest ancestor.
    thread = next((known[each] for each in reversed(hashes) if each in known), hashes[0])
    fresh = [(each, thread) for each in dict.fromkeys(hashes) if each not in known]
    if fresh:
        connection.executemany("INSERT OR IGNORE INTO threads (id, thread) VALUES (?, ?)", fresh)
    return int(thread)


def hash_of(message_id: bytes) -> int:
    """What the id (without angle brackets) is remembered by."""
    return int.from_bytes(hashlib.blake2b(message_id, digest_size=8).digest(), "big") >> 1


class Opener(Protocol):
    """Opens messages of a folder; what `details` reads headers with."""

    def open(self, folder_id: int, uid: int) -> MessageFile:
        """As AccountStore.open."""
        ...


def details(core: Core, opener: Opener, folder_id: int, uids: Sequence[int]) -> dict[int, MessageRow]:
    """Rows by UID, with threads found now for messages that have none yet."""
    rows = _rows(core, folder_id, uids)
    missing = [uid for uid, row in rows.items() if not row.thread_id]
    for start in range(0, len(missing), _BATCH):
        _fill(core, opener, folder_id, missing[start : start + _BATCH])
    return _rows(core, folder_id, uids) if missing else rows


def _rows(core: Core, folder_id: int, uids: Sequence[int]) -> dict[int, MessageRow]:
    with core.db.read() as connection:
        found = messages.to_rows(core, messages.select(connection, folder_id, uids, messages.COLUMNS))
        if not found:
            core.get(connection, folder_id)
    return {row.uid: row for row in found}


def _fill(core: Core, opener: Opener, folder_id: int, uids: Sequence[int]) -> None:
    found: list[tuple[int, links.Links]] = []
    for uid in uids:
        try:
            file = opener.open(folder_id, uid)
        except MailboxError:
            continue
        try:
            found.append((uid, links.read(file.read(0, links.MAX_BLOCK_OCTETS))))
        except MailboxError:
            continue
        finally:
            file.close()
    try:
        with core.db.write("finding threads", durable_commit=True) as connection:
            for uid, own in found:
                _set(connection, folder_id, uid, own)
    except TemporaryFailure as error:
        if error.fatal:
            raise
        core.worker.report(error)  # reported as NIL: reading goes on (promise P7)


def _set(connection: sqlite3.Connection, folder_id: int, uid: int, found: links.Links) -> None:
    row = connection.execute(
        "SELECT mid FROM messages WHERE folder = ? AND uid = ? AND thread IS NULL", (folder_id, uid)
    ).fetchone()
    if row is None:
        return  # gone, or somebody else was faster
    mid = int(row[0])
    thread = join(connection, found, mid)
    # RFC 8474 section 5.2: all copies of a message are in one thread.
    connection.execute(
        "UPDATE messages SET thread = ? WHERE thread IS NULL AND folder = ? AND uid = ?",
        (thread, *first_place(mid)),
    )
    connection.execute(
        "UPDATE messages SET thread = ? WHERE thread IS NULL"
        " AND mid = ? AND mid <> folder * 4294967296 + uid",
        (thread, mid),
    )
