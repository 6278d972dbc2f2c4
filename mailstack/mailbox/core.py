"""What every part of one account's store shares: its places, databases and options."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mailstack.disk import durable
from mailstack.disk.durable import GroupSync
from mailstack.mailbox import maildir
from mailstack.mailbox.account import AccountDatabase
from mailstack.mailbox.cache import Cache
from mailstack.mailbox.options import MailboxOptions
from mailstack.mailbox.text_index import TextIndex
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import MailboxError

if TYPE_CHECKING:
    from mailstack.mailbox.notices import Notices
    from mailstack.mailbox.worker import Worker


_MID_FOLDER = 4_294_967_296


def new_mid(folder_id: int, uid: int) -> int:
    """The number of a message for ever, and of all its copies: where it was first."""
    return folder_id * _MID_FOLDER + uid


def first_place(mid: int) -> tuple[int, int]:
    """The folder's id and the UID a message had first."""
    return divmod(mid, _MID_FOLDER)


class FolderRow(NamedTuple):
    """The columns of a folder that most work needs; `path` is its directory on disk."""

    id: int
    name: str
    dir: str
    uid_validity: int
    special_use: str
    boot: str
    path: str


class Seen:
    """What a process has looked at, of one account.db: of another one nothing of it is true.

    Attributes:
        folders: modification time (ns) of the directory that holds the folders.
        times: by folder, those of its new/ and cur/.
        copied_to: folders that were looked at before the first copy into them.
        index_swept: the full-text index was compared with the messages.
    """

    __slots__ = ("copied_to", "folders", "index_swept", "times")

    def __init__(self) -> None:
        self.folders = 0
        self.times: dict[int, tuple[int, int]] = {}
        self.copied_to: set[int] = set()
        self.index_swept = False


class Core:
    """One account, as the modules of this package see it.

    Attributes:
        seen: what was looked at; whoever writes into it has taken it before reading the database.
        scan_lock: one look at the disk at a time.
        notices: words for warnings of a full mailbox; None: nobody is warned.
    """

    def __init__(
        self,
        home: Path,
        *,
        now: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        options: MailboxOptions,
        group: GroupSync,
        worker: Worker,
        boot: str,
        prepare: Callable[[Core, sqlite3.Connection], None],
        opened: Callable[[Core, sqlite3.Connection], None],
        notices: Notices | None = None,
        place: Path | None = None,
    ) -> None:
        """Opens nothing yet.  `place`: where the databases lie; None: in the home."""
        place = place or home
        self.home = home
        self.maildir = home / "Maildir"
        self.address = maildir.address_of(home)
        self.now = now
        self.random_bytes = random_bytes
        self.options = options
        self.group = group
        self.worker = worker
        self.notices = notices
        self.seen = Seen()
        self.scan_lock = threading.RLock()
        self.cache = Cache(place)
        self.index = TextIndex(place)
        self.db = AccountDatabase(
            place,
            now=now,
            random_bytes=random_bytes,
            boot=boot,
            prepare=lambda connection: prepare(self, connection),
            opened=lambda connection: opened(self, connection),
            replaced=self.forget_looks,
        )

    def make_home(self) -> None:
        """Makes what is missing of the folder everything of the account lies in.

        Raises:
            TemporaryFailure: the disk is in trouble, or a link is in its place.
        """
        with self.disk("making the mailbox"):
            maildir.refuse_links([self.home.parent, self.home, self.maildir])
            if not self.home.is_dir():
                durable.make_folder(self.home)

    def forget_looks(self) -> None:
        """Everything is to be looked at again."""
        self.seen = Seen()

    def close(self, *, wait: bool = True) -> bool:
        """Closes the databases; they open again when used.  False: in use, with `wait` False."""
        if not self.db.close(wait=wait):
            return False
        self.cache.close(wait=wait)
        self.index.close(wait=wait)
        return True

    def path_of(self, directory: str) -> str:
        """The directory of a folder whose `dir` column this is."""
        return f"{self.maildir}/{directory}" if directory else str(self.maildir)

    def find(self, connection: sqlite3.Connection, name: str) -> FolderRow | None:
        """The folder of that checked name."""
        return self._folder(connection, "name", name)

    def get(self, connection: sqlite3.Connection, folder_id: int) -> FolderRow:
        """The folder with that id.

        Raises:
            MailboxError: NONEXISTENT, it was deleted.
        """
        found = self._folder(connection, "id", folder_id)
        if found is None:
            raise MailboxError("NONEXISTENT", "the folder is gone")
        return found

    def _folder(self, connection: sqlite3.Connection, column: str, value: str | int) -> FolderRow | None:
        query = _BY_NAME if column == "name" else _BY_ID
        row = connection.execute(query, (value,)).fetchone()
        return None if row is None else FolderRow._make((*row, self.path_of(row[2])))

    def tmp_path(self, name: str) -> str:
        """A file in tmp/, where messages are written before they get their name."""
        return os.path.join(self.maildir, "tmp", name)

    def new_base(self, *, copied: str = "") -> str:
        """A base name for a message file, unique for ever; it tells whether `copied` was delivered."""
        mark = maildir.COPY_MARK if maildir.is_delivered(copied) else ""
        return f"{int(self.now())}.R{self.random_bytes(10).hex()}{mark}.mailstack"

    @contextlib.contextmanager
    def disk(self, doing: str) -> Iterator[None]:
        """Turns OSError into TemporaryFailure, naming the account."""
        try:
            yield
        except OSError as error:
            found = durable.failure(error, f"{doing} for {self.address}")
            raise TemporaryFailure(found.why, status=found.status, fatal=found.fatal) from error


_COLUMNS = "SELECT id, name, dir, uid_validity, special_use, boot FROM folders WHERE "
_BY_NAME = _COLUMNS + "name = ?"
_BY_ID = _COLUMNS + "id = ?"


def directory_times(path: str) -> tuple[int, int]:
    """Modification times of a folder's new/ and cur/, in ns.

    Raises:
        FileNotFoundError: one of them is missing.
    """
    return os.stat(f"{path}/new").st_mtime_ns, os.stat(f"{path}/cur").st_mtime_ns
