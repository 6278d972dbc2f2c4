"""What other programs do to the folders that sessions wait on, as soon as they do it.

inotify tells which directory changed; a moment later (by then a file of our own has its
row) the folder is looked at in a thread, and whoever waits on it and knows an older state
is woken.  A folder that cannot be watched (no inotify, no watches left, more folders than
`watch_directories`) is looked at once every `poll_s` instead.

Our own processes cause events too; such a look finds everything in order and is cheap, and
no folder is looked at more often than every `REST_S`, or for more than 5 % of the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from collections.abc import Coroutine, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final, Protocol

from mailstack.disk.inotify import Inotify
from mailstack.imap.options import ImapOptions
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import AccountStore, MailboxError
from mailstack.net.session_hub import AtWork

#: From an event to the look.  A delivery's row is there this long after its file.
DELAY_S: Final = 0.03
#: Between two looks at one folder; and this many times as long as the last one took.
REST_S: Final = 0.2
REST_FACTOR: Final = 20
#: Looks at the same time.
MAX_LOOKS: Final = 4
#: Folders nobody waits on any more are forgotten, and missing watches tried again.
TIDY_S: Final = 30.0
#: Events may be lost in ways nobody says (network file systems): a look at all of them.
CHECK_S: Final = 300.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Watched:
    """A folder a session waits on, and the state its client knows.

    Attributes:
        key: address key of the account that owns the folder.
    """

    key: str
    store: AccountStore
    folder_id: int
    name: str
    modseq: int


class Waiting(Protocol):
    """A connection, as seen from here."""

    def watched(self) -> Sequence[Watched]:
        """The folders it waits on now."""
        ...

    def poke(self, folder: str) -> None:
        """A folder has changed; "": the list of folders."""
        ...


class _Folder:
    """One folder, or with the id None the directory that holds an account's folders."""

    __slots__ = ("id", "key", "rested_at", "store", "timer", "waiting", "watches")

    def __init__(self, key: str, folder_id: int | None, store: AccountStore) -> None:
        self.key = key
        self.id = folder_id
        self.store = store
        self.waiting: set[Waiting] = set()
        self.watches: tuple[int, ...] = ()
        self.timer: asyncio.TimerHandle | None = None
        self.rested_at = 0.0


