"""What was expunged or deleted is set aside for a while: home/expunged/<day>/.

    expunged/2026-01-31/
        index.jsonl             one line per message: where it was and how it was marked
        <base>.<folder id>      a message
        folder-<id>             a deleted folder, as it was
        folder-<id>.jsonl       its name and use, then one line per message

The lines are on the disk before a file is moved, so what lies here can be brought back
with folder, flags, keywords and internal date (`restore`).  A line too many, or one cut
short by a crash, does no harm.

A day is removed when nothing was added to it for `expunged_keep_days` of time that really
passed, by a clock that no wrong date can push on (F28): its name is only for people.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec

from mailstack.disk import durable
from mailstack.mailbox import maildir
from mailstack.mailbox.core import Core, FolderRow
from mailstack.model.errors import TemporaryFailure

PLACE = "expunged"
INDEX = "index.jsonl"
_SEEN = "seen.json"
_DOOMED_DAY = ".purged-"
#: Octets of a base name that go into the name of a file here.
_MAX_BASE = 200
_DAY_S = 86_400


#: Unix seconds that fit everywhere.
Stamp = Annotated[int, msgspec.Meta(ge=-(2**40), le=2**40)]


class Record(msgspec.Struct, omit_defaults=True):
    """One message as it was.

    Attributes:
        file: its name in the day's directory; "" inside a deleted folder.
        folder: name of the folder it was in; "" inside a deleted folder.
        base: its base name there.
        keywords: separated by spaces.
        internal_at, at: internal date, and when it was set aside; Unix seconds.
        email_id: epoch of the index and number of the message; copies share it.
        gone: it had left its folder before that was deleted, and is not to come back.
    """

    base: str
    file: str = ""
    folder: str = ""
    flags: int = 0
    keywords: str = ""
    internal_at: Stamp = 0
    at: Stamp = 0
    email_id: str = ""
    gone: bool = False


class FolderRecord(msgspec.Struct, omit_defaults=True):
    """The first line of a deleted folder's list."""

    name: str
    special_use: str = ""
    subscribed: bool = False
    at: Stamp = 0
    metadata: list[tuple[str, bytes]] = []
    rights: list[tuple[str, str]] = []


class Doomed(NamedTuple):
    """A message whose row is gone and whose file is to be set aside."""

    folder_id: int
    folder: str
    base: str
    flags: int
    keywords: str
    internal_at: int
    mid: int


def prepare(core: Core, messages: Sequence[Doomed]) -> list[Path]:
    """Writes the lines of messages that are set aside now; gives where their files go.

    Raises:
        OSError.
    """
    if not messages:
        return []
    day = _today(core)
    at = int(core.now())
    taken: set[str] = set()
    names = []
    lines = []
    for each in messages:
        name = _free(day, f"{each.base[:_MAX_BASE]}.{each.folder_id}", taken)
        taken.add(name)
        names.append(day / name)
        record = Record(
            base=each.base,
            file=name,
            folder=each.folder,
            flags=each.flags,
            keywords=each.keywords,
            internal_at=each.internal_at,
            at=at,
            email_id=f"{core.db.epoch}-{each.mid:x}",
        )
        lines.append(msgspec.json.encode(record))
    _append(day / INDEX, lines)
    return names


def put_folder(core: Core, connection: sqlite3.Connection, folder: FolderRow) -> Path:
    """Sets a folder's directory aside, with the list of its messages; gives where it is now.

    What the caller cannot finish it takes back (`put_back`).

    Raises:
        OSError.
    """
    day = _today(core)
    name = _free(day, f"folder-{folder.id}", set())
    lines = _folder_lines(core, connection, folder)
    with contextlib.suppress(FileNotFoundError):  # of a deletion that went no further
        os.unlink(day / f"{name}.jsonl")
    durable.write_synced(day / f"{name}.jsonl", (line + b"\n" for line in lines))
    os.rename(folder.path, day / name)
    try:
        durable.sync_folder(day)
    except OSError:
        put_back(day / name, folder)
        raise
    return day / name


def put_back(place: Path, folder: FolderRow) -> None:
    """Gives a folder its directory again."""
    with contextlib.suppress(OSError):
        os.rename(place, folder.path)


def _folder_lines(core: Core, connection: sqlite3.Connection, folder: FolderRow) -> Iterable[bytes]:
    at = int(core.now())
    yield msgspec.json.encode(
        FolderRecord(
            name=folder.name,
            special_use=folder.special_use,
            subscribed=_one(connection, "SELECT 1 FROM subscriptions WHERE name = ?", folder.name),
            at=at,
            metadata=_pairs(connection, "SELECT entry, value FROM metadata WHERE folder = ?", folder.id),
            rights=_pairs(connection, "SELECT identifier, rights FROM rights WHERE folder = ?", folder.id),
        )
    )
    found = connection.execute(
        "SELECT base, flags, keywords, internal_at, mid, 0 FROM messages WHERE folder = ? UNION ALL"
        " SELECT base, flags, keywords, internal_at, mid, keep = 0 FROM doomed WHERE folder = ?",
        (folder.id, folder.id),
    )
    for base, flags, keywords, internal_at, mid, gone in found:
        yield msgspec.json.encode(
            Record(
                base=base,
                flags=flags,
                keywords=keywords,
                internal_at=internal_at,
                at=at,
                email_id=f"{core.db.epoch}-{mid:x}",
                gone=bool(gone),
            )
        )


