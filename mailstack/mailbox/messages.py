"""Rows of messages: reading, flags, expunging.

Every change takes one MODSEQ for all the rows it touches; so the rows a change touched
are exactly those with its MODSEQ.

Standards: RFC 3501 sections 2.3.2 and 6.4, RFC 7162, RFC 8474.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from mailstack.mailbox import fullness
from mailstack.mailbox.account import take_modseq
from mailstack.mailbox.core import Core
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import FlagChange, FlagOperation, Flags, MailboxError, MessageRow
from mailstack.model.ranges import gaps, merged, ranges

#: Octets of one keyword (limits, section 6).
MAX_KEYWORD_OCTETS = 50
#: Ranges of an expunge log; beyond, its oldest half is forgotten.
MAX_EXPUNGED_RANGES = 20_000
#: The log's length is looked at once in so many changes.
LOOK_EVERY = 256

_FLAGS = tuple(Flags(bits) for bits in range(32))
#: What `to_rows` makes rows of.
COLUMNS = "uid, flags, keywords, modseq, size, internal_at, saved_at, mid, thread"
_ATOM_SPECIALS = frozenset('(){ %*"\\]')


def rows(core: Core, folder_id: int, since_modseq: int) -> list[MessageRow]:
    """Messages by ascending UID, all or those changed after a MODSEQ."""
    with core.db.read() as connection:
        if since_modseq > 0:
            found = connection.execute(
                # With a bare uid SQLite would rather read the whole folder than sort the few.
                f"SELECT {COLUMNS} FROM messages WHERE folder = ? AND modseq > ? ORDER BY +uid",  # noqa: S608
                (folder_id, since_modseq),
            ).fetchall()
        else:
            found = connection.execute(
                f"SELECT {COLUMNS} FROM messages WHERE folder = ? ORDER BY uid",  # noqa: S608
                (folder_id,),
            ).fetchall()
        if not found:
            core.get(connection, folder_id)
        return to_rows(core, found)


def to_rows(
    core: Core, found: Iterable[tuple[int, int, str, int, int, int, int, int, int | None]]
) -> list[MessageRow]:
    """Rows from the columns of `COLUMNS`."""
    epoch = core.db.epoch
    words: dict[str, tuple[str, ...]] = {"": ()}
    out = []
    for uid, flags, keywords, modseq, size, internal_at, saved_at, mid, thread in found:
        known = words.get(keywords)
        if known is None:
            known = words[keywords] = tuple(keywords.split())
        out.append(
            MessageRow(
                uid, _FLAGS[flags], known, modseq, size, internal_at, saved_at, f"{epoch}-{mid:x}",
                "" if thread is None else f"T{thread:x}",
            )
        )  # fmt: skip
    return out


def expunged(core: Core, folder_id: int, since_modseq: int) -> list[tuple[int, int]]:
    """UIDs expunged after a MODSEQ, as ascending ranges; see AccountStore.expunged."""
    with core.db.read() as connection:
        connection.execute("BEGIN")
        try:
            found = connection.execute(
                "SELECT expunge_floor, uid_next FROM folders WHERE id = ?", (folder_id,)
            ).fetchone()
            if found is None:
                raise MailboxError("NONEXISTENT", "the folder is gone")
            floor, uid_next = found
            if since_modseq < floor:
                there = connection.execute(
                    "SELECT uid FROM messages WHERE folder = ? ORDER BY uid", (folder_id,)
                ).fetchall()
                return gaps([uid for (uid,) in there], uid_next)
            found = connection.execute(
                "SELECT first_uid, last_uid FROM expunged WHERE folder = ? AND modseq > ? ORDER BY first_uid",
                (folder_id, since_modseq),
            ).fetchall()
        finally:
            connection.execute("COMMIT")
    return merged(found)


def claim_recent(core: Core, folder_id: int) -> int:
    """First UID nobody was told of as recent; all are told from now on."""
    with core.db.read() as connection:
        row = _recent(connection, folder_id)
    if row[0] >= row[1]:
        return row[0]
    try:
        with core.db.write("reading the mailbox", durable_commit=False) as connection:
            row = _recent(connection, folder_id)
            connection.execute("UPDATE folders SET recent_from = uid_next WHERE id = ?", (folder_id,))
    except TemporaryFailure as error:
        if error.fatal:
            raise
        core.worker.report(error)  # they stay recent: reading goes on (promise P7)
    else:
        core.worker.names(core)  # they move from new/ to cur/
    return row[0]


def _recent(connection: sqlite3.Connection, folder_id: int) -> tuple[int, int]:
    row = connection.execute(
        "SELECT recent_from, uid_next FROM folders WHERE id = ?", (folder_id,)
    ).fetchone()
    if row is None:
        raise MailboxError("NONEXISTENT", "the folder is gone")
    return int(row[0]), int(row[1])


def check_keywords(keywords: Iterable[str]) -> tuple[str, ...]:
    """Keywords in order, each once whatever its case.

    Raises:
        MailboxError: LIMIT, too long; CANNOT, no atom.

    Source: RFC 3501 section 9 (flag-keyword); limits, section 6.
    """
    out: dict[str, str] = {}
    for word in keywords:
        if not word or len(word) > MAX_KEYWORD_OCTETS:
            raise MailboxError("LIMIT", f"a keyword may have {MAX_KEYWORD_OCTETS} octets")
        if not word.isascii() or not word.isprintable() or not _ATOM_SPECIALS.isdisjoint(word):
            raise MailboxError("CANNOT", "a keyword holds a character that may not stand there")
        out.setdefault(word.lower(), word)
    return tuple(out.values())


def usable_keywords(keywords: Iterable[str]) -> tuple[str, ...]:
    """As check_keywords, but what cannot be a keyword is left out: for mail on its way in."""
    out: dict[str, str] = {}
    for word in keywords:
        with contextlib.suppress(MailboxError):
            out.update((each.lower(), each) for each in check_keywords([word]) if each.lower() not in out)
    return tuple(out.values())


def know_keywords(
    core: Core, connection: sqlite3.Connection, folder_id: int, wanted: Sequence[str], *, drop: bool = False
) -> tuple[str, ...]:
    """Makes keywords known to a folder and gives them in the folder's spelling.

    Args:
        drop: leave out those that find no room, instead of raising.

    Raises:
        MailboxError: LIMIT, the folder would know too many.
    """
    if not wanted:
        return ()
    known = _known_keywords(connection, folder_id)
    fresh = [word for word in wanted if word.lower() not in known]
    room = core.options.max_keywords - len(known)
    if len(fresh) > room:
        _drop_unused(connection, folder_id, known)
        room = core.options.max_keywords - len(known)
        fresh = [word for word in wanted if word.lower() not in known]
    if len(fresh) > room:
        if not drop:
            raise MailboxError("LIMIT", f"a folder may know {core.options.max_keywords} keywords")
        fresh = fresh[:room]
    connection.executemany(
        "INSERT OR IGNORE INTO keywords (folder, name) VALUES (?, ?)", [(folder_id, word) for word in fresh]
    )
    known.update((word.lower(), word) for word in fresh)
    return tuple(known[word.lower()] for word in wanted if word.lower() in known)


def _known_keywords(connection: sqlite3.Connection, folder_id: int) -> dict[str, str]:
    found = connection.execute("SELECT name FROM keywords WHERE folder = ?", (folder_id,))
    return {name.lower(): name for (name,) in found}


def _drop_unused(connection: sqlite3.Connection, folder_id: int, known: dict[str, str]) -> None:
    used: set[str] = set()
    for (words,) in connection.execute(
        "SELECT DISTINCT keywords FROM messages WHERE folder = ?", (folder_id,)
    ):
        used.update(words.lower().split())
    for word in [word for word in known if word not in used]:
        connection.execute("DELETE FROM keywords WHERE folder = ? AND name = ?", (folder_id, known.pop(word)))


def change_flags(
    core: Core,
    folder_id: int,
    uids: Sequence[int],
    operation: FlagOperation,
    flags: Flags,
    keywords: Iterable[str],
    *,
    unchanged_since: int | None = None,
) -> FlagChange:
    """Adds, removes or replaces flags; see AccountStore.change_flags."""
    wanted = check_keywords(keywords) if operation != "-" else tuple(keywords)
    bits = int(flags) & 31
    refused: list[int] = []

    def work(connection: sqlite3.Connection) -> list[MessageRow]:
        core.get(connection, folder_id)
        asked = uids
        if unchanged_since is not None:
            asked, refused[:] = _since(connection, folder_id, uids, unchanged_since)
        words = wanted if operation == "-" else know_keywords(core, connection, folder_id, wanted)
        if operation == "=" or words:
            return _change_each(core, connection, folder_id, asked, operation, bits, words)
        return _change_bits(core, connection, folder_id, asked, operation, bits)

    try:
        changed = core.db.change("changing flags", work, durable_commit=True)
    except Unchanged:
        return FlagChange([], refused)
    core.worker.names(core)
    return FlagChange(changed, refused)


def _since(
    connection: sqlite3.Connection, folder_id: int, uids: Sequence[int], modseq: int
) -> tuple[list[int], list[int]]:
    """The UIDs that are there, unchanged since a MODSEQ and changed since."""
    unchanged: list[int] = []
    changed: list[int] = []
    for uid, own in select(connection, folder_id, uids, "uid, modseq"):
        (changed if own > modseq else unchanged).append(uid)
    return unchanged, changed


class Unchanged(Exception):
    """Nothing was to be changed: no MODSEQ is used up."""


def _change_bits(
    core: Core,
    connection: sqlite3.Connection,
    folder_id: int,
    uids: Sequence[int],
    operation: FlagOperation,
    bits: int,
) -> list[MessageRow]:
    """Only system flags, the same for all: one UPDATE per range of UIDs."""
    modseq = take_modseq(connection, folder_id)
    counted = bits & (Flags.SEEN | Flags.DELETED)
    value = "flags | ?" if operation == "+" else "flags & ~?"
    changed = 0
    for first, last in ranges(uids):
        before = _counts(connection, folder_id, first, last) if counted else (0, 0)
        changed += connection.execute(
            f"UPDATE messages SET flags = {value}, modseq = ?, dirty = 1"  # noqa: S608
            f" WHERE folder = ? AND uid BETWEEN ? AND ? AND ({value}) <> flags",
            (bits, modseq, folder_id, first, last, bits),
        ).rowcount
        if counted:
            after = _counts(connection, folder_id, first, last)
            count(connection, folder_id, unseen=after[0] - before[0], deleted=after[1] - before[1])
    if not changed:
        raise Unchanged
    return changed_rows(core, connection, folder_id, modseq)


def _counts(connection: sqlite3.Connection, folder_id: int, first: int, last: int) -> tuple[int, int]:
    row = connection.execute(
        "SELECT coalesce(sum(flags & 1 = 0), 0), coalesce(sum(flags & 8 <> 0), 0)"
        " FROM messages WHERE folder = ? AND uid BETWEEN ? AND ?",
        (folder_id, first, last),
    ).fetchone()
    return int(row[0]), int(row[1])


def _change_each(
    core: Core,
    connection: sqlite3.Connection,
    folder_id: int,
    uids: Sequence[int],
    operation: FlagOperation,
    bits: int,
    words: Sequence[str],
) -> list[MessageRow]:
    """Flags and keywords, looked at message by message."""
    updates: list[tuple[int, str, int]] = []
    unseen = deleted = 0
    for uid, flags, keywords in select(connection, folder_id, uids, "uid, flags, keywords"):
        new_flags, new_keywords = _combined(flags, keywords, operation, bits, words)
        if new_flags == flags and new_keywords == keywords:
            continue
        updates.append((new_flags, new_keywords, uid))
        unseen += (flags & 1) - (new_flags & 1)
        deleted += (new_flags >> 3 & 1) - (flags >> 3 & 1)
    if not updates:
        raise Unchanged
    modseq = take_modseq(connection, folder_id)
    connection.executemany(
        "UPDATE messages SET flags = ?, keywords = ?, modseq = ?, dirty = 1 WHERE folder = ? AND uid = ?",
        [(flags, keywords, modseq, folder_id, uid) for flags, keywords, uid in updates],
    )
    count(connection, folder_id, unseen=unseen, deleted=deleted)
    return changed_rows(core, connection, folder_id, modseq)


def _combined(
    flags: int, keywords: str, operation: FlagOperation, bits: int, words: Sequence[str]
) -> tuple[int, str]:
    if operation == "=":
        return bits, " ".join(words)
    old = keywords.split()
    if operation == "+":
        there = {word.lower() for word in old}
        return flags | bits, " ".join([*old, *(word for word in words if word.lower() not in there)])
    gone = {word.lower() for word in words}
    return flags & ~bits, " ".join(word for word in old if word.lower() not in gone)


def changed_rows(core: Core, connection: sqlite3.Connection, folder_id: int, modseq: int) -> list[MessageRow]:
    """The rows with exactly this MODSEQ."""
    return to_rows(
        core,
        connection.execute(
            f"SELECT {COLUMNS} FROM messages WHERE folder = ? AND modseq = ? ORDER BY uid",  # noqa: S608
            (folder_id, modseq),
        ),
    )


def expunge(core: Core, folder_id: int, uids: Sequence[int], *, only_marked: bool = False) -> list[int]:
    """Removes messages; gives the UIDs that were there.  Their files go in the background.

    Args:
        only_marked: those of them that have \\Deleted now.
    """

    def choose(connection: sqlite3.Connection) -> Sequence[int]:
        if not only_marked:
            return uids
        return [uid for uid, flags in select(connection, folder_id, uids, "uid, flags") if flags & 8]

    return expunge_chosen(core, folder_id, choose)


def expunge_chosen(
    core: Core, folder_id: int, choose: Callable[[sqlite3.Connection], Sequence[int]]
) -> list[int]:
    """Removes what `choose` gives within the transaction, when nobody else can change it; as expunge."""

    def work(connection: sqlite3.Connection) -> list[int]:
        core.get(connection, folder_id)
        uids = choose(connection)
        return remove(connection, folder_id, uids, keep=core.options.expunged_keep_days > 0)

    try:
        gone = core.db.change("expunging", work, durable_commit=True)
    except Unchanged:
        return []
    core.worker.doomed(core)
    return gone


def remove(
    connection: sqlite3.Connection, folder_id: int, uids: Sequence[int], *, keep: bool, files: bool = True
) -> list[int]:
    """Deletes rows, logs their UIDs as expunged and dooms their files.

    Args:
        keep: their files are set aside before they are removed.
        files: False when the files are gone already.

    Raises:
        Exhausted, MailboxError: as take_uids.
    """
    found = list(select(connection, folder_id, uids, _REMOVED))
    if not found:
        raise Unchanged
    modseq = take_modseq(connection, folder_id)
    gone = [row[0] for row in found]
    for first, last in ranges(gone):
        connection.execute(
            "DELETE FROM messages WHERE folder = ? AND uid BETWEEN ? AND ?", (folder_id, first, last)
        )
    if files:
        connection.executemany(
            "INSERT OR REPLACE INTO doomed (folder, keep, flags, base, sub, letters, mid, keywords,"
            " internal_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(folder_id, keep, flags, *rest) for _, flags, _, *rest in found],
        )
    log_expunged(connection, folder_id, modseq, gone)
    count(
        connection,
        folder_id,
        messages=-len(found),
        unseen=-sum(1 for row in found if not row[1] & 1),
        deleted=-sum(1 for row in found if row[1] & 8),
        size=-sum(row[2] for row in found),
    )
    fullness.eased(connection)
    return gone


_REMOVED = "uid, flags, size, base, sub, letters, mid, keywords, internal_at"


def log_expunged(connection: sqlite3.Connection, folder_id: int, modseq: int, uids: Sequence[int]) -> None:
    """Remembers for QRESYNC clients that these UIDs are gone."""
    connection.executemany(
        "INSERT OR REPLACE INTO expunged (folder, modseq, first_uid, last_uid) VALUES (?, ?, ?, ?)",
        [(folder_id, modseq, first, last) for first, last in ranges(uids)],
    )
    if modseq % LOOK_EVERY:
        return
    (number,) = connection.execute("SELECT count(*) FROM expunged WHERE folder = ?", (folder_id,)).fetchone()
    if number <= MAX_EXPUNGED_RANGES:
        return
    (floor,) = connection.execute(
        "SELECT modseq FROM expunged WHERE folder = ? ORDER BY modseq LIMIT 1 OFFSET ?",
        (folder_id, number // 2),
    ).fetchone()
    connection.execute("DELETE FROM expunged WHERE folder = ? AND modseq <= ?", (folder_id, floor))
    connection.execute("UPDATE folders SET expunge_floor = ? WHERE id = ?", (floor, folder_id))


def note_open_ends(connection: sqlite3.Connection, folder_id: int, uids: Iterable[int]) -> None:
    """Remembers that the last lines of these messages have no end."""
    connection.executemany(
        "UPDATE messages SET open_end = 1 WHERE folder = ? AND uid = ?", [(folder_id, uid) for uid in uids]
    )


def count(
    connection: sqlite3.Connection,
    folder_id: int,
    *,
    messages: int = 0,
    unseen: int = 0,
    deleted: int = 0,
    size: int = 0,
) -> None:
    """Adds to a folder's counters."""
    if messages or unseen or deleted or size:
        connection.execute(
            "UPDATE folders SET messages = messages + ?, unseen = unseen + ?, deleted = deleted + ?,"
            " size = size + ? WHERE id = ?",
            (messages, unseen, deleted, size, folder_id),
        )


