"""APPEND and REPLACE: messages written by a client, all or none.

The files are written and synced in tmp/ before the transaction; in it they get their
names, so a look at the disk never takes them for somebody else's.  As with delivery, the
COMMIT is synced only when something would be lost that a file cannot tell.

Standards: RFC 3501 section 6.3.11, RFC 3502, RFC 4315, RFC 8508.  Promises P1, P3.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from mailstack.disk.fault import fault_point
from mailstack.mailbox import files, folders, fullness, maildir, messages, quota, threads
from mailstack.mailbox.account import take_uids
from mailstack.mailbox.core import Core, new_mid
from mailstack.mailbox.files import Written
from mailstack.mailbox.storing import exists, insert, unlink
from mailstack.mime.links import Links
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import Appended, MailboxError, NewMessage
from mailstack.model.quota import Limits


class Replaced(NamedTuple):
    """The message that goes when the new one is there."""

    folder_id: int
    uid: int


def append(
    core: Core, limits: Limits, name: str, new: Sequence[NewMessage], *, replaced: Replaced | None = None
) -> Appended:
    """Stores messages, all or none, and removes `replaced` in the same transaction.

    See AccountStore.append and AccountStore.replace.
    """
    name = maildir.check_name(name)
    if not exists(core, name):
        raise folders.no_folder("TRYCREATE")
    job = _Job(core, limits, name, new, replaced)
    with core.disk("storing a message"):
        try:
            job.write()
            fault_point("mailbox.synced")
            folder_id, appended = core.db.change(
                "storing a message", job.commit, durable_commit=job.needs_row
            )
        except BaseException as error:
            # As in a move: what it replaces may be gone after a crash.
            if not (replaced is not None and isinstance(error, TemporaryFailure) and error.fatal):
                job.withdraw()
            raise
        fault_point("mailbox.row")
    if replaced is not None:
        core.worker.doomed(core)
    for uid, each in zip(appended.uids, job.written, strict=True):
        if each.data is not None:
            core.worker.texts(core, new_mid(folder_id, uid), each.data)
    return appended


class _Job:
    """One APPEND: files in tmp/, then names and rows."""

    def __init__(
        self, core: Core, limits: Limits, name: str, new: Sequence[NewMessage], replaced: Replaced | None
    ) -> None:
        self.written: list[Written] = []
        self._core = core
        self._limits = limits
        self._name = name
        self._new = new
        self._replaced = replaced
        self._now = int(core.now())
        self._keywords = [messages.check_keywords(message.keywords) for message in new]
        self._links: list[Links] = []
        self._placed: list[str] = []

    @property
    def needs_row(self) -> bool:
        """Something is in the rows that their files do not tell: keywords, or what is removed."""
        return self._replaced is not None or any(self._keywords)

    def write(self) -> None:
        """Writes every file, synced, without a name a reader would see."""
        for message in self._new:
            tmp = self._core.tmp_path(self._core.new_base())
            self.written.append(files.write_message(tmp, message, internal_at=self._date(message)))
            self._links.append(threads.links_of(self.written[-1]))

    def withdraw(self) -> None:
        """Removes every file again."""
        for path in [*self._placed, *(each.path for each in self.written)]:
            unlink(path)

    def commit(self, connection: sqlite3.Connection) -> tuple[int, Appended]:
        """Names and rows; gives the folder's id too."""
        core = self._core
        folder = core.find(connection, self._name)
        if folder is None:
            raise folders.no_folder("TRYCREATE")
        if self._replaced is not None:
            self._remove(connection, self._replaced)
        quota.check(connection, self._limits, folder.special_use, [each.size for each in self.written])
        words = [messages.know_keywords(core, connection, folder.id, each) for each in self._keywords]
        first, modseq = take_uids(connection, folder.id, len(self._new))
        rows = []
        for uid, message, each, own, found in zip(
            itertools.count(first), self._new, self.written, words, self._links
        ):
            flags, joined = int(message.flags) & 31, " ".join(own)
            letters = maildir.letters_of(maildir.bits_of(flags, joined))
            base = os.path.basename(each.path)
            self._place(each.path, f"{folder.path}/{maildir.file_name(base, 1, letters)}")
            mid = new_mid(folder.id, uid)
            rows.append(
                (folder.id, uid, base, 1, letters, flags, joined, modseq, each.size, None,
                 self._date(message), self._now, mid, 0, threads.join(connection, found, mid))
            )  # fmt: skip
        fault_point("mailbox.renamed")
        core.group.sync(f"{folder.path}/cur")
        fault_point("mailbox.folder_synced")
        insert(connection, folder.id, rows)
        fullness.watch(core, connection, self._limits)
        open_ends = [row[1] for row, each in zip(rows, self.written, strict=True) if each.open_end]
        messages.note_open_ends(connection, folder.id, open_ends)
        return folder.id, Appended(folder.uid_validity, tuple(row[1] for row in rows))

    def _date(self, message: NewMessage) -> int:
        return self._now if message.internal_at is None else message.internal_at

    def _place(self, path: str, final: str) -> None:
        os.rename(path, final)
        self._placed.append(final)

    def _remove(self, connection: sqlite3.Connection, replaced: Replaced) -> None:
        # First of all: a transaction that runs out of reserved numbers is begun again,
        # which must not be when files have their names already.
        self._core.get(connection, replaced.folder_id)
        keep = self._core.options.expunged_keep_days > 0
        try:
            messages.remove(connection, replaced.folder_id, [replaced.uid], keep=keep)
        except messages.Unchanged:
            raise MailboxError("EXPUNGEISSUED", "the message to replace is gone") from None
