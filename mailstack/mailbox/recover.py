"""Checking, mending and rebuilding a mailbox from its Maildir.

`verify` only looks; with `repair` it brings index and files together and never removes
a message.  A database of which only indexes are damaged keeps every UID.  `rebuild` is
for one that is lost or damaged otherwise: the files are the truth, flags come from their
names, what else can still be read is kept (`rebuilding`, `salvage`), and UIDVALIDITY is another.
All of it works while daemons run.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mailstack.disk import durable
from mailstack.disk.sqlite import open_database
from mailstack.mailbox import counting, folders, homes, maildir, messages, ready, salvage, scan
from mailstack.mailbox.core import Core, FolderRow
from mailstack.mailbox.options import MailboxOptions
from mailstack.mailbox.rebuilding import Rebuilt, alone, rebuild, set_aside
from mailstack.mailbox.store import MailStore
from mailstack.model.address import Address, AddressError
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import MailboxError

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        account: address whose mailbox it is.
        what: one sentence.
        repaired: it was put right.
    """

    account: str
    what: str
    repaired: bool = False


def verify_all(
    root: Path,
    repair: bool,
    *,
    now: Callable[[], float],
    random_bytes: Callable[[int], bytes],
    options: MailboxOptions | None = None,
) -> list[Finding]:
    """Checks every mailbox below `root`; see `verify`."""
    store = MailStore(root, now=now, random_bytes=random_bytes, options=options)
    findings: list[Finding] = []
    try:
        for home in homes.homes(root):
            name = maildir.address_of(home)
            try:
                address = Address.parse(name)
            except AddressError:
                findings.append(Finding(name, f"{home} is the home of no address"))
                continue
            if maildir.account_home(root, address) != home:
                findings.append(Finding(name, f"{home} is not where this address lives"))
                continue
            findings += verify(store, address, repair=repair)
    finally:
        store.close()
    return findings


def verify(store: MailStore, address: Address, *, repair: bool) -> list[Finding]:
    """Compares a mailbox's index with its files; never raises for what it finds.

    Args:
        repair: puts right what can be: files get rows, rows without files go, counters
            are counted anew, UIDNEXT goes on behind its reserved block.

    Raises:
        PermanentFailure: 1.1, there is no such mailbox.
    """
    core = store.existing(address).core
    check = _Check(core, repair=repair)
    try:
        check.before()
        if check.is_usable() or (repair and _replace(check, store, address)):
            check.run()
    except (TemporaryFailure, MailboxError, OSError) as error:
        check.note(str(error))
    return check.findings


def _replace(check: _Check, store: MailStore, address: Address) -> bool:
    """Makes a damaged database anew; always True."""
    rebuilt = rebuild(store, address)
    check.settle(
        f"made anew from the files: {rebuilt.messages} messages in {rebuilt.folders} folders; mail programs"
        f" will fetch everything again; {rebuilt.kept}; the old one is kept as {rebuilt.set_aside}"
    )
    return True


def _mend(core: Core, problems: list[str]) -> str:
    """Puts a copy with fresh indexes in the database's place; gives the old one's name, "" if it cannot."""
    core.close()
    copy = core.home / "account.db.mended"
    with alone(core):
        copy.unlink(missing_ok=True)
        if not salvage.copy_rows(core.db.path, problems, copy):
            return ""
        aside = set_aside(core)
        os.rename(copy, core.db.path)
        durable.sync_folder(core.home)
    return aside


__all__ = ["Finding", "Rebuilt", "rebuild", "verify", "verify_all"]


