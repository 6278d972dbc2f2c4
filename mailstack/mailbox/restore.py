"""Brings back what was expunged or deleted, from home/expunged.

A message comes back into the folder it was in, with its flags, keywords and internal
date; the folder is made again when it is gone.  The file gets a second name in the
folder, the row is committed, and only then the first name goes: after a crash nothing is
lost, and a second run finds what is there already.  A message of which the account still
has a copy in some folder is left alone.

Quota is not asked: whoever restores wants it back.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mailstack.disk import durable
from mailstack.mailbox import aside, files, folders, maildir, messages
from mailstack.mailbox.account import take_uids
from mailstack.mailbox.aside import FolderRecord, Record
from mailstack.mailbox.core import Core, FolderRow, first_place, new_mid
from mailstack.mailbox.scan import INSERT, is_message_name
from mailstack.mailbox.store import MailStore
from mailstack.mime.encoding import decode_words
from mailstack.mime.header import Headers
from mailstack.model.address import Address
from mailstack.model.mailbox import MailboxError

#: Messages brought back in one transaction.
BATCH = 200
_HEADER_OCTETS = 64 * 1024
_HEX = re.compile(r"[0-9a-f]{1,15}\Z")


@dataclass(frozen=True, slots=True)
class Kept:
    """A message that was set aside.

    Attributes:
        path: its file now.
        folder: the folder it was in.
        at: when it was set aside, Unix seconds; 0 when nobody wrote it down.
        of: the deleted folder it was in; None when it was expunged by itself.
    """

    path: Path
    folder: str
    record: Record
    at: int
    of: Path | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for.

    Attributes:
        folder: only what was in this folder; "" for any.
        since: only what was set aside at or after this time; Unix seconds.
        message_ids: only messages with one of these, with or without <>; empty for any.
    """

    folder: str = ""
    since: float = 0.0
    message_ids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of one message.

    Attributes:
        outcome: "restored"; "there" when the account has it still; "unreadable".
    """

    folder: str
    subject: str
    message_id: str
    removed_at: int
    outcome: str


class Head(NamedTuple):
    """What people know a message by."""

    subject: str
    sender: str
    message_id: str


def find(store: MailStore, address: Address, wanted: Wanted) -> list[Kept]:
    """What was set aside and is wanted, oldest first.

    Raises:
        PermanentFailure: 1.1, there is no such mailbox.
        TemporaryFailure: it cannot be read.
    """
    core = store.existing(address).core
    core.worker.flush(core)
    found = [kept for day in aside.days(core.home) for kept in _of_day(core, day)]
    ids = {each.strip().strip("<>") for each in wanted.message_ids}
    chosen = [
        kept
        for kept in found
        if (not wanted.folder or kept.folder == wanted.folder)
        and kept.at >= wanted.since
        and (not ids or head(kept).message_id.strip("<>") in ids)
    ]
    return sorted(chosen, key=lambda kept: (kept.at, kept.folder, kept.record.internal_at))


def head(kept: Kept) -> Head:
    """What its header says; empty words when it cannot be read."""
    try:
        fd = os.open(kept.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return Head("", "", "")
    with open(fd, "rb") as file, contextlib.suppress(OSError):
        headers = Headers.parse(file.read(_HEADER_OCTETS))
        subject, sender = (decode_words(headers.first(name) or b"").strip() for name in ("subject", "from"))
        identity = (headers.first("message-id") or b"").decode("utf-8", "replace").strip()
        return Head(subject, sender, identity)
    return Head("", "", "")


def restore(store: MailStore, address: Address, chosen: Sequence[Kept]) -> list[Restored]:
    """Brings messages back; gives what became of each.

    Raises:
        PermanentFailure: 1.1, there is no such mailbox.
        TemporaryFailure: disk or database in trouble; what is back stays back.
    """
    core = store.existing(address).core
    heads = {kept.path: head(kept) for kept in chosen}
    outcomes: dict[Path, str] = {}
    for folder in dict.fromkeys(kept.folder for kept in chosen):
        of_folder = [kept for kept in chosen if kept.folder == folder]
        name = _folder(core, folder, of_folder)
        for start in range(0, len(of_folder), BATCH):
            outcomes |= _bring_back(core, name, of_folder[start : start + BATCH])
    with core.disk("restoring messages"):
        for place in dict.fromkeys(kept.of for kept in chosen if kept.of is not None):
            _finish_folder(place)
    return [
        Restored(
            kept.folder,
            heads[kept.path].subject,
            heads[kept.path].message_id,
            kept.at,
            outcomes[kept.path],
        )
        for kept in chosen
    ]


def deleted_folders(store: MailStore, address: Address, wanted: Wanted) -> list[str]:
    """Deleted folders that are wanted, with or without messages.

    Raises:
        As `find`.
    """
    core = store.existing(address).core
    found = []
    for day in aside.days(core.home):
        for place in _folder_places(day):
            record = _folder_record(place)
            if (not wanted.folder or record.name == wanted.folder) and record.at >= wanted.since:
                found.append(record.name)
    return sorted(set(found))


def restore_folders(store: MailStore, address: Address, names: Iterable[str]) -> list[str]:
    """Makes deleted folders again that held no message; gives the names of those made."""
    core = store.existing(address).core
    made = []
    for name in names:
        with core.db.read() as connection:
            if core.find(connection, name) is not None:
                continue
        made.append(_folder(core, name, []))
    with core.disk("restoring folders"):
        for day in aside.days(core.home):
            for place in _folder_places(day):
                if _folder_record(place).name in made:
                    _finish_folder(place)
    return made


# -- what is there ---------------------------------------------------------------------


def _of_day(core: Core, day: Path) -> Iterator[Kept]:
    with core.disk("reading what was expunged"):
        records = {record.file: record for record in aside.read_records(aside.read_lines(day / aside.INDEX))}
        names = sorted(os.listdir(day))
    for name in names:
        path = day / name
        if name.startswith("folder-") and maildir.is_directory(path):
            yield from _of_folder(path)
        elif path.is_file() and not path.is_symlink() and not name.endswith((".jsonl", ".tmp")):
            record = records.get(name) or _guess(core, path)
            yield Kept(path, record.folder, record, record.at)


def _guess(core: Core, path: Path) -> Record:
    """For a file without a line: its name says which folder it was in."""
    base, _, number = path.name.rpartition(".")
    folder = "INBOX"
    if number.isascii() and number.isdigit() and len(number) < 16:
        with core.db.read() as connection, contextlib.suppress(MailboxError):
            folder = core.get(connection, int(number)).name
    return Record(base=base or path.name, file=path.name, folder=folder)


def _folder_places(day: Path) -> list[Path]:
    return [
        day / name
        for name in sorted(os.listdir(day))
        if name.startswith("folder-") and maildir.is_directory(day / name)
    ]


def _list_of(place: Path) -> Path:
    return place.with_name(f"{place.name}.jsonl")


def _folder_record(place: Path) -> FolderRecord:
    record = aside.read_folder(aside.read_lines(_list_of(place)))
    if record is not None:
        return record
    directory = "." + place.name.partition(".")[2]
    try:
        return FolderRecord(maildir.folder_name(directory))
    except MailboxError:
        return FolderRecord("INBOX")


def _of_folder(place: Path) -> Iterator[Kept]:
    folder = _folder_record(place)
    records = {record.base: record for record in aside.read_records(aside.read_lines(_list_of(place))[1:])}
    for sub in ("new", "cur"):
        if not maildir.is_directory(place / sub):
            continue
        for name in sorted(os.listdir(place / sub)):
            base, letters = maildir.split_file_name(name)
            if not is_message_name(name, base):
                continue
            record = records.get(base) or _from_name(base, letters)
            if not record.gone:
                yield Kept(place / sub / name, folder.name, record, record.at or folder.at, place)


def _from_name(base: str, letters: str) -> Record:
    bits, _ = maildir.split_letters(letters)
    return Record(base=base, flags=bits & 31, keywords=maildir.FORWARDED if bits & ~31 else "")


# -- bringing back ---------------------------------------------------------------------


def _folder(core: Core, name: str, wanted: Sequence[Kept]) -> str:
    """Makes the folder when it is gone, as it was; gives the name of the one to put mail into."""
    try:
        name = maildir.check_name(name)
    except MailboxError:
        return "INBOX"
    folders.discover(core)
    with core.db.read() as connection:
        if core.find(connection, name) is not None:
            return name
    record = _record_of(core, name, wanted)
    for special_use in (record.special_use, ""):
        with contextlib.suppress(MailboxError):
            made = folders.create(core, name, special_use)
            if record.subscribed:
                folders.subscribe(core, name, True)
            _restore_settings(core, made.id, record)
            return name
    return "INBOX"


def _record_of(core: Core, name: str, wanted: Sequence[Kept]) -> FolderRecord:
    """What the deleted folder of that name was like, the latest one first."""
    places = [kept.of for kept in wanted if kept.of is not None]
    if not places:
        places = [place for day in reversed(aside.days(core.home)) for place in _folder_places(day)]
    records = [_folder_record(place) for place in places]
    return next((record for record in records if record.name == name), FolderRecord(name, subscribed=True))


def _restore_settings(core: Core, folder_id: int, record: FolderRecord) -> None:
    with core.db.write("restoring a folder", durable_commit=True) as connection:
        connection.executemany(
            "INSERT OR IGNORE INTO metadata (folder, entry, value) VALUES (?, ?, ?)",
            [(folder_id, entry, value) for entry, value in record.metadata],
        )
        connection.executemany(
            "INSERT OR IGNORE INTO rights (folder, identifier, rights) VALUES (?, ?, ?)",
            [(folder_id, identifier, rights) for identifier, rights in record.rights],
        )


def _bring_back(core: Core, name: str, batch: Sequence[Kept]) -> dict[Path, str]:
    """One transaction; gives what became of each."""
    examined = {kept.path: files.examine(str(kept.path)) for kept in batch}
    outcomes: dict[Path, str] = {}

    def work(connection: sqlite3.Connection) -> None:
        outcomes.clear()
        folder = core.find(connection, name)
        if folder is None:
            raise MailboxError("NONEXISTENT", f"{name} was deleted just now")
        with core.disk("restoring messages"):
            placing = _Placing(core, connection, folder)
            for kept in batch:
                outcomes[kept.path] = placing.place(kept, examined[kept.path])
            core.group.sync(f"{folder.path}/cur")

    core.db.change("restoring messages", work, durable_commit=True)
    with core.disk("restoring messages"):
        for kept in batch:
            if outcomes[kept.path] == "restored":
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(kept.path)
        for directory in {kept.path.parent for kept in batch}:
            durable.sync_folder(directory)
    return outcomes


class _Placing:
    """Puts messages into one folder, inside a transaction."""

    def __init__(self, core: Core, connection: sqlite3.Connection, folder: FolderRow) -> None:
        self._core = core
        self._connection = connection
        self._folder = folder

    def place(self, kept: Kept, found: files.Examined | None) -> str:
        """Gives the outcome; the file's first name stays."""
        if found is None:
            return "unreadable"
        # After a crash in the middle: the file is in the folder, maybe with a row from a look at the disk.
        there = self._row_of(kept.record.base)
        if there is not None and self._is_same_file(kept, *there[1:]):
            self._insert_marks(there[0], kept.record)
            return "restored"
        if self._has_copy(kept.record):
            return "there"
        self._insert(kept, found)
        return "restored"

    def _row_of(self, base: str) -> tuple[int, int, str] | None:
        row: tuple[int, int, str] | None = self._connection.execute(
            "SELECT uid, sub, letters FROM messages WHERE base = ? AND folder = ?", (base, self._folder.id)
        ).fetchone()
        return row

    def _is_same_file(self, kept: Kept, sub: int, letters: str) -> bool:
        path = f"{self._folder.path}/{maildir.file_name(kept.record.base, sub, letters)}"
        try:
            return os.path.samefile(path, kept.path)
        except FileNotFoundError:
            return False

    def _has_copy(self, record: Record) -> bool:
        epoch, _, number = record.email_id.rpartition("-")
        if epoch == self._core.db.epoch and _HEX.match(number):
            mid = int(number, 16)
            query = (
                "SELECT 1 FROM messages WHERE folder = ? AND uid = ? UNION ALL"
                " SELECT 1 FROM messages WHERE mid = ? AND mid <> folder * 4294967296 + uid"
            )
            values: tuple[int | str, ...] = (*first_place(mid), mid)
            if self._connection.execute(query, values).fetchone():
                return True
        query, values = "SELECT 1 FROM messages WHERE base = ?", (record.base,)
        return self._connection.execute(query, values).fetchone() is not None

    def _insert(self, kept: Kept, found: files.Examined) -> None:
        core, record = self._core, kept.record
        joined, flags = self._keywords(record), record.flags & 31
        letters = maildir.letters_of(maildir.bits_of(flags, joined))
        uid, modseq = take_uids(self._connection, self._folder.id, 1)
        base = self._link(kept, letters)
        internal_at = record.internal_at or found.internal_at
        self._connection.execute(
            INSERT,
            (
                self._folder.id, uid, base, 1, letters, flags, joined, modseq, found.size, found.disk_size,
                internal_at, int(core.now()), new_mid(self._folder.id, uid), 0, None,
            ),
        )  # fmt: skip
        messages.count(
            self._connection,
            self._folder.id,
            messages=1,
            unseen=int(not flags & 1),
            deleted=flags >> 3 & 1,
            size=found.size,
        )
        if found.open_end:
            messages.note_open_ends(self._connection, self._folder.id, [uid])

    def _link(self, kept: Kept, letters: str) -> str:
        """Gives the file its name in the folder; its own base name when that is free."""
        base = kept.record.base
        if self._is_doomed(base) or maildir.is_too_long(base):
            base = self._core.new_base(copied=base)
        while True:
            target = f"{self._folder.path}/{maildir.file_name(base, 1, letters)}"
            try:
                os.link(kept.path, target, follow_symlinks=False)
            except FileExistsError:
                if os.path.samefile(kept.path, target):
                    return base
                base = self._core.new_base(copied=base)
            else:
                return base

    def _is_doomed(self, base: str) -> bool:
        """The file that had this name last is still to be removed, by its name."""
        query, values = "SELECT 1 FROM doomed WHERE folder = ? AND base = ?", (self._folder.id, base)
        return self._connection.execute(query, values).fetchone() is not None

    def _insert_marks(self, uid: int, record: Record) -> None:
        self._connection.execute(
            "UPDATE messages SET keywords = ?, internal_at = ? WHERE folder = ? AND uid = ?",
            (self._keywords(record), record.internal_at, self._folder.id, uid),
        )

    def _keywords(self, record: Record) -> str:
        usable = messages.usable_keywords(record.keywords.split())
        return " ".join(
            messages.know_keywords(self._core, self._connection, self._folder.id, usable, drop=True)
        )


def _finish_folder(place: Path) -> None:
    """Removes what is left of a deleted folder when no message is in it any more."""
    if any(True for _ in _of_folder(place)):
        return
    shutil.rmtree(place)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_list_of(place))
    durable.sync_folder(place.parent)
