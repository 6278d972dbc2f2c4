"""Finds what other programs did to a folder's files: mutt, mbsync, rm.

A look costs two `stat` calls while nothing changed.  Otherwise the directory is
compared with the rows, and only when they differ compared again while the account's
write lock is held: by then every file one of our own processes is about to index has
its row, because those processes hold that lock too, or insert with the same unique key.

Flags are merged letter by letter: what we changed since the name was written and what
another program changed in the name both stay.  After a crash of the machine the names
may be older than the rows, so then the rows win.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from mailstack.mailbox import background, files, folders, maildir, messages
from mailstack.mailbox.account import take_modseq, take_uids
from mailstack.mailbox.core import Core, FolderRow, directory_times, new_mid
from mailstack.mailbox.files import Examined
from mailstack.model.mailbox import MailboxError

#: Files indexed in one transaction, and octets of them looked at before it; more where a
#: folder would need more rounds than this.
BATCH = 500
BATCH_OCTETS = 64 * 1024 * 1024
ROUNDS = 16
_MAX_ROUNDS = 10_000


class _File(NamedTuple):
    base: str
    sub: int
    letters: str
    name: str


class _Row(NamedTuple):
    base: str
    sub: int
    letters: str
    uid: int
    flags: int
    keywords: str


@dataclass(slots=True)
class Difference:
    """Files and rows that do not match."""

    unknown: dict[str, _File] = field(default_factory=dict)
    missing: list[_Row] = field(default_factory=list)
    moved: list[tuple[_Row, _File]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.unknown or self.missing or self.moved)


def refresh(core: Core, folder_id: int, *, force: bool = False) -> bool:
    """Brings a folder's rows in line with its files; True when messages changed.

    Args:
        force: look even when the directory seems unchanged.

    Raises:
        MailboxError: NONEXISTENT, the folder is gone.
        TemporaryFailure: disk or database in trouble.
    """
    with core.db.read() as connection:
        folder = core.get(connection, folder_id)
    times = _times(core, folder)
    settled_names = folder.boot == core.db.boot
    if not force and settled_names and core.seen.times.get(folder_id) == times:
        return False
    with core.scan_lock:
        return _look(core, folder, force=force or not settled_names)


def before_copies(core: Core, folder_id: int) -> None:
    """A file that has no row yet, as in a database put back, gets it: a copy must not have its name.

    Once: each copy changes the folder, and a look at a large one takes long.
    """
    seen = core.seen
    if folder_id not in seen.copied_to:
        refresh(core, folder_id)
        seen.copied_to.add(folder_id)


def is_settled(core: Core, folder_id: int) -> bool:
    """True when a folder's directory is as it was at the last look; see AccountStore.is_settled."""
    seen = core.seen
    known = seen.times.get(folder_id)
    if known is None:
        return False
    with core.db.read() as connection:
        folder = core.get(connection, folder_id)
    try:
        is_known = folder.boot == core.db.boot and directory_times(folder.path) == known
        return is_known and core.seen is seen
    except OSError:
        return False


def _times(core: Core, folder: FolderRow) -> tuple[int, int]:
    with core.disk("reading the mailbox"):
        try:
            return directory_times(folder.path)
        except FileNotFoundError:
            pass
        if folder.dir and not maildir.is_directory(folder.path):
            core.seen.folders = 0
            folders.discover(core)
            with core.db.read() as connection:
                folder = core.get(connection, folder.id)
        maildir.refuse_links([core.maildir / folder.dir])
        maildir.make_folder(core.maildir / folder.dir)
        return directory_times(folder.path)


def _look(core: Core, folder: FolderRow, *, force: bool) -> bool:
    changed = False
    seen = core.seen.times
    examined: dict[str, Examined | None] = {}
    before: Difference | None = None
    for _ in range(_MAX_ROUNDS):
        times = _times(core, folder)
        known = seen.get(folder.id)
        if not force and known == times:
            break
        started_ns = time.time_ns()  # the kernel's clock stamps directories
        found = difference(core, folder, full=force or known is None or known[1] != times[1])
        _examine(folder, found, examined)
        for base in [base for base in found.unknown if base in examined and examined[base] is None]:
            del found.unknown[base]  # a directory, a link: no message
        if found or folder.boot != core.db.boot:
            settled = _settle(core, folder, examined)
            changed |= settled
            folder = folder._replace(boot=core.db.boot)
            if found and (settled or found != before):
                seen.pop(folder.id, None)
                before, force = found, False
                continue
        if started_ns - max(times) > folders.SETTLED_NS:
            seen[folder.id] = times
        else:
            seen.pop(folder.id, None)
        break
    return changed


def difference(core: Core, folder: FolderRow, *, full: bool) -> Difference:
    """Compares a folder's files with its rows; without `full` only those in new/."""
    with core.disk("reading the mailbox"):
        listing = _listing(folder, full=full)
    with core.db.read() as connection:
        found = _compare(connection, folder, listing, full=full)
    if found.missing and not full:
        return difference(core, folder, full=True)
    return found


