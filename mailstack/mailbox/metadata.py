"""Annotations of folders and of the account, as METADATA shows them.

Folder 0 is the account itself.  An entry below /private/ belongs to one person: the
owner's is kept by its name, another person's with their address key in front.

Standards: RFC 5464 sections 3.2 and 4.1 (limits), RFC 6154 section 4 (/private/specialuse).
Numbers: limits, section 6.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from mailstack.model.mailbox import MailboxError

#: Octets of one value; RFC 5464 section 4.1 wants 1024 at least.
MAX_VALUE_OCTETS = 16_384
#: Entries of a folder, or of the account itself, and of all its folders together.
MAX_ENTRIES = 100
MAX_ALL_ENTRIES = 2_000
SPECIAL_USE = "/private/specialuse"
_PRIVATE = "/private/"
#: Between a person's key and an entry; no key and no entry holds it.
_MARK = "\n"


def read(connection: sqlite3.Connection, folder_id: int, person: str = "") -> dict[str, bytes]:
    """Values by entry name, sorted; `person`: address key of who asks, "" for the owner."""
    found = {}
    for entry, value in connection.execute(
        "SELECT entry, value FROM metadata WHERE folder = ? ORDER BY entry", (folder_id,)
    ):
        whose, mark, name = str(entry).rpartition(_MARK)
        is_private = bool(mark) or name.startswith(_PRIVATE)
        if not is_private or whose == person:
            found[name] = bytes(value)
    return found


def write(
    connection: sqlite3.Connection, folder_id: int, changes: Mapping[str, bytes | None], person: str = ""
) -> None:
    """Sets and removes entries; in the caller's transaction.

    Raises:
        MailboxError: `METADATA MAXSIZE n`, `METADATA TOOMANY`.
    """
    if any(value is not None and len(value) > MAX_VALUE_OCTETS for value in changes.values()):
        raise MailboxError(f"METADATA MAXSIZE {MAX_VALUE_OCTETS}", "the annotation is too long")
    for name, value in changes.items():
        entry = f"{person}{_MARK}{name}" if person and name.startswith(_PRIVATE) else name
        if value is None:
            connection.execute("DELETE FROM metadata WHERE folder = ? AND entry = ?", (folder_id, entry))
        else:
            connection.execute(
                "INSERT OR REPLACE INTO metadata (folder, entry, value) VALUES (?, ?, ?)",
                (folder_id, entry, value),
            )
    (here,) = connection.execute("SELECT count(*) FROM metadata WHERE folder = ?", (folder_id,)).fetchone()
    (everywhere,) = connection.execute("SELECT count(*) FROM metadata").fetchone()
    if here > MAX_ENTRIES or everywhere > MAX_ALL_ENTRIES:
        raise MailboxError("METADATA TOOMANY", "there are too many annotations")


def copy(connection: sqlite3.Connection, source_id: int, target_id: int) -> None:
    """Gives a folder the annotations of another (RFC 5464 section 4.1: RENAME of INBOX)."""
    connection.execute(
        "INSERT OR IGNORE INTO metadata (folder, entry, value)"
        " SELECT ?, entry, value FROM metadata WHERE folder = ?",
        (target_id, source_id),
    )
