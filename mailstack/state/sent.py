"""What our users sent lately, out of the mail log: whether a bounce is about any of it."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from mailstack.disk.sqlite import failure, open_database
from mailstack.state.maillog_db import RETENTION_DAYS

#: Deliveries that are looked through for a recipient, of all addresses together: whoever sends a
#: "bounce" to a hundred people must not have all their mail looked through.
MAX_ROWS = 10_000
#: Entries of one Message-ID that are looked through, the oldest first: who sent it was there before
#: those who send its like a million times.
MAX_SAME = 200

_LOGINS = (
    "SELECT DISTINCT json_extract(fields, '$.login') FROM (SELECT name, fields FROM event"
    " WHERE message_id = ? AND message_id != '' ORDER BY number LIMIT ?)"
    " WHERE name = 'accepted' AND json_extract(fields, '$.login') != ''"
)


class Sent:
    """Reads the mail log; thread-safe; opened at first use."""

    def __init__(self, path: Path) -> None:
        """`path`: maillog.db."""
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def is_message(self, ids: Iterable[str]) -> bool:
        """True when one of these Message-IDs was sent by somebody who logged in.

        Raises:
            TemporaryFailure: the log cannot be read.
        """
        return any(self.logins(ids))

    def logins(self, ids: Iterable[str]) -> Iterator[str]:
        """Who logged in and sent messages with these Message-IDs.

        Raises:
            TemporaryFailure: the log cannot be read.
        """
        for id_ in ids:
            for (login,) in self._ask(_LOGINS, id_, MAX_SAME):
                yield str(login)

    def is_recipient(self, owners: Iterable[str], recipients: Iterable[str], *, now: float) -> bool:
        """True when one of these local addresses sent something to one of these recipients.

        Raises:
            TemporaryFailure: the log cannot be read.
        """
        wanted, left = {text.lower() for text in recipients}, MAX_ROWS
        for owner in owners:
            if not wanted or left <= 0:
                break
            rows = self._ask(
                "SELECT e.fields FROM owner o JOIN event e ON e.number = o.number"
                " WHERE o.address = ? AND o.direction = 'sent' AND e.at >= ? ORDER BY e.number DESC LIMIT ?",
                owner.lower(),
                now - RETENTION_DAYS * 86_400,
                left,
            )
            left -= len(rows)
            for (fields,) in rows:
                to = str(json.loads(fields).get("to", "")).lower()
                if not wanted.isdisjoint(to.split(",")):
                    return True
        return False

    def close(self) -> None:
        """Releases the database."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _ask(self, statement: str, *values: object) -> list[tuple[str]]:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = open_database(self._path, read_only=True)
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise failure(error, "reading the mail log") from error