def _listing(folder: FolderRow, *, full: bool) -> dict[str, str]:
    """Files by base name, as paths below the folder; what cannot be a message is left out."""
    found: dict[str, str] = {}
    for directory in ("new", "cur") if full else ("new",):
        for name in os.listdir(f"{folder.path}/{directory}"):
            base = name.partition(":")[0]
            if is_message_name(name, base):
                found[base] = f"{directory}/{name}"
    return found


def is_message_name(name: str, base: str) -> bool:
    """False for names the index cannot hold or other programs mean something else by."""
    return name[0] != "." and name.isprintable() and base != "" and not name.endswith(".lock")


def _compare(
    connection: sqlite3.Connection, folder: FolderRow, listing: dict[str, str], *, full: bool
) -> Difference:
    query = "SELECT base, sub, letters, uid, flags, keywords FROM messages WHERE folder = ?"
    if not full:
        query = query.replace("messages", "messages INDEXED BY message_new") + " AND sub = 0"
    found = Difference()
    for row in connection.execute(query, (folder.id,)):
        base, sub, letters = row[:3]
        name = listing.pop(base, None)
        if name is None:
            found.missing.append(_Row._make(row))
        elif name != maildir.file_name(base, sub, letters):
            found.moved.append((_Row._make(row), _file(name)))
    for (base,) in connection.execute("SELECT base FROM doomed WHERE folder = ?", (folder.id,)):
        listing.pop(base, None)
    for base in [] if full else list(listing):
        row = connection.execute(
            "SELECT base, sub, letters, uid, flags, keywords FROM messages WHERE base = ? AND folder = ?",
            (base, folder.id),
        ).fetchone()
        if row is not None:
            found.moved.append((_Row._make(row), _file(listing.pop(base))))
    found.unknown = {base: _file(name) for base, name in listing.items()}
    if found.missing and found.unknown:
        _pair(found)
    return found


def _pair(found: Difference) -> None:
    """Knows a file again whose base name got or lost a ",U=7" or ",S=123", as mbsync does it."""
    unknown: dict[str, list[str]] = {}
    for base in found.unknown:
        unknown.setdefault(base.partition(",")[0], []).append(base)
    missing = found.missing
    stems = Counter(row.base.partition(",")[0] for row in missing)
    found.missing = []
    for row in missing:
        stem = row.base.partition(",")[0]
        if stems[stem] == 1 and len(unknown.get(stem, ())) == 1:
            found.moved.append((row, found.unknown.pop(unknown[stem][0])))
        else:
            found.missing.append(row)


def _file(path: str) -> _File:
    directory, _, name = path.partition("/")
    base, letters = maildir.split_file_name(name)
    return _File(base, int(directory == "cur"), letters, path)


def _canonical(core: Core, folder: FolderRow, file: _File) -> _File:
    """Gives a file the name we would look for, when another program spells it otherwise.

    `cur/x` becomes `cur/x:2,`, letters are sorted, and what has flags lies in cur/; a name that
    leaves no room for flags is replaced.
    """
    sub, base = 1 if file.letters else file.sub, file.base
    if maildir.is_too_long(base):
        base = core.new_base(copied=base)
    wanted = maildir.file_name(base, sub, file.letters)
    if wanted == file.name or os.path.lexists(f"{folder.path}/{wanted}"):
        return file
    try:
        os.rename(f"{folder.path}/{file.name}", f"{folder.path}/{wanted}")
    except FileNotFoundError:
        return file
    return _File(base, sub, file.letters, wanted)


