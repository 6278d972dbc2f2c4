"""search.db: the folded texts of messages, and which three characters are in which.

A needle's trigrams give the candidates (FTS5), the texts beside them decide; so an answer
is exact, and needles too short for a trigram are answered from the texts.  New texts
come in first and their trigrams later, many at a time, which is ten times cheaper; those
few are always candidates.  Why so: docs/decisions/0006-full-text-index.md.

Rows are kept by mid, which copies share.  Everything can be made again from the files.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mailstack.mailbox.disposable import Disposable
from mailstack.mailbox.schema import SEARCH_SCRIPT, SEARCH_VERSION
from mailstack.mime import searchable
from mailstack.mime.searchable import SEPARATOR, SearchText
from mailstack.model.mailbox import Needle

#: Decoded octets and folded characters of one message's body that are kept.
MAX_DECODED_OCTETS = 1024 * 1024
MAX_CHARACTERS = 256 * 1024
#: Octets of a message's file that are read.
MAX_READ_OCTETS = 64 * 1024 * 1024
#: Texts that may wait until their trigrams are made.
FRESH = 256
#: Trigrams of a needle that are looked up; the texts decide anyway.
_TRIGRAMS = 24
_CHUNK = 2_000
_CACHE_KIB = 2_048
_COLUMNS = {"from": "sender", "to": "recipients", "cc": "cc", "bcc": "bcc", "subject": "subject"}


class Entry(NamedTuple):
    """One message; `text` None: it cannot be read, so nothing is known of it."""

    mid: int
    text: SearchText | None


class Hits(NamedTuple):
    """Mids that hold a needle, and those of which it is not known."""

    found: set[int]
    unsure: set[int]


def make_entry(mid: int, data: bytes, *, whole: bool) -> Entry:
    """What is kept of one message; never fails.

    Args:
        whole: False: `data` is only its beginning.
    """
    text = searchable.read(data, limit=MAX_DECODED_OCTETS)
    complete = text.complete and whole and len(text.body) <= MAX_CHARACTERS
    return Entry(mid, text._replace(body=text.body[:MAX_CHARACTERS], complete=complete))


class TextIndex:
    """The index of one account; safe to use from any thread.

    Nothing here is needed: one that cannot be used knows nothing, and one that is damaged
    is thrown away.  Reading and writing have connections of their own: nobody who
    searches waits for a merge.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / "search.db"
        self._reader = self._disposable()
        self._writer = self._disposable()

    def _disposable(self) -> Disposable:
        return Disposable(self.path, script=SEARCH_SCRIPT, version=SEARCH_VERSION, cache_kib=_CACHE_KIB)

    def reached(self, epoch: str) -> dict[int, int]:
        """By folder: all UIDs below have been dealt with."""
        found: dict[int, int] = {}
        with self._reader.using(epoch) as connection:
            if connection is not None:
                found.update(connection.execute("SELECT folder, uid FROM reached"))
        return found

    def known(self, epoch: str, mids: Iterable[int]) -> set[int]:
        """Those of the mids that have a row."""
        found: set[int] = set()
        with self._reader.using(epoch) as connection:
            if connection is not None:
                found = _known(connection, mids)
        return found

    def mids(self, epoch: str) -> set[int] | None:
        """Every mid that has a row; None: there is trouble."""
        found: set[int] | None = None
        with self._reader.using(epoch) as connection:
            if connection is not None:
                found = {mid for (mid,) in connection.execute("SELECT mid FROM heads")}
        return found

    def unreadable(self, epoch: str) -> list[int]:
        """Mids of messages that could not be read."""
        found: list[int] = []
        with self._reader.using(epoch) as connection:
            if connection is not None:
                rows = connection.execute("SELECT mid FROM texts WHERE whole = 0 AND header IS NULL")
                found = [mid for (mid,) in rows]
        return found

    def put(self, epoch: str, entries: Sequence[Entry], folder_id: int, reached: int) -> bool:
        """Keeps texts, and notes that a folder's UIDs below `reached` are dealt with.

        Returns:
            False when there was trouble: nothing is kept.
        """

        def work(connection: sqlite3.Connection) -> None:
            known = _known(connection, [entry.mid for entry in entries])
            _insert(connection, [entry for entry in entries if entry.mid not in known])
            connection.execute(_REACH, (folder_id, reached))
            ((waiting,),) = connection.execute("SELECT count(*) FROM fresh")
            if waiting >= FRESH:
                _merge(connection)

        return self._writer.change(epoch, work)

    def go_back(self, epoch: str, reached: dict[int, int]) -> None:
        """Folders whose UIDs from a number on must be looked at again."""
        self._writer.change(
            epoch,
            lambda connection: connection.executemany(
                "UPDATE reached SET uid = min(uid, ?) WHERE folder = ?",
                [(uid, folder_id) for folder_id, uid in reached.items()],
            ),
        )

    def forget(self, epoch: str, mids: Sequence[int]) -> None:
        """Removes what is known of messages that are gone."""
        if not mids or not self.path.exists():
            return

        def work(connection: sqlite3.Connection) -> None:
            for mid in sorted(mids):
                row = connection.execute("SELECT header, body FROM texts WHERE mid = ?", (mid,)).fetchone()
                fresh = connection.execute("DELETE FROM fresh WHERE mid = ?", (mid,)).rowcount
                if row is not None and row[0] is not None and not fresh:
                    connection.execute(
                        "INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)", (mid, _joined(*row))
                    )
                connection.execute("DELETE FROM texts WHERE mid = ?", (mid,))
                connection.execute("DELETE FROM heads WHERE mid = ?", (mid,))

        self._writer.change(epoch, work)

    def find(self, epoch: str, needle: Needle, among: set[int]) -> Hits:
        """Where a needle is, among these mids; those without a row are unsure."""
        hits: Hits | None = None
        with self._reader.using(epoch) as connection:
            if connection is not None:
                connection.execute("BEGIN")
                hits = _find(connection, needle, among)
                connection.execute("COMMIT")
        return hits if hits is not None else Hits(set(), set(among))

    def remove(self) -> None:
        """Throws the index away."""
        self._reader.close()
        self._writer.remove()

    def close(self, *, wait: bool = True) -> None:
        """Closes the connections; with `wait` False not while somebody uses them."""
        self._reader.close(wait=wait)
        self._writer.close(wait=wait)


