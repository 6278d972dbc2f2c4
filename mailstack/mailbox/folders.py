"""Folders: listing, creating, renaming, deleting; and finding those others made.

The directory is renamed before the row is committed.  What a crash leaves between the
two is put right by `discover`, which knows a folder by the object id in its marker
file; so it does a rename somebody made by hand.

Standards: RFC 3501 sections 6.3.3 to 6.3.7, RFC 6154, RFC 8474.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mailstack.disk import durable
from mailstack.mailbox import aside, fullness, maildir, rights, roles
from mailstack.mailbox.core import Core, FolderRow
from mailstack.mailbox.counting import new_object_id, next_validity
from mailstack.model.mailbox import DEFAULT_FOLDERS, FolderEntry, FolderStatus, MailboxError, again_if_gone
from mailstack.model.sharing import split_shared

T = TypeVar("T")

#: A directory's time this young may hide a change within the same clock tick.
SETTLED_NS = 50_000_000
# In the order of FolderStatus.
_STATUS = (
    "SELECT id, name, uid_validity, uid_next, messages, unseen,"
    " CASE WHEN recent_from < uid_next THEN"
    " (SELECT count(*) FROM messages WHERE folder = folders.id AND uid >= recent_from) ELSE 0 END,"
    " deleted, size, modseq, object_id FROM folders WHERE id = ?"
)
_DEFAULT_NAMES = frozenset(name for name, _ in DEFAULT_FOLDERS)
_OBJECT_ID = re.compile(r"F[A-Za-z0-9_-]{12}\Z")


def prepare(core: Core, connection: sqlite3.Connection) -> None:
    """Fills an empty database: from the Maildir that is there, or with the default folders."""
    if connection.execute("SELECT 1 FROM folders LIMIT 1").fetchone() is not None:
        return
    with core.disk("making the mailbox"):
        fresh = not maildir.is_directory(core.maildir / "cur")
        durable.make_folder(core.maildir)
        _insert(core, connection, "INBOX", "")
        # Default names first: they keep their roles.
        for directory in sorted(maildir.list_folders(core.maildir), key=_is_not_default):
            _adopt(core, connection, directory)
        if fresh:
            for name, special_use in DEFAULT_FOLDERS[1:]:
                held = special_use and roles.holder(connection, special_use) is not None
                if not held and core.find(connection, name) is None:
                    _make(core, connection, name, special_use)
        # INBOX last: until it is there, a crash lets all this begin again.
        maildir.make_folder(core.maildir)
        connection.execute("INSERT OR IGNORE INTO subscriptions (name) SELECT name FROM folders")


def _is_not_default(directory: str) -> bool:
    return directory.removeprefix(".") not in _DEFAULT_NAMES


def entries(core: Core) -> list[FolderEntry]:
    """Every line of LIST: folders, their missing parents, and subscriptions without a folder."""
    while True:
        seen = core.seen
        discover(core)
        with core.db.read() as connection:
            special = dict(connection.execute("SELECT name, special_use FROM folders"))
            subscribed = {name for (name,) in connection.execute("SELECT name FROM subscriptions")}
        if core.seen is seen:
            break  # else this is another database than the one that was compared with the disk
    parents = set()
    for name in special:
        while "/" in name:
            name = name.rpartition("/")[0]
            parents.add(name)
    names = special.keys() | parents | subscribed
    return [
        FolderEntry(name, name in special, name in parents, name in subscribed, special.get(name, ""))
        for name in sorted(names, key=_order)
    ]


def _order(name: str) -> list[str]:
    # INBOX first, children behind their parent.
    return ["" if part == "INBOX" and not n else part for n, part in enumerate(name.split("/"))]


def status(connection: sqlite3.Connection, folder_id: int) -> FolderStatus:
    """A folder's counters.

    Raises:
        MailboxError: NONEXISTENT.
    """
    row = connection.execute(_STATUS, (folder_id,)).fetchone()
    if row is None:
        raise MailboxError("NONEXISTENT", "there is no such folder")
    words = connection.execute("SELECT name FROM keywords WHERE folder = ? ORDER BY name", (folder_id,))
    return FolderStatus(*(*row, tuple(word for (word,) in words)))


def create(core: Core, name: str, special_use: str, *, most: int | None = None) -> FolderStatus:
    """Makes a folder; raises as AccountStore.create says.

    Args:
        special_use: "": the one the name is known by, if its folder is empty or not there.
        most: folders the account may have; None: as configured.
    """
    name = _check_own(maildir.check_name(name))
    discover(core)

    def work(connection: sqlite3.Connection) -> FolderStatus:
        if core.find(connection, name) is not None:
            raise MailboxError("ALREADYEXISTS", "there is a folder of that name")
        _check_room(core, connection, most)
        role = roles.for_new(connection, name, special_use)
        with core.disk("making a folder"):
            folder_id = _make(core, connection, name, role)
        rights.inherit(connection, folder_id, name)
        return status(connection, folder_id)

    made = core.db.change("making a folder", work, durable_commit=True)
    core.db.witness()
    return made


def _check_own(name: str) -> str:
    if split_shared(name) is not None:
        raise MailboxError("CANNOT", "this is what somebody else's folder would be called")
    return name


def _check_parent(connection: sqlite3.Connection, name: str) -> None:
    below = name + "/"
    row = connection.execute(
        "SELECT 1 FROM folders WHERE substr(name, 1, ?) = ? LIMIT 1", (len(below), below)
    ).fetchone()
    if row is not None:
        # RFC 9051 section 6.3.5: a name without a folder goes with the last one below it.
        raise MailboxError("HASCHILDREN", "there are folders below this name")


def named(core: Core, name: str) -> FolderRow:
    """The folder of that name, after a look at the disk; NONEXISTENT when it is not there."""
    name = maildir.check_name(name)
    discover(core)
    with core.db.read() as connection:
        folder = core.find(connection, name)
    if folder is None:
        raise no_folder()
    return folder


def with_named(core: Core, name: str, work: Callable[[FolderRow], T]) -> T:
    """Does `work` with the folder of that name, as `named` finds it; `again_if_gone`."""
    return again_if_gone(lambda: work(named(core, name)))


def no_folder(code: str = "NONEXISTENT") -> MailboxError:
    """TRYCREATE for the folder messages are meant for."""
    return MailboxError(code, "there is no folder of that name")


def delete(core: Core, name: str, *, only_empty: bool = False) -> None:
    """Removes a folder; its directory is set aside for a while.  Children stay.

    Args:
        only_empty: CANNOT while there are messages in it.
    """
    name = maildir.check_name(name)
    if name == "INBOX":
        raise MailboxError("CANNOT", "INBOX cannot be deleted")
    discover(core)

    def work(connection: sqlite3.Connection) -> FolderRow:
        folder = core.find(connection, name)
        if folder is None:
            _check_parent(connection, name)
            raise no_folder()
        if only_empty and status(connection, folder.id).messages:
            raise MailboxError("CANNOT", "there are messages in this folder")
        with core.disk("deleting a folder"):
            moved.append((aside.put_folder(core, connection, folder), folder))
            durable.sync_folder(core.maildir)
        forget(connection, folder.id)
        return folder

    moved: list[tuple[Path, FolderRow]] = []
    try:
        deleted = core.db.change("deleting a folder", work, durable_commit=True)
    except BaseException:
        for place, folder in moved:
            aside.put_back(place, folder)
        raise
    core.seen.times.pop(deleted.id, None)


def rename(core: Core, old: str, new: str) -> None:
    """Renames a folder with its children and their subscriptions; also a missing parent of some."""
    old, new = maildir.check_name(old), maildir.check_name(new)
    if old == "INBOX":
        raise ValueError("renaming INBOX moves its messages")
    discover(core)

    def work(connection: sqlite3.Connection) -> None:
        pairs = _to_rename(connection, old, new)
        with core.disk("renaming a folder"):
            done: list[tuple[str, str]] = []
            try:
                for folder_id, directory, target in pairs:
                    target_dir = maildir.folder_dir(target)
                    os.rename(core.path_of(directory), core.path_of(target_dir))
                    done.append((target_dir, directory))
                    connection.execute(
                        "UPDATE folders SET name = ?, dir = ? WHERE id = ?", (target, target_dir, folder_id)
                    )
                durable.sync_folder(core.maildir)
                _rename_rest(core, connection, old, new)
            except BaseException:
                for moved, before in reversed(done):
                    with contextlib.suppress(OSError):
                        os.rename(core.path_of(moved), core.path_of(before))
                raise

    core.db.change("renaming a folder", work, durable_commit=True)


def _rename_rest(core: Core, connection: sqlite3.Connection, old: str, new: str) -> None:
    """What is known by the name: subscriptions go with the folder, a role may come with it."""
    connection.execute(
        "UPDATE OR REPLACE subscriptions SET name = ? || substr(name, ?)"
        " WHERE name = ? OR substr(name, 1, ?) = ?",
        (new, len(old) + 1, old, len(old) + 1, old + "/"),
    )
    row = connection.execute("SELECT id, special_use FROM folders WHERE name = ?", (new,)).fetchone()
    if row is not None and not row[1]:
        role = roles.for_new(connection, new, "")
        if role:
            roles.put(connection, row[0], role, now=int(core.now()))


def _to_rename(connection: sqlite3.Connection, old: str, new: str) -> list[tuple[int, str, str]]:
    """(id, directory, new name) of the folder and its children, after all checks."""
    if new == old or new.startswith(old + "/"):
        raise MailboxError("CANNOT", "a folder cannot be moved into itself")
    _check_own(new)
    rows = connection.execute("SELECT id, dir, name FROM folders").fetchall()
    pairs = [
        (folder_id, directory, maildir.check_name(new + name[len(old) :]))
        for folder_id, directory, name in rows
        if name == old or name.startswith(old + "/")
    ]
    if not pairs:
        raise no_folder()
    taken = {name for _, _, name in rows}
    if new == "INBOX" or new in taken or any(target in taken for _, _, target in pairs):
        raise MailboxError("ALREADYEXISTS", "there is a folder of that name")
    return pairs


def subscribe(core: Core, name: str, subscribed: bool) -> None:
    """Remembers or forgets a subscription; the folder need not exist (RFC 3501 section 6.3.6)."""
    name = maildir.check_name(name)
    with core.db.write("subscribing", durable_commit=True) as connection:
        if not subscribed:
            connection.execute("DELETE FROM subscriptions WHERE name = ?", (name,))
            return
        (count,) = connection.execute("SELECT count(*) FROM subscriptions").fetchone()
        if count >= 2 * core.options.max_folders:
            raise MailboxError("LIMIT", "there are too many subscriptions")
        connection.execute("INSERT OR IGNORE INTO subscriptions (name) VALUES (?)", (name,))


def discover(core: Core) -> bool:
    """Adopts folders other programs made, follows those they renamed, drops those they removed.

    Cheap while nothing changed.  True when something had.
    """
    seen = core.seen
    with core.disk("reading the mailbox"):
        changed_ns = _changed_ns(core)
        if changed_ns == seen.folders:
            return False
    with core.db.read() as connection:
        known = {directory for (directory,) in connection.execute("SELECT dir FROM folders WHERE dir <> ''")}
    with core.disk("reading the mailbox"):
        maildir.make_folder(core.maildir)
        changed_ns = _changed_ns(core)
        settled = time.time_ns() - changed_ns > SETTLED_NS  # the kernel's clock stamps files
        present = set(maildir.list_folders(core.maildir))
    strange = {directory for directory in present - known if not is_adoptable(core, directory)}
    changed = present - strange != known
    if changed:
        changed = core.db.change("finding folders", lambda c: _discover(core, c), durable_commit=True)
        core.db.witness()
    if settled:
        seen.folders = changed_ns
    return changed


def _changed_ns(core: Core) -> int:
    try:
        return os.stat(core.maildir).st_mtime_ns
    except FileNotFoundError:
        return -1


def _discover(core: Core, connection: sqlite3.Connection) -> bool:
    with core.disk("reading the mailbox"):
        present = set(maildir.list_folders(core.maildir))
        rows = connection.execute("SELECT id, dir, object_id FROM folders WHERE dir <> ''").fetchall()
        known = {directory for _, directory, _ in rows}
        gone = {object_id: folder_id for folder_id, directory, object_id in rows if directory not in present}
        changed = False
        for directory in sorted(present - known):
            if not is_adoptable(core, directory):
                continue
            moved = gone.pop(maildir.read_marker(core.maildir / directory), None)
            if moved is None:
                changed |= _adopt(core, connection, directory)
            else:
                connection.execute(
                    "UPDATE folders SET name = ?, dir = ? WHERE id = ?",
                    (maildir.folder_name(directory), directory, moved),
                )
                changed = True
        for folder_id in gone.values():
            forget(connection, folder_id)
            changed = True
    return changed


def is_adoptable(core: Core, directory: str) -> bool:
    """True when a directory below Maildir/ could be a folder: its name, and a cur/ in it."""
    try:
        _check_own(maildir.folder_name(directory))
    except MailboxError:
        return False
    return maildir.is_directory(core.maildir / directory / "cur")


def _adopt(core: Core, connection: sqlite3.Connection, directory: str) -> bool:
    """Takes a directory in as a folder; False when its name or the limit forbids it."""
    if not is_adoptable(core, directory):
        return False
    name = maildir.folder_name(directory)
    if core.find(connection, name) is not None or _count(connection) >= core.options.max_folders:
        return False
    role = roles.for_new(connection, name, "", adopted=True)
    known = maildir.read_marker(core.maildir / directory)
    if (
        not _OBJECT_ID.match(known)
        or connection.execute("SELECT 1 FROM folders WHERE object_id = ?", (known,)).fetchone()
    ):
        known = ""  # none, or the directory is a copy of another
    _make(core, connection, name, role, known)
    return True


def _make(
    core: Core, connection: sqlite3.Connection, name: str, special_use: str, object_id: str = ""
) -> int:
    directory = maildir.folder_dir(name)
    object_id = object_id or new_object_id(core.random_bytes, "F")
    maildir.refuse_links([core.maildir / directory])
    maildir.make_folder(core.maildir / directory, marker=object_id)
    return _insert(core, connection, name, special_use, object_id)


def _insert(
    core: Core, connection: sqlite3.Connection, name: str, special_use: str, object_id: str = ""
) -> int:
    now = int(core.now())
    cursor = connection.execute(
        "INSERT INTO folders (name, dir, object_id, special_use, uid_validity, boot, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            name,
            maildir.folder_dir(name),
            object_id or new_object_id(core.random_bytes, "F"),
            special_use,
            next_validity(connection, now),
            core.db.boot,
            now,
        ),
    )
    return cursor.lastrowid or 0


def _count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM folders").fetchone()[0])


def _check_room(core: Core, connection: sqlite3.Connection, most: int | None) -> None:
    most = core.options.max_folders if most is None else most
    if _count(connection) >= most:
        raise MailboxError("LIMIT", f"an account may have {most} folders")


def forget(connection: sqlite3.Connection, folder_id: int) -> None:
    """Removes every row of a folder."""
    for table in ("messages", "expunged", "doomed", "keywords", "metadata", "rights"):
        connection.execute(f"DELETE FROM {table} WHERE folder = ?", (folder_id,))  # noqa: S608
    connection.execute("DELETE FROM folders WHERE id = ?", (folder_id,))
    roles.forget(connection, folder_id)
    fullness.eased(connection)
