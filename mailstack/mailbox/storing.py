"""Messages on their way in: delivery, COPY and MOVE.

Delivery: written in tmp/, fsynced, renamed, folder fsynced (shared with concurrent
deliveries), then the row.  The row's COMMIT is not synced: its UID comes from a block
reserved durably, and a row lost with the power is found again from its file.

COPY and MOVE hold the account's write lock while files without rows are in
sight, so a look at the disk never takes them for somebody else's; their COMMIT is synced.

Standards: RFC 3501 section 6.4.7, RFC 4315, RFC 6851.  Promises P1, P3.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mailstack.disk import durable
from mailstack.disk.fault import fault_point
from mailstack.mailbox import (
    background,
    files,
    folders,
    fullness,
    maildir,
    messages,
    quota,
    roles,
    scan,
    threads,
)
from mailstack.mailbox.account import take_uids
from mailstack.mailbox.core import Core, FolderRow, new_mid
from mailstack.mailbox.files import Written
from mailstack.mailbox.scan import INSERT
from mailstack.mime import links
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import Copied, Delivery, MailboxError, NewMessage
from mailstack.model.quota import Limits

_ATTEMPTS = 5
_TMP_NUMBERS = itertools.count(1)
_COPY_OCTETS = 256 * 1024


def deliver(
    core: Core,
    name: str,
    message: NewMessage,
    *,
    base_name: str,
    prefix: bytes,
    cuts: Sequence[tuple[int, int]],
    create: bool,
    limits: Limits = quota.UNLIMITED,
) -> Delivery:
    """Stores a message once under a deterministic name; see AccountStore.deliver."""
    maildir.check_base(base_name)
    job = _Delivery(core, message, base_name, prefix, cuts)
    job.limits = limits
    try:
        name = maildir.check_name(name)
    except MailboxError:
        name = "INBOX"
    with core.disk("storing a message"):
        for _ in range(_ATTEMPTS):
            delivery = job.attempt(name, create=create)
            if delivery is not None:
                return delivery
    raise TemporaryFailure(f"storing a message for {core.address}: its folder vanishes again and again")


# The folder, whether the message is in any folder, whether its old file is still to be removed.
_TARGET = (
    "SELECT id, name, dir, uid_validity, special_use, boot,"
    " EXISTS (SELECT 1 FROM messages WHERE base = ?),"
    " EXISTS (SELECT 1 FROM doomed WHERE folder = folders.id AND base = ?)"
    " FROM folders WHERE name = ?"
)


class _Delivery:
    """One delivery, which may have to be tried again when its folder goes away under it."""

    def __init__(
        self, core: Core, message: NewMessage, base: str, prefix: bytes, cuts: Sequence[tuple[int, int]]
    ) -> None:
        self._core = core
        self._message = message
        self._base = base
        self._prefix = prefix
        self._cuts = cuts
        self._keywords = messages.usable_keywords(message.keywords)
        self._internal_at = int(core.now()) if message.internal_at is None else message.internal_at
        bits = maildir.bits_of(int(message.flags) & 31, " ".join(self._keywords))
        self._letters = maildir.letters_of(bits)
        self._sub = int(bits != 0)
        self._open_end = False
        self.limits = quota.UNLIMITED

    def attempt(self, name: str, *, create: bool) -> Delivery | None:
        """Delivers; None when the folder vanished and everything is to be done again."""
        core = self._core
        folder, known = self._target(name, create=create)
        if known is not None and self._is_there(folder, known):
            return Delivery(folder.name, known, self._base, again=True)
        if known is not None:
            # An attempt that failed took its file back after a look at the disk had seen it.
            scan.refresh(core, folder.id, force=True)
            return None
        if self.limits != quota.UNLIMITED:  # before anything is written, and again with the row
            with core.db.read() as connection:
                fullness.check_room(core, connection, self.limits, folder.special_use)
        final = f"{folder.path}/{maildir.file_name(self._base, self._sub, self._letters)}"
        size = self._earlier(final)
        found: links.Links | None = None
        mine = size is None
        if size is None:
            written = self._write()
            size, found = written.size, threads.links_of(written)
            self._open_end = written.open_end
            if not self._rename(folder, written.path, final):
                return None
        try:
            uid = self._commit(folder, final, size, found, limits=self.limits if mine else quota.UNLIMITED)
        except (OSError, TemporaryFailure, MailboxError) as error:
            if mine:
                self._withdraw(folder, final)
            if isinstance(error, FileNotFoundError | MailboxError):
                return None  # the folder was renamed or deleted at this moment
            raise
        fault_point("mailbox.row")
        return Delivery(folder.name, uid, self._base)

    def _commit(
        self, folder: FolderRow, final: str, size: int, found: links.Links | None, *, limits: Limits
    ) -> int:
        """Makes the name durable, then the row; gives the UID."""

        def work(connection: sqlite3.Connection) -> int:
            # A look at the disk may have counted it already.
            if limits != quota.UNLIMITED and not _is_taken(connection, folder.id, self._base):
                fullness.check_room(core, connection, limits, folder.special_use)
            uid = self._row(connection, folder.id, size, found)
            fullness.watch(core, connection, self.limits)
            return uid

        core = self._core
        fault_point("mailbox.renamed")
        core.group.sync(os.path.dirname(final))
        fault_point("mailbox.folder_synced")
        return core.db.change("storing a message", work, durable_commit=False)

    def _withdraw(self, folder: FolderRow, final: str) -> None:
        """Takes back a file that was not acknowledged, wherever its folder is now."""
        unlink(final)
        with contextlib.suppress(TemporaryFailure, MailboxError), self._core.db.read() as connection:
            path = self._core.get(connection, folder.id).path
            if path != folder.path:
                unlink(path + final[len(folder.path) :])

    def _target(self, name: str, *, create: bool) -> tuple[FolderRow, int | None]:
        """The folder to store in, and the UID when the message is there already."""
        core = self._core
        with core.db.read() as connection:
            name = roles.delivery_name(connection, name)
            row = connection.execute(_TARGET, (self._base, self._base, name)).fetchone()
            there = None
            if row is None or row[6]:
                there = connection.execute(
                    "SELECT f.name, m.uid FROM messages m JOIN folders f ON f.id = m.folder WHERE m.base = ?",
                    (self._base,),
                ).fetchone()
                name = name if there is None else there[0]
                row = connection.execute(_TARGET, (self._base, self._base, name)).fetchone()
        folder = (
            _find_or_create(core, name, create=create)
            if row is None
            else FolderRow._make((*row[:6], core.path_of(row[2])))
        )
        if row is not None and row[7]:
            core.worker.doomed(core)
            core.worker.flush(core)
        return folder, None if there is None else int(there[1])

    def _is_there(self, folder: FolderRow, uid: int) -> bool:
        """False when the file of a row is gone."""
        with self._core.db.read() as connection:
            row = connection.execute(
                "SELECT sub, letters FROM messages WHERE folder = ? AND uid = ?", (folder.id, uid)
            ).fetchone()
        if row is not None and os.path.lexists(f"{folder.path}/{maildir.file_name(self._base, *row)}"):
            return True
        return background.find_file(folder.path, self._base) is not None

    def _earlier(self, final: str) -> int | None:
        """Size of the file when an earlier try got as far as renaming it."""
        if not os.path.lexists(final):
            return None
        found = files.examine(final)
        if found is None:
            return None
        self._open_end = found.open_end
        return found.size

    def _write(self) -> Written:
        tmp = self._core.tmp_path(f"{self._base}.{os.getpid()}.{next(_TMP_NUMBERS)}")
        for again in (False, True):
            try:
                return files.write_message(
                    tmp, self._message, prefix=self._prefix, cuts=self._cuts, internal_at=self._internal_at
                )
            except FileNotFoundError:
                if again:
                    raise
                maildir.make_folder(self._core.maildir)
        raise AssertionError("unreachable")

    def _rename(self, folder: FolderRow, tmp: str, final: str) -> bool:
        """Gives the file its name; False when there is no such folder any more."""
        try:
            fault_point("mailbox.synced")
            try:
                os.rename(tmp, final)
            except FileNotFoundError:
                if folder.dir and not maildir.is_directory(folder.path):
                    unlink(tmp)
                    self._core.seen.folders = 0
                    folders.discover(self._core)
                    return False
                maildir.make_folder(self._core.maildir / folder.dir)
                os.rename(tmp, final)
        except OSError:
            unlink(tmp)
            raise
        return True

    def _row(
        self, connection: sqlite3.Connection, folder_id: int, size: int, found: links.Links | None
    ) -> int:
        core = self._core
        flags = int(self._message.flags) & 31
        words = messages.know_keywords(core, connection, folder_id, self._keywords, drop=True)
        taken = connection.execute(_TAKE, (size, int(not flags & 1), flags >> 3 & 1, folder_id)).fetchone()
        if taken is None:
            take_uids(connection, folder_id, 1)  # raises: says why
        uid, modseq = taken[0] - 1, taken[1]
        mid = new_mid(folder_id, uid)
        thread = None if found is None else threads.join(connection, found, mid)
        values = (
            folder_id, uid, self._base, self._sub, self._letters, flags, " ".join(words), modseq, size, None,
            self._internal_at, int(core.now()), mid, 0, thread,
        )  # fmt: skip
        try:
            connection.execute(INSERT, values)
            if self._open_end:
                messages.note_open_ends(connection, folder_id, [uid])
        except sqlite3.IntegrityError:
            # A look at the disk was faster: the row is there, without our keywords.
            (uid,) = connection.execute(
                "SELECT uid FROM messages WHERE base = ? AND folder = ?", (self._base, folder_id)
            ).fetchone()
            connection.execute(
                "UPDATE messages SET keywords = ?, modseq = ?, internal_at = ? WHERE folder = ? AND uid = ?",
                (" ".join(words), modseq, self._internal_at, folder_id, uid),
            )
            messages.recount(connection, folder_id)
        return int(uid)


# As take_uids for one message, and its counters in the same statement.
_TAKE = (
    "UPDATE folders SET uid_next = uid_next + 1, modseq = modseq + 1, messages = messages + 1,"
    " size = size + ?, unseen = unseen + ?, deleted = deleted + ?"
    " WHERE id = ? AND uid_next < uid_reserved AND modseq < modseq_reserved RETURNING uid_next, modseq"
)


def _find_or_create(core: Core, name: str, *, create: bool) -> FolderRow:
    """The folder of that name, made when it is asked for or the filter files to it; else INBOX."""
    folders.discover(core)
    with core.db.read() as connection:
        folder = core.find(connection, name)
    if folder is None and (create or roles.is_filed_to(name)):
        # Refused or made by somebody else at the same moment: looked up below.
        with contextlib.suppress(MailboxError):
            folders.create(core, name, "")
            folders.subscribe(core, name, True)
    with core.db.read() as connection:
        folder = core.find(connection, name) or core.find(connection, "INBOX")
    if folder is None:
        raise TemporaryFailure(f"{core.address} has no INBOX: run 'mailstack mailbox verify --repair'")
    return folder


def copy(
    core: Core, limits: Limits, folder_id: int, uids: Sequence[int], target: str, *, move: bool
) -> Copied:
    """Copies or moves messages, all or none; files are hard links, so nothing is written twice."""
    target = maildir.check_name(target)
    try:
        folders.with_named(core, target, lambda folder: scan.before_copies(core, folder.id))
    except MailboxError:
        raise folders.no_folder("TRYCREATE") from None
    placed: list[str] = []

    def work(connection: sqlite3.Connection) -> Copied:
        source = core.get(connection, folder_id)
        into = core.find(connection, target)
        if into is None:
            raise folders.no_folder("TRYCREATE")
        found = list(messages.select(connection, folder_id, uids, _COPIED))
        if not found:
            return Copied(into.uid_validity, (), ())
        _check_quota(connection, limits, source, into, [row[6] for row in found], move=move)
        first, modseq = take_uids(connection, into.id, len(found))
        words = _keywords_for(core, connection, into.id, {row[5] for row in found})
        now = int(core.now())
        rows = []
        for uid, row in enumerate(found, first):
            _, base, sub, letters, flags, keywords, size, disk_size, internal_at, mid, thread, _ = row
            new_letters = maildir.letters_of(maildir.bits_of(flags, words[keywords]))
            base = _link(core, connection, source, into, (base, sub, letters), new_letters, placed)
            rows.append(
                (into.id, uid, base, 1, new_letters, flags, words[keywords], modseq, size, disk_size,
                 internal_at, now, mid, 0, thread)
            )  # fmt: skip
        fault_point("mailbox.renamed")
        core.group.sync(f"{into.path}/cur")
        fault_point("mailbox.folder_synced")
        insert(connection, into.id, rows)
        messages.note_open_ends(connection, into.id, [at for at, row in enumerate(found, first) if row[-1]])
        taken = tuple(row[0] for row in found)
        if move:
            messages.remove(connection, folder_id, taken, keep=False)
        fullness.watch(core, connection, limits)
        return Copied(into.uid_validity, taken, tuple(row[1] for row in rows))

    with core.disk("copying messages"):
        copied = _all_or_none(core, work, placed, move=move)
        fault_point("mailbox.row")
    if move and copied.source_uids:
        core.worker.doomed(core)
    return copied


def _all_or_none(
    core: Core, work: Callable[[sqlite3.Connection], Copied], placed: list[str], *, move: bool
) -> Copied:
    """Runs it in a transaction; `placed`: the files it has made, which go when it fails."""

    def attempt(connection: sqlite3.Connection) -> Copied:
        # Running out of reserved numbers ends an attempt too: its files must go.
        try:
            return work(connection)
        except BaseException:
            while placed:
                unlink(placed.pop())
            raise

    try:
        return core.db.change("copying messages", attempt, durable_commit=True)
    except BaseException as error:
        # Whose COMMIT failed on a broken disk may find it done after a crash: the originals
        # are gone then.
        if not (move and isinstance(error, TemporaryFailure) and error.fatal):
            for path in placed:
                unlink(path)
        raise


_COPIED = "uid, base, sub, letters, flags, keywords, size, disk_size, internal_at, mid, thread, open_end"


def _check_quota(
    connection: sqlite3.Connection,
    limits: Limits,
    source: FolderRow,
    into: FolderRow,
    sizes: Sequence[int],
    *,
    move: bool,
) -> None:
    if move and (quota.is_aside(into.special_use) or not quota.is_aside(source.special_use)):
        return  # nothing is added, or thrown away
    quota.check(connection, limits, into.special_use, sizes)


def _keywords_for(
    core: Core, connection: sqlite3.Connection, folder_id: int, texts: set[str]
) -> dict[str, str]:
    """What each message's keywords are called in the other folder."""
    return {
        text: " ".join(messages.know_keywords(core, connection, folder_id, text.split(), drop=True))
        for text in texts
    }


