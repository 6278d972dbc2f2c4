"""Who else may do what with a folder: its access list, as rows.

An identifier is an address key or `anyone`; with "-" in front its rights are taken away
from what other entries give (RFC 4314 section 2).

Standards: RFC 4314.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from mailstack.model.mailbox import MailboxError
from mailstack.model.sharing import ALL_RIGHTS, ANYONE

#: Entries of one folder's list.
MAX_IDENTIFIERS = 100


def read(connection: sqlite3.Connection, folder_id: int) -> dict[str, str]:
    """Rights by identifier, sorted."""
    rows = connection.execute(
        "SELECT identifier, rights FROM rights WHERE folder = ? ORDER BY identifier", (folder_id,)
    )
    return {str(identifier): str(rights) for identifier, rights in rows}


def read_all(connection: sqlite3.Connection) -> dict[str, dict[str, str]]:
    """As `read`, by folder name, of all folders that have a list."""
    found: dict[str, dict[str, str]] = {}
    for name, identifier, rights in connection.execute(
        "SELECT f.name, r.identifier, r.rights FROM rights r JOIN folders f ON f.id = r.folder"
    ):
        found.setdefault(str(name), {})[str(identifier)] = str(rights)
    return found


def effective(entries: Mapping[str, str], person: str, *, anyone: bool) -> str:
    """What a person may do.

    Args:
        person: address key.
        anyone: whether entries for `anyone` count.
    """
    names = (person, ANYONE) if anyone else (person,)
    given = {right for name in names for right in entries.get(name, "")}
    taken = {right for name in (person, ANYONE) for right in entries.get("-" + name, "")}
    return "".join(right for right in ALL_RIGHTS if right in given - taken)


def write(connection: sqlite3.Connection, folder_id: int, identifier: str, rights: str) -> None:
    """Sets an entry, or with "" removes it.

    Raises:
        MailboxError: LIMIT.
    """
    if not rights:
        connection.execute("DELETE FROM rights WHERE folder = ? AND identifier = ?", (folder_id, identifier))
        return
    connection.execute(
        "INSERT OR REPLACE INTO rights (folder, identifier, rights) VALUES (?, ?, ?)",
        (folder_id, identifier, "".join(right for right in ALL_RIGHTS if right in rights)),
    )
    if len(read(connection, folder_id)) > MAX_IDENTIFIERS:
        raise MailboxError("LIMIT", f"a folder can be shared with {MAX_IDENTIFIERS} others")


def inherit(connection: sqlite3.Connection, folder_id: int, name: str) -> None:
    """Gives a new folder the list of the nearest folder above it (RFC 4314 section 4, CREATE)."""
    while "/" in name:
        name = name.rpartition("/")[0]
        row = connection.execute("SELECT id FROM folders WHERE name = ?", (name,)).fetchone()
        if row is not None:
            connection.execute(
                "INSERT INTO rights (folder, identifier, rights)"
                " SELECT ?, identifier, rights FROM rights WHERE folder = ?",
                (folder_id, row[0]),
            )
            return