class _Check:
    """One account, one look."""

    def __init__(self, core: Core, *, repair: bool) -> None:
        self.findings: list[Finding] = []
        self._core = core
        self._repair = repair

    def note(self, what: str, *, repaired: bool = False) -> None:
        """Adds a finding."""
        self.findings.append(Finding(self._core.address, what, repaired))

    def before(self) -> None:
        """What can only be seen while the database is not open yet; opening it puts it right."""
        path = self._core.db.path
        if not path.exists():
            if maildir.is_directory(self._core.maildir / "cur"):
                self.note(
                    "account.db is missing and is made anew from the files: mail programs will fetch"
                    " everything again",
                    repaired=True,
                )
            return
        generation, (witnessed, _) = counting.read_generation(path), counting.read_witness(path.parent)
        if generation is not None and generation < witnessed:
            self.note(
                "account.db is older than the numbers given out, as after a restored backup: every folder"
                " gets a new UIDVALIDITY",
                repaired=True,
            )

    def is_usable(self) -> bool:
        """False when the database is damaged beyond its indexes."""
        why = ""
        try:
            with self._core.db.read("checking account.db") as connection:
                problems = salvage.problems(connection)
            if not problems:
                return True
            why = f"account.db is damaged ({problems[0]})"
            if self._repair and (aside := _mend(self._core, problems)):
                how = f"indexes were made anew, nothing is lost; the old one is kept as {aside}"
                self.note(f"{why}; {how}", repaired=True)
                return True
        except TemporaryFailure as error:
            if "damaged" not in error.why:
                raise
            why = error.why
        self.note(why if "run '" in why else f"{why}; run 'mailstack mailbox verify --repair'")
        return False

    def settle(self, how: str) -> None:
        """The last finding was put right."""
        last = self.findings.pop()
        self.note(f"{last.what.partition('; run ')[0]}; {how}", repaired=True)

    def run(self) -> None:
        """Every check of a database that can be used."""
        core = self._core
        self._directories()
        with core.db.read() as connection:
            known = [core.get(connection, row[0]) for row in connection.execute("SELECT id FROM folders")]
        for folder in known:
            self._folder(folder)
        if self._repair:
            with core.db.write("going on behind reserved UIDs", durable_commit=True) as connection:
                counting.jump(connection)
            core.worker.doomed(core)
            core.worker.names(core)
            core.worker.flush(core)
        self._cache()

    def _directories(self) -> None:
        core = self._core
        with core.db.read() as connection:
            known = {
                directory for (directory,) in connection.execute("SELECT dir FROM folders WHERE dir <> ''")
            }
        present = set(maildir.list_folders(core.maildir)) if maildir.is_directory(core.maildir) else set()
        for directory in sorted(present - known):
            try:
                name = maildir.folder_name(directory)
            except MailboxError as error:
                self.note(f"Maildir/{directory} is no folder: {error.text}")
                continue
            if folders.is_adoptable(core, directory):
                self.note(f"folder {name} is not in the index", repaired=self._repair)
        for directory in sorted(known - present):
            self.note(f"the directory Maildir/{directory} of a folder is missing", repaired=self._repair)
        if self._repair:
            core.seen.folders = 0
            folders.discover(core)

    def _folder(self, folder: FolderRow) -> None:
        core = self._core
        for name in maildir.SUBFOLDERS:
            if not maildir.is_directory(f"{folder.path}/{name}"):
                self.note(f"{folder.name}: the directory {name}/ is missing", repaired=self._repair)
                if not self._repair:
                    return
        if self._repair:
            maildir.refuse_links([core.maildir / folder.dir])
            maildir.make_folder(core.maildir / folder.dir)
        self._odd_entries(folder)
        difference = scan.difference(core, folder, full=True)
        for base, file in list(difference.unknown.items()):
            status = self._status(folder, file.name)
            if status is None or not stat.S_ISREG(status.st_mode):
                del difference.unknown[base]
        for count, what in (
            (len(difference.unknown), "files without a row"),
            (len(difference.missing), "rows without a file"),
            (len(difference.moved), "files under another name than noted"),
        ):
            if count:
                self.note(f"{folder.name}: {count} {what}", repaired=self._repair)
        if self._repair:
            scan.refresh(core, folder.id, force=True)
        self._sizes(folder)
        self._numbers(folder)

    def _odd_entries(self, folder: FolderRow) -> None:
        odd = []
        bases: Counter[str] = Counter()
        for sub in ("new", "cur"):
            with os.scandir(f"{folder.path}/{sub}") as entries:
                for entry in entries:
                    base = entry.name.partition(":")[0]
                    if entry.is_file(follow_symlinks=False) and scan.is_message_name(entry.name, base):
                        bases[base] += 1
                    elif not entry.name.startswith("."):
                        odd.append(f"{sub}/{entry.name}")
        for name in sorted(odd)[:_SHOWN]:
            self.note(f"{folder.name}: {name!r} is no message file and is not shown")
        for base in [base for base, number in bases.items() if number > 1][:_SHOWN]:
            self.note(f"{folder.name}: there are several files named {base!r}; one of them is shown")

    def _sizes(self, folder: FolderRow) -> None:
        core = self._core
        with core.db.read() as connection:
            rows = connection.execute(
                "SELECT uid, base, sub, letters, coalesce(disk_size, size) FROM messages WHERE folder = ?",
                (folder.id,),
            ).fetchall()
        for uid, base, sub, letters, size in rows:
            name = maildir.file_name(base, sub, letters)
            status = self._status(folder, name)
            if status is None or (stat.S_ISREG(status.st_mode) and status.st_size == size):
                continue
            self.note(f"{folder.name}: message {uid} changed on disk", repaired=self._repair)
            if self._repair:
                with contextlib.suppress(MailboxError):
                    scan.replaced(core, folder.id, uid)

    def _status(self, folder: FolderRow, name: str) -> os.stat_result | None:
        """What the system says of a file; None when it is gone or cannot be looked at."""
        try:
            return os.lstat(f"{folder.path}/{name}")
        except FileNotFoundError:
            return None
        except OSError as error:
            self.note(f"{folder.name}: {name} cannot be read: {error.strerror}")
            return None

    def _numbers(self, folder: FolderRow) -> None:
        with self._core.db.write("checking counters", durable_commit=True) as connection:
            if messages.recount(connection, folder.id, only_look=not self._repair):
                self.note(f"{folder.name}: the counters were wrong", repaired=self._repair)
            row = connection.execute(
                "SELECT uid_next, modseq, (SELECT max(uid) FROM messages WHERE folder = f.id),"
                " (SELECT max(modseq) FROM messages WHERE folder = f.id) FROM folders f WHERE id = ?",
                (folder.id,),
            ).fetchone()
            if row is None or row[2] is None or (row[0] > row[2] and row[1] >= row[3]):
                return
            self.note(f"{folder.name}: UIDNEXT or MODSEQ is behind its messages", repaired=self._repair)
            if self._repair:
                uid, modseq = max(row[0], row[2] + 1), max(row[1], row[3])
                connection.execute(
                    "UPDATE folders SET uid_next = ?, uid_reserved = max(uid_reserved, ?), modseq = ?,"
                    " modseq_reserved = max(modseq_reserved, ?) WHERE id = ?",
                    (uid, uid, modseq, modseq, folder.id),
                )

    def _cache(self) -> None:
        core = self._core
        for path, remove in ((core.cache.path, core.cache.remove), (core.index.path, core.index.remove)):
            if not _is_sound(path):
                self.note(f"{path.name} is damaged; it is only thrown away", repaired=self._repair)
                if self._repair:
                    remove()
        if self._repair:
            ready.sweep(core)


def _is_sound(path: Path) -> bool:
    if not path.exists():
        return True
    try:
        connection = open_database(path, read_only=True)
    except TemporaryFailure as error:
        return "damaged" not in error.why
    try:
        return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.OperationalError:
        return True  # locked
    except sqlite3.DatabaseError:
        return False
    finally:
        connection.close()