def _link(
    core: Core,
    connection: sqlite3.Connection,
    source: FolderRow,
    into: FolderRow,
    file: tuple[str, int, str],
    letters: str,
    placed: list[str],
) -> str:
    """Makes the copy's file; gives its base name, the original's when that is free."""
    base, sub, old_letters = file
    origin = f"{source.path}/{maildir.file_name(base, sub, old_letters)}"
    if _is_taken(connection, into.id, base):
        base = core.new_base(copied=file[0])
    for _ in range(_ATTEMPTS):
        final = f"{into.path}/{maildir.file_name(base, 1, letters)}"
        try:
            os.link(origin, final, follow_symlinks=False)
        except FileExistsError:
            base = core.new_base(copied=file[0])  # left by a crash; it is somebody's message now
        except FileNotFoundError:
            found = background.find_file(source.path, file[0])
            if found is None:
                core.seen.times.pop(source.id, None)
                raise MailboxError("EXPUNGEISSUED", "a message was removed by another program") from None
            origin = f"{source.path}/{found}"
            maildir.make_folder(Path(into.path))
        except OSError as error:
            if error.errno not in (errno.EMLINK, errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP):
                raise
            _copy_octets(core, origin, final)
            placed.append(final)
            return base
        else:
            placed.append(final)
            return base
    raise TemporaryFailure("copying messages: their files are renamed again and again")