_REACH = "INSERT INTO reached VALUES (?, ?) ON CONFLICT (folder) DO UPDATE SET uid = max(uid, excluded.uid)"


def _known(connection: sqlite3.Connection, mids: Iterable[int]) -> set[int]:
    query = "SELECT h.mid FROM json_each(?) j JOIN heads h ON h.mid = j.value"
    return {mid for chunk in _chunks(mids) for (mid,) in connection.execute(query, (chunk,))}


def _insert(connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    heads: list[tuple[object, ...]] = []
    texts: list[tuple[object, ...]] = []
    for mid, text in entries:
        if text is None:
            heads.append((mid, *[None] * 5))
            texts.append((mid, 0, None, None))
            continue
        values = (text.sender, text.to, text.cc, text.bcc, text.subject)
        heads.append((mid, *(value.encode() for value in values)))
        texts.append((mid, int(text.complete), text.header.encode(), text.body.encode()))
    connection.executemany("INSERT INTO heads VALUES (?, ?, ?, ?, ?, ?)", heads)
    connection.executemany("INSERT INTO texts VALUES (?, ?, ?, ?)", texts)
    connection.executemany(
        "INSERT INTO fresh VALUES (?)", [(mid,) for mid, text in entries if text is not None]
    )


def _joined(header: bytes, body: bytes) -> str:
    return header.decode() + SEPARATOR + body.decode()


def _merge(connection: sqlite3.Connection) -> None:
    """Makes the trigrams of the texts that wait; by ascending mid, or FTS5 flushes each time."""
    rows = connection.execute(
        "SELECT t.mid, t.header, t.body FROM fresh f JOIN texts t ON t.mid = f.mid ORDER BY f.mid"
    ).fetchall()
    connection.executemany(
        "INSERT INTO words (rowid, text) VALUES (?, ?)",
        ((mid, _joined(header, body)) for mid, header, body in rows),
    )
    connection.execute("DELETE FROM fresh")


def _find(connection: sqlite3.Connection, needle: Needle, among: set[int]) -> Hits:
    octets = needle.text.encode()
    column = _COLUMNS.get(needle.part)
    if column is not None:
        return _find_head(connection, column, octets, among)
    names = [name for name in ("body", "header") if needle.part in (name, "text")]
    holds = " OR ".join(f"instr({name}, ?) > 0" for name in names)
    query = f"SELECT t.mid FROM json_each(?) j JOIN texts t ON t.mid = j.value WHERE {holds}"  # noqa: S608
    found: set[int] = set()
    for chunk in _chunks(_candidates(connection, needle.text, among)):
        found.update(mid for (mid,) in connection.execute(query, (chunk, *[octets] * len(names))))
    known = {mid for (mid,) in connection.execute("SELECT mid FROM heads")}
    vague = "SELECT mid FROM texts WHERE whole = 0"
    if needle.part == "header":
        vague += " AND header IS NULL"
    known.difference_update(mid for (mid,) in connection.execute(vague))
    return Hits(found, among - known - found)


def _candidates(connection: sqlite3.Connection, text: str, among: set[int]) -> set[int]:
    if len(text) < 3:
        return among
    out: set[int] = set()
    for query, values in (
        ("SELECT rowid FROM words WHERE words MATCH ?", (_query(text),)),
        ("SELECT mid FROM fresh", ()),
    ):
        out.update(mid for (mid,) in connection.execute(query, values) if mid in among)
    return out


def _find_head(connection: sqlite3.Connection, column: str, octets: bytes, among: set[int]) -> Hits:
    found: set[int] = set()
    known: set[int] = set()
    rows = connection.execute(f"SELECT mid, instr({column}, ?) FROM heads", (octets,))  # noqa: S608
    for mid, at in rows:
        if at is not None:
            known.add(mid)
            if at:
                found.add(mid)
    return Hits(found & among, among - known)


def _query(text: str) -> str:
    """Trigrams spread over the needle, in FTS5's query language."""
    trigrams = list(dict.fromkeys(text[at : at + 3] for at in range(len(text) - 2)))
    step = -(-len(trigrams) // _TRIGRAMS)
    return " AND ".join('"' + trigram.replace('"', '""') + '"' for trigram in trigrams[::step])


def _chunks(mids: Iterable[int]) -> Iterator[str]:
    ordered = sorted(mids)
    for start in range(0, len(ordered), _CHUNK):
        yield json.dumps(ordered[start : start + _CHUNK])
