"""What is counted in an account.db, and how counting goes on in one that is not the one used last.

UIDs and MODSEQs come from blocks reserved durably beforehand.  Where it is not known how
many of them were given out, counting goes on behind them: after a boot behind the reserved
block, in a database that was copied or put back far behind it.  `uidvalidity` beside the
database tells one that is older than numbers given out: its folders get a new UIDVALIDITY,
and new ids, so that no session goes on with what it knew.

Standards: RFC 3501 section 2.3.1.1, RFC 7162, RFC 8474.
"""

from __future__ import annotations

import os
import sqlite3
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

from mailstack.disk.sqlite import open_database
from mailstack.model.errors import TemporaryFailure

_FOLDER_IDS = 1 << 30  # a database made again begins with any folder id below this
_LEAP = 1_000_000  # UIDs left out after a copy: sessions hold some of those given out since
_MAX_UID = (1 << 32) - 1
_SHARE = 1_024  # never more of those that are left than one in so many
#: What belongs to a folder, by its id.
_OF_FOLDER = ("messages", "expunged", "doomed", "keywords", "metadata", "rights", "fetched")


def new_object_id(random_bytes: Callable[[int], bytes], kind: str) -> str:
    """An RFC 8474 object id: `kind` and 72 random bits."""
    return kind + urlsafe_b64encode(random_bytes(9)).decode("ascii")


def read_meta(connection: sqlite3.Connection, key: str) -> str | int | None:
    """A value of the table `meta`; None: it is not there."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else row[0]


def write_meta(connection: sqlite3.Connection, key: str, value: str | int) -> None:
    """Sets a value of the table `meta`."""
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))


def settle(
    connection: sqlite3.Connection,
    home: Path,
    *,
    in_order: bool,
    boot: str,
    now: int,
    random_bytes: Callable[[int], bytes],
) -> None:
    """What must be put right when a database is opened, in a transaction.

    Args:
        in_order: it is as whoever used it last has left it, as far as can be seen from outside.
    """
    inode = os.stat(home / "account.db").st_ino
    witnessed, validity = read_witness(home)
    if read_meta(connection, "epoch") is None:
        _begin(connection, random_bytes, generation=witnessed + 1, validity=validity)
        write_meta(connection, "boot", boot)
        write_meta(connection, "inode", inode)
    elif int(read_meta(connection, "generation") or 0) < witnessed:
        # An older copy was put back: UIDs given out since are unknown.
        in_order = False
        new_validities(connection, now, at_least=validity)
        write_meta(connection, "epoch", new_object_id(random_bytes, "M"))
        write_meta(connection, "generation", witnessed + 1)
        _new_ids(connection, random_bytes)
    if not in_order or read_meta(connection, "inode") != inode:
        leap(connection)
    elif read_meta(connection, "boot") != boot:
        jump(connection)
    else:
        return
    write_meta(connection, "boot", boot)
    write_meta(connection, "inode", inode)


def _begin(
    connection: sqlite3.Connection, random_bytes: Callable[[int], bytes], *, generation: int, validity: int
) -> None:
    write_meta(connection, "epoch", new_object_id(random_bytes, "M"))
    write_meta(connection, "generation", generation)
    write_meta(connection, "uid_validity", validity)
    # Sessions may still hold numbers out of the database that was here before.
    connection.execute(
        "INSERT INTO sqlite_sequence (name, seq) VALUES ('folders', ?)", (_any_id(random_bytes),)
    )


def _any_id(random_bytes: Callable[[int], bytes]) -> int:
    return int.from_bytes(random_bytes(4), "big") % _FOLDER_IDS


def _new_ids(connection: sqlite3.Connection, random_bytes: Callable[[int], bytes]) -> None:
    """Gives every folder another id; what is known of the messages by their `mid` stays."""
    first = _any_id(random_bytes)
    found = connection.execute("SELECT id FROM folders ORDER BY id").fetchall()
    for new, (old,) in enumerate(found, first + 1):
        connection.execute("UPDATE folders SET id = ? WHERE id = ?", (new, old))
        for table in _OF_FOLDER:
            connection.execute(f"UPDATE {table} SET folder = ? WHERE folder = ?", (new, old))  # noqa: S608
        connection.execute("UPDATE meta SET key = ? WHERE key = ?", (use_since(new), use_since(old)))
    connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'folders'", (first + len(found),))


def use_since(folder_id: int) -> str:
    """The key of `meta` that says since when a folder has its special use."""
    return f"use of {folder_id} since"


def next_validity(connection: sqlite3.Connection, now: int, *, at_least: int = 0) -> int:
    """A UIDVALIDITY no folder of this account ever had."""
    last = int(read_meta(connection, "uid_validity") or 0)
    value = max(now, last + 1, at_least + 1) & 0xFFFFFFFF
    write_meta(connection, "uid_validity", value)
    return value  # the caller calls `witness` after its COMMIT


def new_validities(connection: sqlite3.Connection, now: int, *, at_least: int = 0) -> None:
    """Gives every folder a new UIDVALIDITY: clients must fetch everything again."""
    for (folder_id,) in connection.execute("SELECT id FROM folders ORDER BY id").fetchall():
        value = next_validity(connection, now, at_least=at_least)
        connection.execute("UPDATE folders SET uid_validity = ? WHERE id = ?", (value, folder_id))


def jump(connection: sqlite3.Connection) -> None:
    """Goes on counting behind the reserved blocks, as if all of them had been given out.

    UIDs that may have been seen and are gone count as expunged, so that clients drop them.
    """
    connection.execute(
        "INSERT OR REPLACE INTO expunged (folder, modseq, first_uid, last_uid)"
        " SELECT id, modseq_reserved + 1, uid_next, uid_reserved - 1 FROM folders"
        " WHERE uid_next < uid_reserved"
    )
    connection.execute(
        "UPDATE folders SET uid_next = uid_reserved, modseq = modseq_reserved + 1,"
        " modseq_reserved = modseq_reserved + 1"
    )


def leap(connection: sqlite3.Connection) -> None:
    """As `jump`, but far: the database was copied or put back, and nobody knows what was given out since.

    All messages count as changed: clients may know flags that were set since.
    """
    connection.execute(
        "UPDATE folders SET uid_reserved = uid_reserved + min(?, (? - uid_reserved) / ?),"
        " modseq_reserved = modseq_reserved + ?",
        (_LEAP, _MAX_UID, _SHARE, _LEAP),
    )
    jump(connection)
    connection.execute("UPDATE messages SET modseq = (SELECT modseq FROM folders WHERE id = messages.folder)")


def read_witness(home: Path) -> tuple[int, int]:
    """Generation and highest UIDVALIDITY noted beside the database; zeros when there are none."""
    try:
        words = (home / "uidvalidity").read_text(encoding="ascii").split()
        return int(words[0]), int(words[1])
    except (OSError, ValueError, IndexError):
        return 0, 0


def read_generation(path: Path) -> int | None:
    """The generation a database knows of; None when it cannot be read."""
    try:
        connection = open_database(path, read_only=True)
    except TemporaryFailure:
        return None
    try:
        return int(read_meta(connection, "generation") or 0)
    except (sqlite3.Error, ValueError):
        return None
    finally:
        connection.close()