def _one(connection: sqlite3.Connection, query: str, *values: object) -> bool:
    return connection.execute(query, values).fetchone() is not None


def _pairs(connection: sqlite3.Connection, query: str, folder_id: int) -> list[tuple[str, Any]]:
    return list(connection.execute(query, (folder_id,)))


def _today(core: Core) -> Path:
    day = datetime.fromtimestamp(max(core.now(), 0), UTC).strftime("%Y-%m-%d")
    folder = core.home / PLACE / day
    if not folder.is_dir():
        durable.make_folder(folder)
    return folder


def _free(day: Path, name: str, taken: set[str]) -> str:
    found, number = name, 0
    while found in taken or os.path.lexists(day / found):
        number += 1
        found = f"{name}.{number}"
    return found


def _append(path: Path, lines: Iterable[bytes]) -> None:
    """Adds lines, synced; a line somebody's crash left open is ended first."""
    fresh = not path.exists()
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        durable.write_all(fd, b"\n" + b"".join(line + b"\n" for line in lines))
        os.fsync(fd)
    finally:
        os.close(fd)
    if fresh:
        durable.sync_folder(path.parent)


def days(home: Path) -> list[Path]:
    """The directories of what was set aside, oldest name first; no symbolic links."""
    place = home / PLACE
    try:
        names = sorted(os.listdir(place))
    except FileNotFoundError:
        return []
    return [place / name for name in names if name[0] != "." and maildir.is_directory(place / name)]


class Ages(msgspec.Struct):
    """What was seen of the days.

    Attributes:
        days: the directory's time (ns) when it was last seen to change, and when that was.
        clock: by which clock; a mailbox may have come from another machine.
    """

    days: dict[str, tuple[int, float]] = {}
    clock: str = ""


def purge(home: Path, *, keep_days: int, elapsed_s: float, clock: str = "") -> list[str]:
    """Removes the days whose time is over; gives their names.

    Args:
        elapsed_s: seconds of a clock that only time pushes on.
        clock: names that clock.

    Raises:
        TemporaryFailure: disk in trouble.
    """
    gone: list[str] = []
    with durable.guarded(f"removing expunged messages of {maildir.address_of(home)}"):
        _sweep(home)
        known = _read_ages(home, clock)
        fresh: dict[str, tuple[int, float]] = {}
        for day in days(home):
            changed_ns = os.stat(day).st_mtime_ns
            seen = known.get(day.name)
            if seen is None or seen[0] != changed_ns:
                seen = (changed_ns, elapsed_s)
            if elapsed_s - seen[1] >= keep_days * _DAY_S and _remove(day, changed_ns):
                gone.append(day.name)
            else:
                fresh[day.name] = seen
        if fresh != known:
            durable.replace_text(home / PLACE / _SEEN, msgspec.json.encode(Ages(fresh, clock)).decode())
    return gone


def _read_ages(home: Path, clock: str) -> dict[str, tuple[int, float]]:
    try:
        ages = msgspec.json.decode((home / PLACE / _SEEN).read_bytes(), type=Ages)
    except (OSError, msgspec.MsgspecError):
        return {}
    return ages.days if ages.clock == clock else {}


def _remove(day: Path, changed_ns: int) -> bool:
    """False when something was put into it at this very moment."""
    doomed = day.with_name(f"{_DOOMED_DAY}{day.name}")
    os.rename(day, doomed)
    if os.stat(doomed).st_mtime_ns != changed_ns:
        os.rename(doomed, day)
        return False
    shutil.rmtree(doomed)
    return True


def _sweep(home: Path) -> None:
    """Finishes a removal that was cut short."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(home / PLACE):
            if name.startswith(_DOOMED_DAY):
                shutil.rmtree(home / PLACE / name)


def read_lines(path: Path) -> list[bytes]:
    """The lines of a list; none when it is not there.

    Raises:
        TemporaryFailure: it cannot be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise TemporaryFailure(f"reading {path}: {error.strerror}") from error
    with open(fd, "rb") as file:
        return file.read().split(b"\n")


def read_records(lines: Iterable[bytes]) -> list[Record]:
    """The messages of a list; lines that are none of ours are left out."""
    found = []
    for line in lines:
        with contextlib.suppress(msgspec.MsgspecError):
            found.append(msgspec.json.decode(line, type=Record))
    return found


def read_folder(lines: Sequence[bytes]) -> FolderRecord | None:
    """The folder of a deleted folder's list."""
    with contextlib.suppress(msgspec.MsgspecError, IndexError):
        return msgspec.json.decode(lines[0], type=FolderRecord)
    return None