def _examine(folder: FolderRow, difference: Difference, examined: dict[str, Examined | None]) -> None:
    """Looks into some of the unknown files, outside any transaction."""
    # Every round reads the whole folder: a share of it, or a large one would take for ever.
    shares = max(1, len(difference.unknown) // (ROUNDS * BATCH))
    fresh = octets = 0
    for base, file in difference.unknown.items():
        if base in examined:
            continue
        if fresh >= BATCH * shares or octets >= BATCH_OCTETS * shares:
            return
        found = files.examine(f"{folder.path}/{file.name}")
        examined[base] = found
        fresh += 1
        octets += found.size if found is not None else 0


def _settle(core: Core, folder: FolderRow, examined: dict[str, Examined | None]) -> bool:
    """Compares again while nobody else writes, and corrects the rows."""
    unused: list[int] = []

    def work(connection: sqlite3.Connection) -> bool:
        current = core.get(connection, folder.id)
        with core.disk("reading the mailbox"):
            difference = _compare(connection, current, _listing(current, full=True), full=True)
            if difference.missing:
                # A file that another program renames while the directory is read can be
                # missed once, hardly twice.
                there = _listing(current, full=True)
                difference.missing = [row for row in difference.missing if row.base not in there]
        rows_win = current.boot != core.db.boot
        changed = _add(core, connection, current, difference.unknown, examined)
        unused[:] = _drop(connection, current, difference.missing)
        changed |= bool(difference.missing)
        changed |= _merge(core, connection, current, difference.moved, rows_win=rows_win)
        if rows_win:
            connection.execute("UPDATE folders SET boot = ? WHERE id = ?", (core.db.boot, folder.id))
        return changed

    changed = core.db.change("indexing messages", work, durable_commit=False)
    background.forget(core, unused)
    core.worker.names(core)
    return changed


def _add(
    core: Core,
    connection: sqlite3.Connection,
    folder: FolderRow,
    unknown: dict[str, _File],
    examined: dict[str, Examined | None],
) -> bool:
    """Rows for files that have none, oldest first."""
    ready = sorted(
        (found.internal_at, base, found) for base in unknown if (found := examined.get(base)) is not None
    )
    if not ready:
        return False
    uid, modseq = take_uids(connection, folder.id, len(ready))
    saved_at = int(core.now())
    unseen = deleted = 0
    for number, (internal_at, base, found) in enumerate(ready, uid):
        with core.disk("naming a message"):
            file = _canonical(core, folder, unknown[base])
        bits, _ = maildir.split_letters(file.letters)
        flags, forwarded = bits & 31, bool(bits & ~31)
        words = (
            messages.know_keywords(core, connection, folder.id, [maildir.FORWARDED], drop=True)
            if forwarded
            else ()
        )
        connection.execute(
            INSERT,
            (
                folder.id, number, file.base, file.sub, file.letters, flags, " ".join(words), modseq,
                found.size, found.disk_size, internal_at, saved_at, new_mid(folder.id, number),
                0, None,
            ),
        )  # fmt: skip
        unseen += not flags & 1
        deleted += flags >> 3 & 1
    open_ends = [number for number, (_, _, found) in enumerate(ready, uid) if found.open_end]
    messages.note_open_ends(connection, folder.id, open_ends)
    size = sum(found.size for _, _, found in ready)
    messages.count(connection, folder.id, messages=len(ready), unseen=unseen, deleted=deleted, size=size)
    return True


#: One message.
INSERT = (
    "INSERT INTO messages (folder, uid, base, sub, letters, flags, keywords, modseq, size, disk_size,"
    " internal_at, saved_at, mid, dirty, thread) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def _drop(connection: sqlite3.Connection, folder: FolderRow, missing: list[_Row]) -> list[int]:
    """Removes rows without a file; gives the numbers of messages nobody has any more."""
    if not missing:
        return []
    uids = [row.uid for row in missing]
    mids = [mid for (mid,) in messages.select(connection, folder.id, uids, "mid")]
    messages.remove(connection, folder.id, uids, keep=False, files=False)
    return [mid for mid in mids if not background.is_used(connection, mid)]


def _merge(
    core: Core,
    connection: sqlite3.Connection,
    folder: FolderRow,
    moved: list[tuple[_Row, _File]],
    *,
    rows_win: bool,
) -> bool:
    """Follows files whose name changed; True when flags changed with it."""
    modseq = 0
    unseen = deleted = 0
    for row, file in moved:
        with core.disk("naming a message"):
            file = _canonical(core, folder, file)
        ours = maildir.bits_of(row.flags, row.keywords)
        theirs, foreign = maildir.split_letters(file.letters)
        base, _ = maildir.split_letters(row.letters)
        bits = ours if rows_win else base ^ ((theirs ^ base) | (ours ^ base))
        wanted = maildir.letters_of(bits, foreign)
        dirty = int(wanted != file.letters)
        connection.execute(
            "UPDATE messages SET base = ?, sub = ?, letters = ?, dirty = ? WHERE folder = ? AND uid = ?",
            (file.base, file.sub, file.letters, dirty, folder.id, row.uid),
        )
        if bits == ours:
            continue
        modseq = modseq or take_modseq(connection, folder.id)
        words = [word for word in row.keywords.split() if word.lower() != maildir.FORWARDED.lower()]
        if bits & ~31:
            words += messages.know_keywords(core, connection, folder.id, [maildir.FORWARDED], drop=True)
        flags = bits & 31
        connection.execute(
            "UPDATE messages SET flags = ?, keywords = ?, modseq = ? WHERE folder = ? AND uid = ?",
            (flags, " ".join(words), modseq, folder.id, row.uid),
        )
        unseen += (row.flags & 1) - (flags & 1)
        deleted += (flags >> 3 & 1) - (row.flags >> 3 & 1)
    messages.count(connection, folder.id, unseen=unseen, deleted=deleted)
    return modseq != 0


def replaced(core: Core, folder_id: int, uid: int) -> None:
    """A file has another size than its row: the old message is gone, the file is a new one.

    Raises:
        MailboxError: EXPUNGEISSUED, always: the UID that was asked for is gone.
    """

    def work(connection: sqlite3.Connection) -> None:
        messages.remove(connection, folder_id, [uid], keep=False, files=False)

    try:
        core.db.change("indexing messages", work, durable_commit=True)
    except messages.Unchanged:
        pass
    refresh(core, folder_id, force=True)
    raise MailboxError("EXPUNGEISSUED", "the message was changed by another program")
