"""The list of messages a POP3 session shows, and what it has fetched.

A unique id is made of the message's file name.  That stays the same when the folder is
moved through by other programs, when a message goes to another folder and comes back,
and when account.db is made again from the files; UIDs would not.

Standards: RFC 1939 section 7.
"""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import itertools
import re
import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from functools import partial

from mailstack.mailbox import maildir, messages, scan
from mailstack.mailbox.core import Core
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import MailboxError
from mailstack.model.maildrop import ID_OCTETS, Maildrop

#: Messages removed in one transaction.
BATCH = 2_000
_ATTEMPTS = 4
#: What mbsync and Dovecot append to a file name they did not make.
_ADDED = re.compile(r"(?:,[A-Z]=[0-9]+)+\Z")

_Row = tuple[int, int, int, int, str]


def load(core: Core, names: Sequence[str]) -> Maildrop:
    """The messages of these folders, in order of arrival; folders that are not there are left out.

    Raises:
        TemporaryFailure: the index cannot be read.
    """
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(MailboxError):  # deleted, or account.db was made anew at this moment
            return _load(core, _find(core, names))
    raise TemporaryFailure(f"the folders of {core.address} change again and again")


def _load(core: Core, folders: dict[int, str]) -> Maildrop:
    drop = Maildrop(tuple(folders), tuple(folders.values()))
    ids = bytearray()
    marks = array("Q")
    with core.db.read() as connection:
        connection.execute("BEGIN")
        try:
            for folder_id in folders:
                core.get(connection, folder_id)
            streams = [_rows(connection, at, folder_id) for at, folder_id in enumerate(folders)]
            for _, at, uid, size, base in heapq.merge(*streams):
                digest = _digest(base)
                drop.folder.append(at)
                drop.uids.append(uid)
                drop.sizes.append(size)
                ids += digest
                marks.append(int.from_bytes(digest[:8], "big"))
        finally:
            connection.execute("COMMIT")
    _tell_apart(ids, marks)
    return Maildrop(drop.folders, drop.names, drop.folder, drop.uids, drop.sizes, bytes(ids))


def _find(core: Core, names: Sequence[str]) -> dict[int, str]:
    """Id and name of the folders that exist, after a look at their files."""
    found = {}
    for name in dict.fromkeys(maildir.check_name(name) for name in names):
        with core.db.read() as connection:
            folder = core.find(connection, name)
        if folder is None:
            continue
        try:
            scan.refresh(core, folder.id)
        except TemporaryFailure as error:
            if error.fatal:
                raise
            core.worker.report(error)  # shown as it is known: reading goes on (promise P7)
        found[folder.id] = name
    return found


def _rows(connection: sqlite3.Connection, at: int, folder_id: int) -> Iterator[_Row]:
    # A message without a line end at its end gets one when it is sent.
    found = connection.execute(
        "SELECT saved_at, uid, size + 2 * open_end, base FROM messages WHERE folder = ? ORDER BY uid",
        (folder_id,),
    )
    for saved_at, uid, size, base in found:
        yield saved_at, at, uid, size, base


def _digest(base: str, copy: int = 0) -> bytes:
    if "," in base:
        base = _ADDED.sub("", base)
    text = f"{base}\0{copy}" if copy else base
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=ID_OCTETS).digest()


def _tell_apart(ids: bytearray, marks: array[int]) -> None:
    """Gives copies of one message, which share its file name, ids of their own."""
    ordered = sorted(marks)
    twice = {mark for mark, other in itertools.pairwise(ordered) if mark == other}
    if not twice:
        return
    seen: dict[int, int] = {}
    for at, mark in enumerate(marks):
        if mark not in twice:
            continue
        copy = seen[mark] = seen.get(mark, -1) + 1
        if copy:
            ids[at * ID_OCTETS : (at + 1) * ID_OCTETS] = _digest(f"{mark:x}", copy)


# -- what was fetched ---------------------------------------------------------------------


def note_fetched(core: Core, folder_id: int, uids: Sequence[int]) -> None:
    """Remembers when these messages were fetched for the first time.

    Raises:
        TemporaryFailure: the index cannot be written.
    """
    with core.db.write("noting what was fetched", durable_commit=False) as connection:
        # Not before what was fetched before, or a clock that is wrong for a moment removes it early.
        (last,) = connection.execute("SELECT coalesce(max(at), 0) FROM fetched").fetchone()
        now = max(int(core.now()), last)
        connection.executemany(
            "INSERT OR IGNORE INTO fetched (folder, uid, at) VALUES (?, ?, ?)",
            [(folder_id, uid, now) for uid in uids],
        )


def expire_fetched(core: Core, before: int) -> list[str]:
    """Expunges messages that were fetched by POP3 before that time, but none that is flagged.

    They go the way of every expunged message, so they can be restored.

    Args:
        before: Unix seconds.

    Returns:
        Names of the folders something was removed from.

    Raises:
        TemporaryFailure: the index cannot be written.
    """
    with core.db.read() as connection:
        old = connection.execute(
            "SELECT f.folder, f.uid, m.flags FROM fetched f LEFT JOIN messages m"
            " ON m.folder = f.folder AND m.uid = f.uid WHERE f.at < ? ORDER BY f.folder, f.uid",
            (before,),
        ).fetchall()
    due: dict[int, list[int]] = {}
    for folder_id, uid, flags in old:
        if flags is not None and not flags & 4:
            due.setdefault(folder_id, []).append(uid)
    names = [name for folder_id, uids in due.items() if (name := _expunge(core, folder_id, uids))]
    if any(flags is None for _, _, flags in old) or due:
        with core.db.write("forgetting what was fetched", durable_commit=False) as connection:
            connection.execute(
                "DELETE FROM fetched WHERE at < ? AND NOT EXISTS (SELECT 1 FROM messages m"
                " WHERE m.folder = fetched.folder AND m.uid = fetched.uid)",
                (before,),
            )
    return names


def _expunge(core: Core, folder_id: int, uids: Sequence[int]) -> str:
    """Removes messages that are still not flagged, in steps; gives the folder's name when it lost some."""
    gone = 0
    try:
        for begin in range(0, len(uids), BATCH):
            choose = partial(_unflagged, folder_id=folder_id, uids=uids[begin : begin + BATCH])
            gone += len(messages.expunge_chosen(core, folder_id, choose))
        with core.db.read() as connection:
            return core.get(connection, folder_id).name if gone else ""
    except MailboxError:
        return ""  # the folder was deleted


def _unflagged(connection: sqlite3.Connection, folder_id: int, uids: Sequence[int]) -> list[int]:
    found = messages.select(connection, folder_id, uids, "uid, flags")
    return [uid for uid, flags in found if not flags & 4]
