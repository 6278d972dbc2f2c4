"""What can still be read of a damaged account.db.

Files say which messages and folders there are and which flags they have.  What files do
not say is taken from the old database as far as it can be read: subscriptions, special
use, rights, annotations, the keywords and dates of messages, and which files only wait
to be removed.  Everything is checked before it is used, because a damaged page may say
anything.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mailstack.mailbox import fullness, maildir, messages
from mailstack.mailbox.core import Core, new_mid
from mailstack.mailbox.counting import use_since, write_meta
from mailstack.model.mailbox import MailboxError
from mailstack.model.roles import ROLES

_MAX_STAMP = 2**40
_MAX_UID = 2**31
#: What integrity_check says when a row and an index differ: nobody knows which is right.
_DISAGREEMENT = ("missing from index", "wrong # of entries in index", "non-unique entry in index")


class Mark(NamedTuple):
    """What is known of a message.

    Attributes:
        flags: those its file name does not have yet; None: the file name has them.
    """

    keywords: str
    internal_at: int
    saved_at: int
    uid: int
    flags: int | None


@dataclass
class Old:
    """What was read.

    Attributes:
        special_uses: by directory of a folder; `since`: when it got its special use, or lost it.
        ids: directories by the folder's id.
        marks: what is known of messages, by directory and base name.
        doomed: by directory, then base name: keywords and internal date of messages that
            were expunged or moved away and whose files may still be there.
        is_whole: everything could be read.
    """

    subscriptions: set[str] = field(default_factory=set)
    special_uses: dict[str, str] = field(default_factory=dict)
    since: dict[str, int] = field(default_factory=dict)
    ids: dict[int, str] = field(default_factory=dict)
    metadata: list[tuple[str, str, bytes]] = field(default_factory=list)
    rights: list[tuple[str, str, str]] = field(default_factory=list)
    marks: dict[tuple[str, str], Mark] = field(default_factory=dict)
    doomed: dict[str, dict[str, tuple[str, int]]] = field(default_factory=dict)
    memory: str = ""
    is_whole: bool = True


def problems(connection: sqlite3.Connection) -> list[str]:
    """What integrity_check has to say; empty: nothing."""
    try:
        found = [str(text) for (text,) in connection.execute("PRAGMA integrity_check(20)")]
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return [text for text in found if text != "ok"]


def copy_rows(path: Path, found: list[str], copy: Path) -> bool:
    """Copies a database whose rows are whole, with fresh indexes, and syncs it.

    Args:
        found: what `problems` found in it.
        copy: must not exist.

    Returns:
        False, and no copy, when rows are damaged, or may be.

    Raises:
        OSError.
    """
    if all(any(words in text for words in _DISAGREEMENT) for text in found):
        return False
    try:
        with contextlib.closing(_open(path)) as old, contextlib.closing(sqlite3.connect(copy)) as new:
            _copy_tables(old, new)
        with contextlib.closing(_open(copy)) as connection:
            is_sound = not problems(connection)
    except sqlite3.Error:
        is_sound = False
    if not is_sound:
        copy.unlink(missing_ok=True)
        return False
    with copy.open("rb") as file:
        os.fsync(file.fileno())
    return True


def _copy_tables(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    """Row by row: VACUUM would copy the damaged indexes as they are."""
    query = "SELECT name, sql FROM sqlite_master WHERE type = ? AND sql IS NOT NULL"
    tables = old.execute(f"{query} AND name NOT LIKE 'sqlite_%'", ("table",)).fetchall()
    for _, sql in tables:
        new.execute(sql)
    for name in [name for name, _ in tables] + ["sqlite_sequence"]:
        if name == "sqlite_sequence":
            new.execute(
                "DELETE FROM sqlite_sequence"
            )  # written beside the rows: ids that are gone are not in it
        rows = old.execute(f'SELECT * FROM "{name}" NOT INDEXED')  # noqa: S608
        marks = ",".join("?" * len(rows.description))
        new.executemany(f'INSERT INTO "{name}" VALUES ({marks})', rows)  # noqa: S608
    for _, sql in old.execute(query, ("index",)).fetchall():
        new.execute(sql)
    (version,) = old.execute("PRAGMA user_version").fetchone()
    new.execute(f"PRAGMA user_version = {version}")
    new.commit()


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)


def read(path: Path) -> Old:
    """Reads as much as can be read; never raises for what it finds."""
    old = Old()
    if not path.exists():
        return old
    with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(_open(path)) as connection:
        _read(connection, old)
    return old


def _read(connection: sqlite3.Connection, old: Old) -> None:
    for folder_id, directory, special_use in _rows(
        connection, old, "SELECT id, dir, special_use FROM folders"
    ):
        if isinstance(folder_id, int) and isinstance(directory, str):
            old.ids[folder_id] = directory
            if special_use in ROLES:
                old.special_uses[directory] = special_use
    for (name,) in _rows(connection, old, "SELECT name FROM subscriptions"):
        with contextlib.suppress(MailboxError, TypeError):
            old.subscriptions.add(maildir.check_name(name))
    for folder, entry, value in _rows(connection, old, "SELECT folder, entry, value FROM metadata"):
        if isinstance(entry, str) and isinstance(value, bytes) and (not folder or folder in old.ids):
            old.metadata.append((old.ids.get(folder, "/"), entry, value))
    for folder, identifier, rights in _rows(connection, old, "SELECT folder, identifier, rights FROM rights"):
        if isinstance(identifier, str) and isinstance(rights, str) and folder in old.ids:
            old.rights.append((old.ids[folder], identifier, rights))
    meta = dict(_rows(connection, old, "SELECT key, value FROM meta"))
    old.memory = str(meta.get(fullness.KEY, ""))
    for folder_id, directory in old.ids.items():
        since = meta.get(use_since(folder_id))
        if isinstance(since, int) and 0 <= since < _MAX_STAMP:
            old.since[directory] = since
    _read_marks(connection, old)
    _read_doomed(connection, old)


def _read_marks(connection: sqlite3.Connection, old: Old) -> None:
    query = "SELECT folder, base, keywords, internal_at, saved_at, uid, flags, dirty FROM messages"
    # From both ends, so that one bad page costs only what is on it.
    for direction in ("ASC", "DESC"):
        is_whole = old.is_whole
        for row in _rows(connection, old, f"{query} ORDER BY folder {direction}, uid {direction}"):
            folder, base, keywords, *dates, uid, flags, dirty = row
            if (
                folder in old.ids
                and isinstance(base, str)
                and isinstance(keywords, str)
                and all(isinstance(date, int) and abs(date) < _MAX_STAMP for date in dates)
                and isinstance(uid, int)
            ):
                words = " ".join(messages.usable_keywords(keywords.split()))
                own = flags if dirty == 1 and flags in range(32) else None
                old.marks[old.ids[folder], base] = Mark(words, dates[0], dates[1], uid, own)
        if old.is_whole and is_whole:
            return


def _read_doomed(connection: sqlite3.Connection, old: Old) -> None:
    query = "SELECT folder, base, keywords, internal_at FROM doomed"
    for folder, base, keywords, internal_at in _rows(connection, old, query):
        if (
            folder in old.ids
            and isinstance(base, str)
            and isinstance(keywords, str)
            and isinstance(internal_at, int)
            and abs(internal_at) < _MAX_STAMP
            and (old.ids[folder], base) not in old.marks
        ):
            words = " ".join(messages.usable_keywords(keywords.split()))
            old.doomed.setdefault(old.ids[folder], {})[base] = (words, internal_at)


def _rows(connection: sqlite3.Connection, old: Old, query: str) -> Iterator[tuple[Any, ...]]:
    try:
        yield from connection.execute(query)
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        old.is_whole = False


def doom(core: Core, folder_id: int, directory: str, old: Old) -> None:
    """Expunges again what was expunged or moved away, and whose file was still found.

    The files are set aside whatever was to be done with them: a damaged page may have lied.

    Raises:
        TemporaryFailure: disk or database in trouble.
    """

    def work(connection: sqlite3.Connection) -> list[int]:
        uids: list[int] = []
        for base, marks in old.doomed[directory].items():
            found = connection.execute(
                "UPDATE messages SET keywords = ?, internal_at = ? WHERE folder = ? AND base = ?"
                " RETURNING uid",
                (*marks, folder_id, base),
            )
            uids += [uid for (uid,) in found.fetchall()]
        return messages.remove(connection, folder_id, sorted(uids), keep=True)

    if directory in old.doomed:
        with contextlib.suppress(messages.Unchanged):
            core.db.change("rebuilding", work, durable_commit=True)
            core.worker.doomed(core)


def apply(core: Core, connection: sqlite3.Connection, old: Old) -> None:
    """Puts what was read into a database that was just made from the files."""
    folders = {
        directory: folder_id for folder_id, directory in connection.execute("SELECT id, dir FROM folders")
    }
    known = [directory for directory in old.ids.values() if directory in folders]
    connection.executemany(
        "UPDATE folders SET special_use = '' WHERE id = ?", [(folders[each],) for each in known]
    )
    for directory, special_use in old.special_uses.items():
        if directory in folders:
            _give(connection, folders[directory], special_use)
    for directory, folder_id in folders.items():
        if directory in old.since or not old.is_whole:
            # What lay in a folder before it became Trash must not go as if it had been thrown away.
            since = old.since.get(directory, int(core.now()))
            write_meta(connection, use_since(folder_id), since)
    if old.subscriptions:
        connection.execute("DELETE FROM subscriptions")
        connection.executemany(
            "INSERT INTO subscriptions (name) VALUES (?)", [(name,) for name in sorted(old.subscriptions)]
        )
    connection.executemany(
        "INSERT OR IGNORE INTO metadata (folder, entry, value) VALUES (?, ?, ?)",
        [
            (0 if place == "/" else folders[place], entry, value)
            for place, entry, value in old.metadata
            if place == "/" or place in folders
        ],
    )
    connection.executemany(
        "INSERT OR IGNORE INTO rights (folder, identifier, rights) VALUES (?, ?, ?)",
        [(folders[place], who, rights) for place, who, rights in old.rights if place in folders],
    )
    if old.memory:
        connection.execute(
            "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (fullness.KEY, old.memory)
        )
    for directory, folder_id in folders.items():
        _mark(core, connection, folder_id, directory, old)


def _give(connection: sqlite3.Connection, folder_id: int, special_use: str) -> None:
    taken = connection.execute("SELECT 1 FROM folders WHERE special_use = ?", (special_use,)).fetchone()
    if taken is None:
        connection.execute("UPDATE folders SET special_use = ? WHERE id = ?", (special_use, folder_id))


def _mark(core: Core, connection: sqlite3.Connection, folder_id: int, directory: str, old: Old) -> None:
    """Keywords and dates; $Forwarded is in the file name, which wins."""
    rows = connection.execute(
        "SELECT uid, base, keywords FROM messages WHERE folder = ?", (folder_id,)
    ).fetchall()
    updates = []
    for uid, base, keywords in rows:
        mark = old.marks.get((directory, base))
        if mark is None:
            continue
        words = [word for word in mark.keywords.split() if word.lower() != maildir.FORWARDED.lower()]
        wanted = [*keywords.split(), *words]
        joined = " ".join(messages.know_keywords(core, connection, folder_id, wanted, drop=True))
        updates.append((joined, mark.internal_at, mark.saved_at, mark.flags, mark.flags, folder_id, uid))
    connection.executemany(
        "UPDATE messages SET keywords = ?, internal_at = ?, saved_at = ?, flags = coalesce(?, flags),"
        " dirty = max(dirty, ? IS NOT NULL) WHERE folder = ? AND uid = ?",
        updates,
    )
    messages.recount(connection, folder_id)
    _keep_uids(connection, folder_id, {uid: old.marks.get((directory, base)) for uid, base, _ in rows})


def _keep_uids(connection: sqlite3.Connection, folder_id: int, known: Mapping[int, Mark | None]) -> None:
    """Gives messages the UIDs they had; the others come behind them, in their order."""
    had = {uid: mark.uid for uid, mark in known.items() if mark is not None and 0 < mark.uid < _MAX_UID}
    if len(set(had.values())) < len(had):
        return  # the old database says anything
    behind = max(had.values(), default=0) + 1
    strange = [uid for uid in sorted(known) if uid not in had]
    had.update(zip(strange, range(behind, behind + len(strange)), strict=True))
    connection.execute("UPDATE messages SET uid = -uid WHERE folder = ?", (folder_id,))
    connection.executemany(
        "UPDATE messages SET uid = ?, mid = ? WHERE folder = ? AND uid = ?",
        [(uid, new_mid(folder_id, uid), folder_id, -now) for now, uid in had.items()],
    )
    connection.execute("DELETE FROM expunged WHERE folder = ?", (folder_id,))
    connection.execute(
        "UPDATE folders SET uid_next = ?, uid_reserved = ? WHERE id = ?",
        (behind + len(strange), behind + len(strange), folder_id),
    )
