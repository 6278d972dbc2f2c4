"""Puts files and rows together again: at start, on demand, and after the database was lost.

A whole file without row gets its rows again from its trailer, and is reported: at once when
it is older than the database (that one was lost), else after an hour.  A crash before the
commit leaves such files, which nobody was promised; so does a `-wal` that was removed or an
old copy of the database put back, and these were promised: nobody can tell them apart, and
twice is better than never.  A file that is not whole was never promised: quarantine.  A file
whose message came to its end is only removed.  A row without file, or whose file was
changed, is held and reported, never dropped (faults, section 2.7; Q19, F23, F40).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mailstack.delivery import rows, schema
from mailstack.delivery.queue import Queue
from mailstack.delivery.spool import Damaged, Envelope, QueuePaths, read_trailer
from mailstack.disk.durable import guarded, make_folder
from mailstack.disk.sqlite import BUSY_TIMEOUT_S
from mailstack.model.errors import TemporaryFailure

#: A file this young may still get its row.
ORPHAN_S = 3_600.0

Action = Literal["reported", "recovered", "quarantined", "removed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        name: queue id or file name.
        what: a sentence.
        action: what was done about it.
        is_alarm: an operator should look at it.
    """

    name: str
    what: str
    action: Action
    is_alarm: bool = True


def recover(
    queue: Queue, *, check_all: bool = False, repair: bool = True, adopt: bool = False
) -> list[Finding]:
    """Looks through files and rows and mends what can be mended.

    Args:
        check_all: read every file and compare its octets; else only that it is there.
        repair: False only reports.
        adopt: make rows for every whole file that has none at once, however young;
            for an operator who knows that rows were lost.

    Raises:
        TemporaryFailure: the disk or the database cannot be used.
    """
    # Files first: a row that appears meanwhile has its file, a file that vanishes had its row.
    with guarded("looking through the queue"):
        names = {entry.name for entry in os.scandir(queue.spool.messages)}
    findings = _check_rows(queue, names, check_all=check_all, repair=repair)
    known = {str(queue_id) for (queue_id,) in queue.read("SELECT id FROM message")}
    for name in sorted(names - known):
        finding = _check_file(queue, name, repair=repair, adopt=adopt)
        if finding is not None:
            findings.append(finding)
    return findings


def _check_rows(queue: Queue, names: set[str], *, check_all: bool, repair: bool) -> list[Finding]:
    findings = []
    for queue_id, size, digest, damage in queue.read("SELECT id, size_octets, sha256, damage FROM message"):
        name = str(queue_id)
        if name in names and not check_all:
            continue
        try:
            found = queue.spool.open(name, int(str(size)), str(digest))
        except TemporaryFailure as error:
            # F20: the others are looked at all the same; its attempts will say so too.
            findings.append(Finding(name, f"message {name}: {error.why}", "reported"))
            continue
        if not isinstance(found, Damaged):
            continue
        if repair and not damage and not mark_damaged(queue, name, found.why):
            continue
        if not queue.read("SELECT 1 FROM message WHERE id = ?", (name,)):
            continue  # it came to its end while we looked
        findings.append(
            Finding(name, f"message {name}: {found.why}", "quarantined" if repair else "reported")
        )
    return findings


def mark_damaged(queue: Queue, queue_id: str, why: str, *, claimed: Sequence[int] = ()) -> bool:
    """Holds a message that must not be delivered as it is, and isolates its file.

    It stays visible in the queue until an operator removes it.  Attempts under way that
    read the file before still count.

    Args:
        claimed: rows of the attempt that found the damage; it ends here.

    Returns:
        False when there is no such message (any more).
    """

    def work(connection: sqlite3.Connection) -> int:
        connection.execute("UPDATE recipient SET state = 4 WHERE message = ? AND state = 0", (queue_id,))
        connection.executemany(
            "UPDATE recipient SET state = 4, lease_owner = '', lease_until = 0"
            " WHERE number = ? AND state = 1",
            [(row,) for row in claimed],
        )
        return connection.execute(
            "UPDATE message SET damage = ?, held = 1 WHERE id = ?", (why, queue_id)
        ).rowcount

    marked = queue.write(work) > 0
    if marked:
        isolated = queue.spool.isolate(queue_id)
        if isolated is not None:
            with contextlib.suppress(OSError):
                os.utime(isolated)
    return marked


