"""The mail store of one process: accounts by address, each an AccountStore.

Blocking, and safe to use from any thread.  Several processes may use the same store at
once.  An account is opened when it is first used; only so many stay open, the others
open themselves again when somebody still holds them.
"""

from __future__ import annotations

import resource
import sqlite3
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mailstack.disk.durable import GroupSync
from mailstack.mailbox import (
    appending,
    background,
    columns,
    files,
    folders,
    fullness,
    indexing,
    maildir,
    maildrop,
    messages,
    opening,
    quota,
    ready,
    scan,
    storing,
    threads,
)
from mailstack.mailbox.core import Core, FolderRow
from mailstack.mailbox.details import Details
from mailstack.mailbox.notices import Notices
from mailstack.mailbox.notices import write as write_warning
from mailstack.mailbox.options import MailboxOptions
from mailstack.mailbox.presence import boot_id
from mailstack.mailbox.worker import Worker
from mailstack.model.address import Address
from mailstack.model.directory import Account as DirectoryAccount
from mailstack.model.errors import PermanentFailure, TemporaryFailure
from mailstack.model.mailbox import (
    Appended,
    Copied,
    Delivery,
    FlagChange,
    FlagOperation,
    Flags,
    FolderEntry,
    FolderStatus,
    MailboxError,
    MessageColumns,
    MessageFields,
    MessageRow,
    MessageTexts,
    Needle,
    NewMessage,
    TextHits,
)
from mailstack.model.maildrop import Maildrop
from mailstack.model.quota import Limits, QuotaState


