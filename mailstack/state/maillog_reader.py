"""Reads the mail log back: by address, by message, by whom it refused."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mailstack.disk.sqlite import failure, open_database
from mailstack.state.maillog_db import Event


class MailLogReader:
    """Reads the log back for `mailstack log`.

    Every method raises TemporaryFailure when the log cannot be read.
    """

    def __init__(self, path: Path) -> None:
        """Opens read-only; TemporaryFailure when there is no log yet."""
        self._connection = open_database(path, read_only=True)

    def of_address(
        self,
        address: str,
        *,
        direction: str = "",
        since: float = 0.0,
        until: float = 1e18,
        limit: int = 10_000,
    ) -> list[Event]:
        """Events of an address, oldest first.  `direction`: "sent", "received" or "" for both."""
        rows = self._rows(
            "SELECT DISTINCT e.at, e.daemon, e.name, e.id, e.fields, e.number FROM owner o JOIN event e"
            " ON e.number = o.number WHERE o.address = ? AND (? = '' OR o.direction = ?)"
            " AND e.at >= ? AND e.at <= ? ORDER BY e.number DESC LIMIT ?",
            (address.lower(), direction, direction, since, until, limit),
        )
        return [_event(row) for row in reversed(rows)]

    def protocols(self, address: str) -> set[str]:
        """By what somebody logged in as this address, in the days the log keeps."""
        rows = self._rows(
            "SELECT DISTINCT json_extract(e.fields, '$.protocol') FROM owner o JOIN event e"
            " ON e.number = o.number WHERE o.address = ? AND o.direction = 'received'"
            " AND e.name = 'login'",
            (address.lower(),),
        )
        return {str(protocol) for (protocol,) in rows}

    def refusals(self, name: str, *, limit: int = 20) -> list[Event]:
        """The last refusals of a client (IP address), login, sender or recipient, oldest first."""
        rows = self._rows(
            "SELECT e.at, e.daemon, e.name, e.id, e.fields FROM owner o JOIN event e ON e.number = o.number"
            " WHERE o.address = ? AND o.direction = 'refused' ORDER BY o.number DESC LIMIT ?",
            (name.lower(), limit),
        )
        return [_event(row) for row in reversed(rows)]

    def explain(self, id_: str) -> list[Event]:
        """Every event of one message: by accept id, queue id or `<Message-ID>`, oldest first.

        Queue ids and accept ids that belong together are followed in both directions.
        """
        ids = {id_}
        rows: dict[int, tuple[Any, ...]] = {}
        if id_.startswith("<"):
            found = self._rows(
                "SELECT at, daemon, name, id, fields, number FROM event WHERE message_id = ?", (id_,)
            )
            rows = {row[5]: row for row in found}
            ids = {row[3] for row in found}
        ids.discard("")  # of what belongs to no message, or to one in a mailbox: logins, lessons
        todo = set(ids)
        while todo:
            wanted = todo.pop()
            for row in self._rows(
                "SELECT at, daemon, name, id, fields, number FROM event WHERE id = ?"
                " UNION SELECT at, daemon, name, id, fields, number FROM event"
                " WHERE accept_id != '' AND accept_id = ?",
                (wanted, wanted),
            ):
                rows[row[5]] = row
                fields = json.loads(row[4])
                for other in (row[3], fields.get("accept_id"), fields.get("queue_id")):
                    if other and other not in ids:
                        ids.add(other)
                        todo.add(other)
        return [_event(rows[number]) for number in sorted(rows)]

    def _rows(self, sql: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise failure(error, "reading the mail log") from error

    def close(self) -> None:
        """Releases the database."""
        self._connection.close()


def _event(row: Sequence[object]) -> Event:
    at, daemon, name, id_, fields = row[:5]
    return Event(float(str(at)), str(daemon), str(name), str(id_), json.loads(str(fields)))