def recount(connection: sqlite3.Connection, folder_id: int, *, only_look: bool = False) -> bool:
    """Counts a folder's messages anew; True when the counters were wrong."""
    found = connection.execute(
        "SELECT count(*), coalesce(sum(flags & 1 = 0), 0), coalesce(sum(flags & 8 <> 0), 0),"
        " coalesce(sum(size), 0) FROM messages WHERE folder = ?",
        (folder_id,),
    ).fetchone()
    kept = connection.execute(
        "SELECT messages, unseen, deleted, size FROM folders WHERE id = ?", (folder_id,)
    ).fetchone()
    if kept == found:
        return False
    if not only_look:
        connection.execute(
            "UPDATE folders SET messages = ?, unseen = ?, deleted = ?, size = ? WHERE id = ?",
            (*found, folder_id),
        )
    return True


def select(
    connection: sqlite3.Connection, folder_id: int, uids: Sequence[int], columns: str
) -> Iterator[tuple[Any, ...]]:
    """Columns of these messages that are there, by ascending UID."""
    for first, last in ranges(uids):
        yield from connection.execute(
            f"SELECT {columns} FROM messages WHERE folder = ? AND uid BETWEEN ? AND ? ORDER BY uid",  # noqa: S608
            (folder_id, first, last),
        ).fetchall()