class MailStore:
    """Every account's mailboxes below one root."""

    def __init__(
        self,
        root: Path,
        *,
        now: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        options: MailboxOptions | None = None,
        boot: str | None = None,
        trouble: Callable[[TemporaryFailure], None] | None = None,
        index: bool = False,
        notices: Notices | None = None,
    ) -> None:
        """Opens nothing yet.

        Args:
            root: folder of the account homes; made when it is missing.
            now: Unix seconds.
            random_bytes: for names and ids nobody may guess.
            boot: id of this boot; None: the system's.  After another one, counting goes
                on behind what had been reserved.
            trouble: told of failures in the background, where nobody waits; a fatal one
                means that the process must stop (promise P8).
            index: keeps the full-text index of the accounts it opens up with their messages.
            notices: words for warnings of a nearly full mailbox; None: nobody is warned.
        """
        self.root = root
        self._now = now
        self._random_bytes = random_bytes
        self._options = options or MailboxOptions()
        self._max_open = _max_open(self._options.max_open_accounts)
        self._boot = boot_id() if boot is None else boot
        self._group = GroupSync()
        self._trouble = trouble
        self._notices = notices
        jobs = {**background.JOBS, "notices": write_warning}
        if index:
            jobs["index"] = indexing.build
        self._worker = Worker(self._options, self._report, jobs)
        self._lock = threading.Lock()
        self._cores: weakref.WeakValueDictionary[str, Core] = weakref.WeakValueDictionary()
        self._open: OrderedDict[str, Core] = OrderedDict()
        #: The last failure in the background; None: none yet.
        self.last_trouble: TemporaryFailure | None = None

    def account(self, address: Address, limits: Limits = quota.UNLIMITED) -> Account:
        """The account's store; its home and default folders are made at first use.

        Args:
            limits: what the account may hold.

        Raises:
            TemporaryFailure: the home cannot be made or opened.
        """
        home = maildir.account_home(self.root, address)
        key = str(home)
        with self._lock:
            core = self._cores.get(key)
            if core is None:
                core = self._cores[key] = self._core(home)
        if not maildir.is_directory(home):
            core.close()  # removed meanwhile, and wanted again
            core.make_home()
        self._used(core)
        return Account(core, limits)

    def of(self, owner: DirectoryAccount) -> Account:
        """As `account`, with the limits the directory and the configuration give."""
        return self.account(owner.address, quota.limits_of(owner, self._options))

    def exists(self, address: Address) -> bool:
        """True when the account has a home already."""
        return maildir.is_directory(maildir.account_home(self.root, address))

    def existing(self, address: Address) -> Account:
        """As `account`, of one that has a home already.

        Raises:
            PermanentFailure: it has none.
            TemporaryFailure: the home cannot be opened.
        """
        if not self.exists(address):
            raise PermanentFailure(f"there is no mailbox of {address}", status="1.1")
        return self.account(address)

    def keep_index(self, address: Address) -> None:
        """An account's full-text index catches up soon, if this process keeps it.

        Raises:
            TemporaryFailure: the home cannot be opened.
        """
        if self.exists(address):
            self._worker.index(self.account(address).core)

    def flush(self) -> None:
        """Does now what waits in the background: cache rows, file names, removed files.

        Raises:
            TemporaryFailure: the disk is in trouble.
        """
        self._worker.flush()

    def idle(self, seconds: float) -> list[str]:
        """Addresses of open accounts that were not used for so long; for `rest`."""
        before = time.monotonic() - seconds
        with self._lock:
            cores = list(self._open.values())
        return [core.address for core in cores if core.db.is_open and core.db.used_at < before]

    def rest(self, address: str) -> None:
        """Closes an account's databases, unless they are in use; they open again when needed."""
        with self._lock:
            cores = [core for core in self._open.values() if core.address == address]
        for core in cores:
            core.close(wait=False)

    def close(self) -> None:
        """Finishes the background work and closes every account.

        Raises:
            TemporaryFailure: the disk is in trouble; what was answered OK is safe.
        """
        try:
            self._worker.close()
        finally:
            with self._lock:
                cores = list(self._cores.values())
                self._open.clear()
            for core in cores:
                core.close()

    def _core(self, home: Path) -> Core:
        core = Core(
            home,
            now=self._now,
            random_bytes=self._random_bytes,
            options=self._options,
            group=self._group,
            worker=self._worker,
            boot=self._boot,
            prepare=folders.prepare,
            opened=self._opened,
            notices=self._notices,
        )
        core.make_home()
        return core

    def _opened(self, core: Core, connection: sqlite3.Connection) -> None:
        """An account opened its database: what was left undone is done, others may close."""
        older_than = self._now() - self._options.tmp_keep_hours * 3600
        with core.disk("sweeping tmp/"):
            maildir.sweep_tmp(core.maildir, older_than=older_than)
        if connection.execute("SELECT 1 FROM doomed LIMIT 1").fetchone():
            self._worker.doomed(core)
        if connection.execute("SELECT 1 FROM messages WHERE dirty = 1 LIMIT 1").fetchone():
            self._worker.names(core)
        if fullness.recall(connection).notice_at:
            self._worker.notices(core)
        self._used(core)

    def _used(self, core: Core) -> None:
        victims = []
        with self._lock:
            self._open[str(core.home)] = core
            self._open.move_to_end(str(core.home))
            while len(self._open) > self._max_open:
                victims.append(self._open.popitem(last=False)[1])
        for victim in victims:
            if not victim.close(wait=False):
                with self._lock:  # in use this moment: its turn comes again
                    self._open.setdefault(str(victim.home), victim)

    def _report(self, error: TemporaryFailure) -> None:
        self.last_trouble = error
        if self._trouble is not None:
            self._trouble(error)