def _check_file(queue: Queue, name: str, *, repair: bool, adopt: bool) -> Finding | None:
    if queue.read("SELECT 1 FROM message WHERE id = ?", (name,)):
        return None
    path = queue.spool.path(name)
    if queue.read("SELECT 1 FROM finished WHERE id = ?", (name,)):
        if repair:
            _remove_done(queue, name)
        return Finding(name, f"file {path}: its message is done", "removed" if repair else "reported", False)
    try:
        found = read_trailer(path)
        age_s = queue.now() - path.stat().st_mtime
    except (TemporaryFailure, OSError) as error:
        return Finding(name, f"file {path}: {error}", "reported") if path.exists() else None
    if isinstance(found, Envelope) and (adopt or found.created_at < _made_at(queue)):
        return _adopt(queue, found, repair=repair)
    if age_s < ORPHAN_S:
        return None
    if isinstance(found, Envelope):
        return _adopt(queue, found, repair=repair)
    if repair:
        isolated = queue.spool.isolate(name)
        if isolated is not None:
            os.utime(isolated)
    return Finding(name, f"file {path}: {found.why}", "quarantined" if repair else "reported")


def _remove_done(queue: Queue, name: str) -> None:
    """Removes a file; one that stays is remembered for longer, or it would be sent again."""
    queue.spool.remove([name])
    if queue.spool.path(name).exists():
        now = queue.now()
        queue.write(
            lambda connection: (
                connection.execute("UPDATE finished SET at = ? WHERE id = ?", (now, name)).rowcount
            )
        )


def _adopt(queue: Queue, envelope: Envelope, *, repair: bool) -> Finding | None:
    """Makes the rows of a file again; its recipients may get the message a second time."""
    what = f"message {envelope.queue_id}: its rows were lost"
    if not repair:
        return Finding(envelope.queue_id, what, "reported")

    def work(connection: sqlite3.Connection) -> bool:
        for known in ("message", "finished"):
            if connection.execute(f"SELECT 1 FROM {known} WHERE id = ?", (envelope.queue_id,)).fetchone():  # noqa: S608
                return False
        rows.insert(connection, envelope)
        return True

    return Finding(envelope.queue_id, what, "recovered") if queue.write(work) else None


def _made_at(queue: Queue) -> float:
    found = queue.read("SELECT value FROM meta WHERE name = 'made_at'")
    return float(str(found[0][0])) if found else 0.0


def quarantined(paths: QueuePaths) -> list[Finding]:
    """What lies in quarantine."""
    try:
        names = sorted(entry.name for entry in os.scandir(paths.queue_quarantine))
    except FileNotFoundError:
        return []
    return [
        Finding(name, f"file {paths.queue_quarantine / name}: in quarantine", "reported", False)
        for name in names
    ]


def damage_of(paths: QueuePaths) -> str:
    """Why `queue.db` cannot be used any more, in words; "" when it is sound, or nobody can tell now."""
    if not paths.queue_db.exists():
        return "it is missing"
    where = f"{paths.queue_db.absolute().as_uri()}?mode=rw"
    try:
        with contextlib.closing(sqlite3.connect(where, uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError:
        return ""  # locked, or a disk in trouble: that ends, and is no reason to give rows up
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if found == "ok" else found.replace("\n", " ")


def check_database(paths: QueuePaths) -> None:
    """Refuses a damaged database before anything is read from it.

    Raises:
        TemporaryFailure: says what to do.
    """
    damage = damage_of(paths)
    if damage:
        raise TemporaryFailure(
            f"{paths.queue_db} is damaged ({damage}): stop the daemons and run"
            " 'mailstack queue verify --repair', which makes it anew from the message files"
        )


def set_database_aside(paths: QueuePaths, *, now: float) -> Path | None:
    """Moves a damaged `queue.db` to quarantine and makes a new, empty one.

    The next `recover` makes the rows again from the files.  No daemon may be running.

    Returns:
        Where the old one lies; None when there was none.

    Raises:
        TemporaryFailure: the disk cannot be used.
    """
    with guarded("setting the queue's database aside"):
        make_folder(paths.queue_quarantine)
        aside = None
        for suffix in ("", "-wal", "-shm"):
            old = paths.queue_db.with_name(paths.queue_db.name + suffix)
            if old.exists():
                new = paths.queue_quarantine / f"{paths.queue_db.name}.{int(now)}{suffix}"
                os.rename(old, new)
                aside = aside or new
    schema.migrate(paths.queue_db, now=lambda: now)
    return aside