class FolderWatch:
    """The folders of one event loop's waiting sessions."""

    def __init__(self, options: ImapOptions, executor: Executor, at_work: AtWork) -> None:
        """`at_work`: keeps the event loop from waiting for a mailbox that is looked at."""
        self._options = options
        self._executor = executor
        self._at_work = at_work
        self._inotify: Inotify | None = None
        self._folders: dict[tuple[str, int | None], _Folder] = {}
        self._of_watch: dict[int, _Folder] = {}
        self._looks: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Semaphore(MAX_LOOKS)
        self._is_full = False
        self._poll_took_s = 0.0

    @property
    def watches(self) -> int:
        """Directories watched now."""
        return len(self._of_watch)

    def start(self) -> None:
        """Begins; inside the running loop."""
        if not self._options.watch_directories:
            return
        try:
            self._inotify = Inotify()
        except OSError as error:
            _log.warning("folders are polled, because inotify cannot be had: %s", error.strerror)
            return
        asyncio.get_running_loop().add_reader(self._inotify.fd, self._heard)

    def stop(self) -> None:
        """Ends all watches."""
        for folder in self._folders.values():
            if folder.timer is not None:
                folder.timer.cancel()
        for look in self._looks:
            look.cancel()
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fd)
            self._inotify.close()
            self._inotify = None
        self._folders.clear()
        self._of_watch.clear()

    def follow(self, connection: Waiting) -> None:
        """A session begins to wait: from now on it hears what happens to its folders."""
        for one in connection.watched():
            folder = self._folders.get((one.key, one.folder_id))
            if folder is None:
                home = self._enter(one.key, None, one.store)
                folder = self._enter(one.key, one.folder_id, one.store)
                self._start(self._begin_watch(home, folder))
            folder.waiting.add(connection)

    # -- watches ----------------------------------------------------------------------

    def _enter(self, key: str, folder_id: int | None, store: AccountStore) -> _Folder:
        folder = self._folders.get((key, folder_id))
        if folder is None:
            folder = self._folders[key, folder_id] = _Folder(key, folder_id, store)
        return folder

    async def _begin_watch(self, home: _Folder, folder: _Folder) -> None:
        await self._cover(home)
        await self._cover(folder)
        if self._is_known(folder):
            self._changed(folder)  # what happened before the watch began

    def _is_known(self, folder: _Folder) -> bool:
        return self._folders.get(_id(folder)) is folder

    async def _cover(self, folder: _Folder) -> None:
        if folder.watches:
            return
        # Somebody else's mailbox, or one that is closed: not to be asked on the loop.
        with self._at_work.on(folder.key):
            loop = asyncio.get_running_loop()
            directories = await loop.run_in_executor(self._executor, _directories, folder)
        if self._inotify is None or folder.watches or not directories or not self._is_known(folder):
            return
        if len(self._of_watch) + len(directories) > self._options.watch_directories:
            self._complain(f"more than {self._options.watch_directories} directories")
            return
        watches: list[int] = []
        try:
            for directory in directories:
                watches.append(self._inotify.add(directory))
        except OSError as error:
            for watch in watches:
                self._inotify.remove(watch)
            if error.errno == errno.ENOSPC:
                self._complain("fs.inotify.max_user_watches is reached")
            return
        folder.watches = tuple(watches)
        self._of_watch.update(dict.fromkeys(watches, folder))

    def _complain(self, why: str) -> None:
        if not self._is_full:
            self._is_full = True
            _log.warning("not every folder can be watched (%s); the others are polled", why)

    def _uncover(self, folder: _Folder) -> None:
        for watch in folder.watches:
            self._of_watch.pop(watch, None)
            if self._inotify is not None:
                self._inotify.remove(watch)
        folder.watches = ()

    def _heard(self) -> None:
        assert self._inotify is not None
        events = self._inotify.read()
        if events.overflow:
            for folder in self._folders.values():
                self._changed(folder)
        for watch in events.changed | events.gone:
            found = self._of_watch.get(watch)
            if found is not None:
                self._changed(found)
        for watch in events.gone:
            found = self._of_watch.pop(watch, None)
            if found is not None:
                self._uncover(found)

    # -- looks ------------------------------------------------------------------------

    def _changed(self, folder: _Folder) -> None:
        if folder.timer is None:
            loop = asyncio.get_running_loop()
            due = max(DELAY_S, folder.rested_at - loop.time())
            folder.timer = loop.call_later(due, self._begin, folder)

    def _begin(self, folder: _Folder) -> None:
        self._start(self._look(folder))

    def _start(self, work: Coroutine[object, object, None]) -> None:
        look = asyncio.get_running_loop().create_task(work)
        self._looks.add(look)
        look.add_done_callback(self._looks.discard)

    async def _look(self, folder: _Folder) -> None:
        async with self._gate:
            folder.timer = None  # what happens from now on is looked at again
            loop = asyncio.get_running_loop()
            begun = loop.time()
            if folder.id is None:
                with self._at_work.on(folder.key):
                    await loop.run_in_executor(self._executor, _list, folder.store)
                siblings = [one for (key, _), one in self._folders.items() if key == folder.key]
            else:
                siblings = [folder]
            await self._compare([one for one in siblings if one.id is not None])
            took = loop.time() - begun
            folder.rested_at = begun + took + max(REST_S, took * REST_FACTOR)
        if folder.id is None:
            for connection in {one for sibling in siblings for one in sibling.waiting}:
                connection.poke("")

    async def _compare(self, folders: Iterable[_Folder]) -> None:
        """Wakes those who know an older state of these folders than there is."""
        asked = {folder: folder.store for folder in folders}
        with contextlib.ExitStack() as stack:
            for key in {folder.key for folder in asked}:
                stack.enter_context(self._at_work.on(key))
            highest = await asyncio.get_running_loop().run_in_executor(self._executor, _highest, asked)
        for folder in asked:
            for connection in tuple(folder.waiting):
                known = [one for one in connection.watched() if (one.key, one.folder_id) == _id(folder)]
                if not known:
                    folder.waiting.discard(connection)
                elif highest.get(folder, known[0].modseq) != known[0].modseq:
                    connection.poke(known[0].name)

    # -- in the background ------------------------------------------------------------

    async def poll(self) -> None:
        """Looks at the folders that are not watched, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            # With very many folders the look gets rarer instead of taking the machine.
            await asyncio.sleep(max(self._options.poll_s, self._poll_took_s * REST_FACTOR))
            folders = [one for one in self._folders.values() if one.id is not None and not one.watches]
            if folders:
                begun = loop.time()
                await self._compare(folders)
                self._poll_took_s = loop.time() - begun

    async def tidy(self) -> None:
        """Forgets folders, tries again to watch those that are not, checks the others; for ever."""
        checked_at = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(TIDY_S)
            self.forget()
            self._is_full = False
            for folder in list(self._folders.values()):
                if not folder.watches:
                    await self._cover(folder)
            now = asyncio.get_running_loop().time()
            if now - checked_at >= CHECK_S:
                checked_at = now
                await self._compare([one for one in self._folders.values() if one.id is not None])

    def forget(self) -> None:
        """Ends the watches of folders nobody waits on any more."""
        for folder in list(self._folders.values()):
            if folder.id is None:
                continue
            for connection in tuple(folder.waiting):
                if not any((one.key, one.folder_id) == _id(folder) for one in connection.watched()):
                    folder.waiting.discard(connection)
            if not folder.waiting and folder.timer is None:
                self._drop(folder)
        in_use = {key for key, folder_id in self._folders if folder_id is not None}
        for folder in list(self._folders.values()):
            if folder.key not in in_use and folder.timer is None:
                self._drop(folder)

    def _drop(self, folder: _Folder) -> None:
        self._uncover(folder)
        del self._folders[folder.key, folder.id]


def _id(folder: _Folder) -> tuple[str, int | None]:
    return folder.key, folder.id


def _directories(folder: _Folder) -> tuple[str, ...]:
    try:
        path = folder.store.directory(folder.id)
    except (MailboxError, TemporaryFailure):
        return ()
    if not path:
        return ()
    return (path,) if folder.id is None else (f"{path}/new", f"{path}/cur")


def _list(store: AccountStore) -> None:
    with contextlib.suppress(MailboxError):
        try:
            store.folders()
        except TemporaryFailure as failure:
            _log.warning("looking for folders: %s", failure.why)


def _highest(folders: dict[_Folder, AccountStore]) -> dict[_Folder, int]:
    """The highest MODSEQ of each folder, after a look at its files."""
    found = {}
    for folder, store in folders.items():
        assert folder.id is not None
        try:
            store.refresh(folder.id)
            found[folder] = store.highest_modseq(folder.id)
        except MailboxError:
            found[folder] = -1  # gone: whoever has it selected must hear of it
        except TemporaryFailure as failure:
            _log.warning("looking for changes: %s", failure.why)
    return found