def _max_open(wanted: int) -> int:
    """How many accounts fit: each may hold twelve files open, and half of them are for others."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if files == resource.RLIM_INFINITY else max(min(wanted, files // 24), 1)


class Account(Details):
    """One account; implements model.mailbox.AccountStore, where the methods are described.

    Attributes:
        limits: what it may hold.
    """

    def __init__(self, core: Core, limits: Limits = quota.UNLIMITED) -> None:
        self.core = core
        self.limits = limits

    def folders(self) -> list[FolderEntry]:
        """All folders, missing parents and subscriptions without a folder, sorted."""
        return folders.entries(self.core)

    def status(self, name: str) -> FolderStatus:
        """Counters, after a look at the disk; NONEXISTENT when it is not there."""

        def look(folder: FolderRow) -> FolderStatus:
            self.refresh(folder.id)
            with self.core.db.read() as connection:
                return folders.status(connection, folder.id)

        return folders.with_named(self.core, name, look)

    def create(self, name: str, *, special_use: str = "") -> FolderStatus:
        """Makes a folder; ALREADYEXISTS, CANNOT, LIMIT."""
        return folders.create(self.core, name, special_use, most=self.limits.folders)

    def delete(self, name: str) -> None:
        """Removes a folder; its directory is set aside; CANNOT, NONEXISTENT."""
        folders.delete(self.core, name)

    def delete_empty(self, name: str) -> bool:
        """As `delete`; False when there are messages in the folder."""
        self.status(name)  # looks at the disk
        try:
            folders.delete(self.core, name, only_empty=True)
        except MailboxError as error:
            if error.code != "CANNOT":
                raise
            return False
        return True

    def rename(self, old: str, new: str) -> None:
        """Renames with children; INBOX: moves its messages to a new folder."""
        if maildir.check_name(old) != "INBOX":
            folders.rename(self.core, old, new)
            return
        inbox = self.status("INBOX")
        made = folders.create(self.core, new, "", most=self.limits.folders)
        try:
            self.move(inbox.id, [row.uid for row in self.rows(inbox.id)], new)
        except (MailboxError, TemporaryFailure) as error:
            if not (isinstance(error, TemporaryFailure) and error.fatal):
                self.delete_empty(new)
            raise
        self.copy_annotations(inbox.id, made.id)

    def subscribe(self, name: str, *, subscribed: bool) -> None:
        """Remembers a subscription, also of a name that does not exist."""
        folders.subscribe(self.core, name, subscribed)

    def refresh(self, folder_id: int) -> bool:
        """Looks for files changed by other programs; True when something changed.

        When the index cannot be written (disk full, read-only, locked) it is shown as it
        is: reading goes on (promise P7).
        """
        try:
            return scan.refresh(self.core, folder_id)
        except TemporaryFailure as error:
            if error.fatal:
                raise
            self.core.worker.report(error)
            return False

    def is_open(self) -> bool:
        """Cheap: True while its database is, and is the one in its place."""
        return self.core.db.is_ready

    def is_settled(self, folder_id: int) -> bool:
        """Cheap: True when `refresh` would find nothing; NONEXISTENT when the folder was deleted."""
        return scan.is_settled(self.core, folder_id)

    def directory(self, folder_id: int | None) -> str:
        """Where a folder's new/ and cur/ lie; None: what holds all folders."""
        if folder_id is None:
            return str(self.core.maildir)
        with self.core.db.read() as connection:
            return self.core.get(connection, folder_id).path

    def highest_modseq(self, folder_id: int) -> int:
        """Cheap: has anything changed?  NONEXISTENT when the folder was deleted."""
        with self.core.db.read() as connection:
            row = connection.execute("SELECT modseq FROM folders WHERE id = ?", (folder_id,)).fetchone()
        if row is None:
            raise MailboxError("NONEXISTENT", "the folder is gone")
        return int(row[0])

    def rows(self, folder_id: int, *, since_modseq: int = 0) -> list[MessageRow]:
        """Messages by ascending UID; with since_modseq only those changed after it."""
        self.core.worker.index(self.core)
        return messages.rows(self.core, folder_id, since_modseq)

    def details(self, folder_id: int, uids: Sequence[int]) -> dict[int, MessageRow]:
        """Rows by UID, each with its thread; messages that are gone are left out."""
        return threads.details(self.core, self, folder_id, uids)

    def columns(self, folder_id: int) -> MessageColumns:
        """All messages, column by column."""
        self.core.worker.index(self.core)
        return columns.columns(self.core, folder_id)

    def expunged(self, folder_id: int, *, since_modseq: int) -> list[tuple[int, int]]:
        """UIDs expunged after that MODSEQ, as ascending ranges."""
        return messages.expunged(self.core, folder_id, since_modseq)

    def claim_recent(self, folder_id: int) -> int:
        """First UID nobody has been told of as recent; marks all as told."""
        return messages.claim_recent(self.core, folder_id)

    def texts(
        self, folder_id: int, uids: Sequence[int], *, ready_only: bool = False
    ) -> dict[int, MessageTexts]:
        """Ready-made texts, the missing made now unless `ready_only`; messages that are gone are left out."""
        return ready.texts(self.core, folder_id, uids, ready_only=ready_only)

    def fields(self, folder_id: int, uids: Sequence[int]) -> dict[int, MessageFields]:
        """What to sort and thread by; messages that are gone are left out."""
        return ready.fields(self.core, folder_id, uids)

    def headers(self, folder_id: int, uids: Sequence[int]) -> dict[int, bytes]:
        """The header fields of `mime.heads.KEPT`; those that must be read from the message are left out."""
        return ready.headers(self.core, folder_id, uids)

    def find_text(self, folder_id: int, needles: Sequence[Needle]) -> list[TextHits]:
        """Where needles are, one answer for each; never looks into files."""
        return indexing.find(self.core, folder_id, needles)

    def open(self, folder_id: int, uid: int) -> files.OpenMessage:
        """The message; UNAVAILABLE when its file cannot be read, EXPUNGEISSUED when gone."""
        return opening.open_message(self.core, folder_id, uid)

    def was_delivered(self, folder_id: int, uid: int) -> bool:
        """True when it was delivered here, and no mail program has uploaded it."""
        return opening.was_delivered(self.core, folder_id, uid)

    def change_flags(
        self,
        folder_id: int,
        uids: Sequence[int],
        operation: FlagOperation,
        *,
        flags: Flags,
        keywords: Iterable[str] = (),
        unchanged_since: int | None = None,
    ) -> FlagChange:
        """Adds, removes or replaces; LIMIT for keywords."""
        return messages.change_flags(
            self.core, folder_id, uids, operation, flags, keywords, unchanged_since=unchanged_since
        )

    def expunge(self, folder_id: int, uids: Sequence[int], *, only_marked: bool = False) -> list[int]:
        """Removes these messages, or those of them marked \\Deleted; gives the UIDs removed."""
        return messages.expunge(self.core, folder_id, uids, only_marked=only_marked)

    def copy(self, folder_id: int, uids: Sequence[int], target: str) -> Copied:
        """All or nothing; TRYCREATE, OVERQUOTA."""
        return storing.copy(self.core, self.limits, folder_id, uids, target, move=False)

    def move(self, folder_id: int, uids: Sequence[int], target: str) -> Copied:
        """As copy, and the originals are expunged in the same breath."""
        return storing.copy(self.core, self.limits, folder_id, uids, target, move=True)

    def append(self, name: str, messages: Sequence[NewMessage]) -> Appended:
        """All or nothing; TRYCREATE, OVERQUOTA."""
        return appending.append(self.core, self.limits, name, messages)

    def replace(self, folder_id: int, uid: int, name: str, message: NewMessage) -> Appended:
        """Stores a message and removes another in one transaction; TRYCREATE, OVERQUOTA, EXPUNGEISSUED."""
        replaced = appending.Replaced(folder_id, uid)
        return appending.append(self.core, self.limits, name, [message], replaced=replaced)

    def deliver(
        self,
        name: str,
        message: NewMessage,
        *,
        base_name: str,
        prefix: bytes = b"",
        cuts: Sequence[tuple[int, int]] = (),
        create: bool = False,
    ) -> Delivery:
        """Stores a message under a deterministic name, durably, once."""
        return storing.deliver(
            self.core,
            name,
            message,
            base_name=base_name,
            prefix=prefix,
            cuts=cuts,
            create=create,
            limits=self.limits,
        )

    def maildrop(self, names: Sequence[str]) -> Maildrop:
        """The messages of these folders as one list, in order of arrival."""
        return maildrop.load(self.core, names)

    def note_fetched(self, folder_id: int, uids: Sequence[int]) -> None:
        """Remembers that POP3 fetched these messages."""
        maildrop.note_fetched(self.core, folder_id, uids)

    def expire_fetched(self, before: int) -> list[str]:
        """Expunges what POP3 fetched before that time, but nothing flagged."""
        return maildrop.expire_fetched(self.core, before)

    def quota(self) -> QuotaState:
        """What is used and what may be, outside Spam and Trash."""
        with self.core.db.read() as connection:
            return quota.state(connection, self.limits)

    def full_for_s(self) -> int | None:
        """How long the account has been full, in seconds; None while there is room.

        What is found is remembered durably.
        """
        core, now = self.core, int(self.core.now())
        with core.db.read() as connection:
            memory = fullness.recall(connection)
            is_news = fullness.is_news(connection, self.limits, now)
        if is_news:
            with core.db.write("noting how full it is", durable_commit=True) as connection:
                fullness.watch(core, connection, self.limits)
                memory = fullness.recall(connection)
        return memory.full_for_s if memory.full_since else None