def _copy_octets(core: Core, origin: str, final: str) -> None:
    """For a file system, or a file, that takes no more links: the same octets in another file."""
    tmp = core.tmp_path(core.new_base())
    try:
        fd = os.open(origin, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(fd, "rb", buffering=0) as file:
            durable.write_synced(tmp, iter(partial(file.read, _COPY_OCTETS), b""))
            written_at = os.fstat(fd).st_mtime
        os.utime(tmp, (written_at, written_at))
        os.rename(tmp, final)
    finally:
        unlink(tmp)


def _is_taken(connection: sqlite3.Connection, folder_id: int, base: str) -> bool:
    return (
        connection.execute(
            "SELECT 1 FROM messages WHERE base = ? AND folder = ? UNION ALL"
            " SELECT 1 FROM doomed WHERE folder = ? AND base = ?",
            (base, folder_id, folder_id, base),
        ).fetchone()
        is not None
    )


def insert(connection: sqlite3.Connection, folder_id: int, rows: Sequence[tuple[Any, ...]]) -> None:
    """Adds rows of messages, and counts them."""
    connection.executemany(INSERT, rows)
    messages.count(
        connection,
        folder_id,
        messages=len(rows),
        unseen=sum(1 for row in rows if not row[5] & 1),
        deleted=sum(1 for row in rows if row[5] & 8),
        size=sum(row[8] for row in rows),
    )


def exists(core: Core, name: str) -> bool:
    """True when there is a folder of that checked name, also one another program has just made."""
    with core.db.read() as connection:
        if core.find(connection, name) is not None:
            return True
    folders.discover(core)
    with core.db.read() as connection:
        return core.find(connection, name) is not None


def unlink(path: str) -> None:
    """Removes a file that may be gone already."""
    with contextlib.suppress(OSError):
        os.unlink(path)
