"""cache.db: ready-made FETCH texts, which can be made again at any time.

Texts are kept by message id (`mid`), which copies share and which is never given out
twice, so a row can be missing but never wrong.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mailstack.mailbox.disposable import Disposable
from mailstack.mailbox.schema import CACHE_SCRIPT, CACHE_VERSION
from mailstack.mime import structure
from mailstack.mime.preview import preview
from mailstack.model.mailbox import MessageTexts

#: More wanted rows than this part of a range: the whole range is read at once.
_DENSE = 4
_CHUNK = 500


def make_texts(data: bytes) -> MessageTexts:
    """The texts of one message; never fails."""
    found = structure.describe(data)
    return MessageTexts(
        envelope=found.envelope,
        body=found.body,
        bodystructure=found.bodystructure,
        header_octets=found.header_octets,
        preview=preview(data, found.message),
    )


class Cache:
    """The cache of one account; safe to use from any thread.

    Nothing here is needed: a cache that cannot be used answers with nothing, and one
    that is damaged is thrown away.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / "cache.db"
        self._database = Disposable(self.path, script=CACHE_SCRIPT, version=CACHE_VERSION)
        self.remove = self._database.remove
        self.close = self._database.close

    def get(self, epoch: str, mids: Sequence[int]) -> dict[int, MessageTexts]:
        """The texts that are there, by mid."""
        found: dict[int, MessageTexts] = {}
        with self._database.using(epoch) as connection:
            if connection is not None:
                for row in _select(connection, mids):
                    found[row[0]] = MessageTexts(row[2], row[3], row[4], row[1], row[5])
        return found

    def put(self, epoch: str, texts: Iterable[tuple[int, MessageTexts]]) -> None:
        """Keeps texts, in one transaction."""
        rows = [(mid, t.header_octets, t.envelope, t.body, t.bodystructure, t.preview) for mid, t in texts]
        if rows:
            insert = "INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?, ?, ?)"
            self._database.change(epoch, lambda connection: connection.executemany(insert, rows))

    def forget(self, epoch: str, mids: Sequence[int]) -> None:
        """Removes the texts of messages that are gone."""
        if mids:
            gone = [(mid,) for mid in mids]
            self._database.change(
                epoch, lambda connection: connection.executemany("DELETE FROM texts WHERE mid = ?", gone)
            )

    def mids(self, epoch: str) -> list[int]:
        """Every mid it has texts for."""
        found: list[int] = []
        with self._database.using(epoch) as connection:
            if connection is not None:
                found = [row[0] for row in connection.execute("SELECT mid FROM texts")]
        return found


def _select(
    connection: sqlite3.Connection, mids: Sequence[int]
) -> Iterator[tuple[int, int, bytes, bytes, bytes, str]]:
    columns = "SELECT mid, header_octets, envelope, body, bodystructure, preview FROM texts WHERE mid"
    if len(mids) > _DENSE and max(mids) - min(mids) < len(mids) * _DENSE:
        wanted = set(mids)
        rows = connection.execute(f"{columns} BETWEEN ? AND ?", (min(mids), max(mids)))
        yield from (row for row in rows if row[0] in wanted)
        return
    for start in range(0, len(mids), _CHUNK):
        chunk = mids[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        yield from connection.execute(f"{columns} IN ({marks})", chunk)
