"""What rules ask about an account's folders: read only, by a process that opens no mailbox.

Before the first message there is no database yet; then the default folders are what will be.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from mailstack.disk.sqlite import open_database
from mailstack.mailbox import maildir, metadata, threads
from mailstack.model.address import Address
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import DEFAULT_FOLDERS

#: Whoever writes holds the database for milliseconds; mail does not wait for more.
_TIMEOUT_S = 1.0
#: Sent messages, the newest, that are looked through for a thread: half a millisecond.
MAX_SENT = 500


class FolderFacts:
    """One account's; what cannot be read is not there."""

    def __init__(self, root: Path, address: Address) -> None:
        """`root`: of the account homes."""
        self._root, self._address = root, address
        self._connection: sqlite3.Connection | None = None

    def exists(self, name: str) -> bool:
        """True when messages can be stored in it."""
        return self._name("name = ?", _canonical(name)) is not None or self._is_default(name)

    def create(self, name: str) -> bool:
        """Nothing is made here: whoever stores the message makes the folder."""
        return self.exists(name)

    def special_use(self, name: str) -> Sequence[str]:
        """RFC 6154 attributes of a folder; of all folders for ""."""
        rows = self._rows(
            "SELECT special_use FROM folders WHERE special_use != '' AND (?1 = '' OR name = ?1)",
            _canonical(name),
        )
        if rows is None:
            return [use for folder, use in DEFAULT_FOLDERS if use and name in ("", folder)]
        return [str(use) for (use,) in rows]

    def get_metadata(self, name: str, entry: str) -> str | None:
        """An annotation of a folder; of the account itself for ""."""
        folder_id = 0
        if name:
            rows = self._rows("SELECT id FROM folders WHERE name = ?", _canonical(name))
            if not rows:
                return None
            folder_id = int(str(rows[0][0]))
        try:
            connection = self._open()
            values = {} if connection is None else metadata.read(connection, folder_id)
        except (sqlite3.Error, TemporaryFailure):
            return None
        found = next((value for key, value in values.items() if key.lower() == entry.lower()), None)
        return None if found is None else found.decode("utf-8", "replace")

    def by_id(self, id_: str) -> str | None:
        """The name of the folder with an id (RFC 8474)."""
        return self._name("object_id = ?", id_)

    def by_use(self, use: str) -> str | None:
        """The name of the folder with an attribute."""
        found = self._name("special_use = ? COLLATE NOCASE", use)
        if found is None and self._rows("SELECT 1 FROM folders LIMIT 1") is None:
            return next((name for name, one in DEFAULT_FOLDERS if one.lower() == use.lower()), None)
        return found

    def takes_part(self, message_ids: Sequence[str]) -> bool:
        """True when a sent message is in a thread with one of these.

        Args:
            message_ids: with their angle brackets.
        """
        hashes = [threads.hash_of(id_.strip("<>").encode("utf-8", "replace")) for id_ in message_ids]
        marks = ", ".join("?" * len(hashes))
        known = self._rows(f"SELECT DISTINCT thread FROM threads WHERE id IN ({marks})", *hashes)  # noqa: S608
        if not known:
            return False
        recent = (
            "SELECT thread FROM messages WHERE folder = (SELECT id FROM folders WHERE special_use = '\\Sent')"
            " ORDER BY uid DESC LIMIT ?"
        )
        found = self._rows(f"SELECT DISTINCT thread FROM ({recent})", MAX_SENT)  # noqa: S608
        return found is not None and not set(known).isdisjoint(found)

    def close(self) -> None:
        """Releases the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _is_default(self, name: str) -> bool:
        known = self._rows("SELECT 1 FROM folders LIMIT 1")
        return known is None and _canonical(name) in {folder for folder, _ in DEFAULT_FOLDERS}

    def _name(self, condition: str, value: str) -> str | None:
        rows = self._rows(f"SELECT name FROM folders WHERE {condition}", value)  # noqa: S608
        return str(rows[0][0]) if rows else None

    def _rows(self, statement: str, *values: str | int) -> list[tuple[object, ...]] | None:
        try:
            connection = self._open()
            return None if connection is None else connection.execute(statement, values).fetchall()
        except (sqlite3.Error, TemporaryFailure):
            return None

    def _open(self) -> sqlite3.Connection | None:
        if self._connection is not None:
            return self._connection
        path = maildir.account_home(self._root, self._address) / "account.db"
        if path.exists():
            try:
                self._connection = open_database(path, read_only=True, timeout_s=_TIMEOUT_S)
                self._connection.execute("SELECT 1 FROM folders LIMIT 1")
            except (sqlite3.Error, TemporaryFailure):
                self.close()
                # Where the disk is read-only to us, SQLite opens what nobody else has open only like this.
                uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
                self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        return self._connection


def _canonical(name: str) -> str:
    first, slash, rest = name.partition("/")
    return f"INBOX{slash}{rest}" if first.upper() == "INBOX" else name
