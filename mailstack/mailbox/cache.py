"""cache.db: ready-made FETCH texts, sort fields and headers, which can be made again at any time.

Everything is kept by message id (`mid`), which copies share and which is never given out
twice, so a row can be missing but never wrong.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mailstack.mailbox.disposable import Disposable
from mailstack.mailbox.schema import CACHE_SCRIPT, CACHE_VERSION
from mailstack.mime import heads, packing, structure
from mailstack.mime.header import Headers
from mailstack.mime.preview import preview
from mailstack.mime.summary import summarise
from mailstack.model.mailbox import MessageFields, MessageTexts

#: `sent_at` of a message without a date: INTERNALDATE stands in for it.
NO_DATE = -(1 << 62)
#: Of larger messages the places of their parts are kept.
LARGE_OCTETS = 256 * 1024
#: More wanted rows than this part of a range: the whole range is read at once.
_DENSE = 4
_CHUNK = 500
_TABLES = ("texts", "fields", "headers")


class Head(NamedTuple):
    """What comes from a message's header.

    Attributes:
        fields: `sent_at` is NO_DATE when the header has none.
        block: see `mime.heads.keep`.
    """

    fields: MessageFields
    block: bytes | None


def make_texts(data: bytes) -> MessageTexts:
    """The texts of one message; never fails."""
    found = structure.describe(data)
    return MessageTexts(
        envelope=found.envelope,
        body=found.body,
        bodystructure=found.bodystructure,
        header_octets=found.header_octets,
        preview=preview(data, found.message),
        parts=packing.pack(found.message) if len(data) > LARGE_OCTETS else b"",
    )


def make_head(block: bytes) -> Head:
    """What comes from a header block; never fails."""
    headers = Headers.parse(block)
    return Head(summarise(headers, NO_DATE), heads.keep(headers))


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
        rows = self._select(epoch, _TEXTS, mids)
        return {row[0]: MessageTexts(row[1], row[2], row[3], row[4], row[5], row[6]) for row in rows}

    def known(self, epoch: str, mids: Sequence[int]) -> set[int]:
        """Those of the mids whose texts are there."""
        return {row[0] for row in self._select(epoch, "SELECT mid FROM texts WHERE mid", mids)}

    def fields(self, epoch: str, mids: Sequence[int]) -> dict[int, MessageFields]:
        """The sort fields that are there, by mid."""
        return {row[0]: _fields(row) for row in self._select(epoch, _FIELDS, mids)}

    def headers(self, epoch: str, mids: Sequence[int]) -> dict[int, bytes | None]:
        """The kept header fields that are there, by mid; None: they are too large."""
        return dict(self._select(epoch, "SELECT mid, block FROM headers WHERE mid", mids))

    def put(self, epoch: str, texts: Sequence[tuple[int, MessageTexts]]) -> None:
        """Keeps texts, in one transaction."""
        if texts:
            self._database.change(epoch, lambda connection: _put_texts(connection, texts))

    def put_heads(self, epoch: str, new: Sequence[tuple[int, Head]]) -> None:
        """Keeps fields and headers, in one transaction."""
        if new:
            self._database.change(epoch, lambda connection: _put_heads(connection, new))

    def put_all(self, epoch: str, new: Sequence[tuple[int, MessageTexts, Head]]) -> None:
        """Keeps everything there is of new messages, in one transaction."""

        def work(connection: sqlite3.Connection) -> None:
            _put_texts(connection, [(mid, texts) for mid, texts, _ in new])
            _put_heads(connection, [(mid, head) for mid, _, head in new])

        self._database.change(epoch, work)

    def forget(self, epoch: str, mids: Sequence[int]) -> None:
        """Removes what is kept of messages that are gone."""
        gone = [(mid,) for mid in mids]

        def work(connection: sqlite3.Connection) -> None:
            for table in _TABLES:
                connection.executemany(f"DELETE FROM {table} WHERE mid = ?", gone)  # noqa: S608

        if gone and self.path.exists():
            self._database.change(epoch, work)

    def mids(self, epoch: str) -> list[int]:
        """Every mid it has something for."""
        found: list[int] = []
        query = " UNION ".join(f"SELECT mid FROM {table}" for table in _TABLES)  # noqa: S608
        with self._database.using(epoch) as connection:
            if connection is not None:
                found = [row[0] for row in connection.execute(query)]
        return found

    def _select(self, epoch: str, query: str, mids: Sequence[int]) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        with self._database.using(epoch) as connection:
            if connection is not None:
                found = list(_select(connection, query, mids))
        return found


_TEXTS = "SELECT mid, envelope, body, bodystructure, header_octets, preview, parts FROM texts WHERE mid"
_FIELDS = (
    "SELECT mid, sent_at, sent_day, subject, from_mailbox, to_mailbox, cc_mailbox, from_display,"
    " to_display, message_id, refs, base_subject, is_reply FROM fields WHERE mid"
)


def _fields(row: tuple[Any, ...]) -> MessageFields:
    references = tuple(row[10].split("\n")) if row[10] else ()
    return MessageFields(
        row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], row[9],
        references, row[11], row[12] == 1,
    )  # fmt: skip


def _put_texts(connection: sqlite3.Connection, texts: Sequence[tuple[int, MessageTexts]]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(mid, t.header_octets, t.envelope, t.body, t.bodystructure, t.preview, t.parts) for mid, t in texts],
    )


def _put_heads(connection: sqlite3.Connection, new: Sequence[tuple[int, Head]]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO fields VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (mid, f.sent_at, f.sent_day, f.subject, f.from_mailbox, f.to_mailbox, f.cc_mailbox,
             f.from_display, f.to_display, f.message_id, "\n".join(f.references), f.base_subject, f.is_reply)
            for mid, (f, _) in new
        ],
    )  # fmt: skip
    connection.executemany(
        "INSERT OR REPLACE INTO headers VALUES (?, ?)", [(mid, block) for mid, (_, block) in new]
    )


def _select(connection: sqlite3.Connection, query: str, mids: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """Rows of these mids; `query` ends with "WHERE mid"."""
    if len(mids) > _DENSE and max(mids) - min(mids) < len(mids) * _DENSE:
        wanted = set(mids)
        rows = connection.execute(f"{query} BETWEEN ? AND ?", (min(mids), max(mids)))
        yield from (row for row in rows if row[0] in wanted)
        return
    for start in range(0, len(mids), _CHUNK):
        chunk = mids[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        yield from connection.execute(f"{query} IN ({marks})", chunk)
