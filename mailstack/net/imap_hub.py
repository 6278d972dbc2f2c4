"""All IMAP connections of one process: limits, wake-ups, the look for foreign changes.

A connection in IDLE is woken when its mailbox changes: by another session here, by the
bus (deliveries, other workers), or, for changes other programs make to the files, by
one look a second at the folders that idle connections watch.

Numbers: limits, sections 1 and 6.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mailstack.imap.options import ImapOptions
from mailstack.imap.requests import LoginRefused
from mailstack.imap.view import View
from mailstack.model.directory import Account
from mailstack.model.envelope import Client
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import AccountStore, MailboxError

_log = logging.getLogger(__name__)

#: The look for foreign changes rests this many times as long as it took.
POLL_REST = 20
#: Account and folder id.
_Folder = tuple[str, int]

Authenticate = Callable[[Client, str, str, str], Awaitable[Account | LoginRefused]]


@dataclass(frozen=True)
class ImapServices:
    """What connections need from the outside.

    Attributes:
        host: our name, for the greeting.
        authenticate: client, login, password, mechanism; never raises.
        open_store: an account's mailbox; blocking; may raise TemporaryFailure.
        executor: threads for whatever reads much, writes or syncs.
        spool: folder for large messages on their way in, on the mail file system.
        publish: tells other processes that this account's folder has changed.
        fatal: a disk error was seen: the process must stop (promise P8).
        stamp: "" once an account may no longer be used; else a text that changes with its
            password; None: cannot be told now.
    """

    host: str
    authenticate: Authenticate
    open_store: Callable[[Account], AccountStore]
    executor: Executor
    spool: Path
    publish: Callable[[str, str], None] = lambda account, folder: None
    fatal: Callable[[str], None] = lambda why: None
    stamp: Callable[[Account], str | None] = lambda account: "same"
    options: ImapOptions = field(default_factory=ImapOptions)


class Watching(Protocol):
    """A connection, as the hub sees it."""

    ip: str
    account: Account | None
    stamp: str | None

    def poke(self, folder: str) -> None:
        """A folder of the account has changed; "": the list of folders."""
        ...

    def end(self, why: str) -> None:
        """Say BYE at the next chance."""
        ...

    def watched(self) -> tuple[AccountStore, View] | None:
        """The folder an idle connection has selected."""
        ...


class ImapHub:
    """One event loop's connections."""

    #: How often accounts are asked about, in seconds (A15, A16: within 60).
    REVIEW_S = 20.0

    def __init__(self, services: ImapServices) -> None:
        self.services = services
        self.options = services.options
        self._strangers: set[Watching] = set()
        self._users: dict[str, set[Watching]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._at_work: dict[str, int] = {}

    # -- limits -----------------------------------------------------------------------

    def enter(self, connection: Watching) -> str:
        """Counts a connection in; "" or why not."""
        if len(self._strangers) >= self.options.max_before_login:
            return f"Too many connections ({self.options.max_before_login}) wait for a login"
        self._strangers.add(connection)
        return ""

    def log_in(self, connection: Watching, account: Account) -> str:
        """Counts a login; "" or why there are too many."""
        users = self._users.setdefault(_key(account), set())
        most, most_here = self.options.max_per_account, self.options.max_per_account_and_address
        if len(users) >= most:
            return f"This account has {most} connections already"
        if sum(1 for user in users if user.ip == connection.ip) >= most_here:
            return f"This account has {most_here} connections from your address already"
        self._strangers.discard(connection)
        connection.account = account
        connection.stamp = self.services.stamp(account)
        users.add(connection)
        return ""

    def leave(self, connection: Watching) -> None:
        """The connection is over."""
        self._strangers.discard(connection)
        if connection.account is not None:
            key = _key(connection.account)
            users = self._users.get(key, set())
            users.discard(connection)
            if not users:
                self._users.pop(key, None)

    @property
    def connections(self) -> list[Watching]:
        """All of them."""
        return [*self._strangers, *(one for users in self._users.values() for one in users)]

    # -- mailboxes --------------------------------------------------------------------

    @contextlib.contextmanager
    def working(self, account: Account) -> Iterator[None]:
        """A thread works on this account's mailbox."""
        key = _key(account)
        self._at_work[key] = self._at_work.get(key, 0) + 1
        try:
            yield
        finally:
            self._at_work[key] -= 1
            if not self._at_work[key]:
                del self._at_work[key]

    def is_at_work(self, account: Account) -> bool:
        """True while a thread works on it: the loop must not wait for the same lock."""
        return _key(account) in self._at_work

    # -- wake-ups ---------------------------------------------------------------------

    def announce(self, connection: Watching, folder: str) -> None:
        """A session changed a folder: tells its siblings here and elsewhere."""
        assert connection.account is not None
        key = _key(connection.account)
        self._poke(key, folder, but=connection)
        self.services.publish(key, folder)

    def heard(self, message: dict[str, str | int]) -> None:
        """A message from the bus."""
        if message.get("event") == "mailbox":
            self._poke(str(message.get("account", "")), str(message.get("folder", "")))

    def _poke(self, key: str, folder: str, but: Watching | None = None) -> None:
        for connection in tuple(self._users.get(key, ())):
            if connection is not but:
                connection.poke(folder)

    # -- background -------------------------------------------------------------------

    def start(self) -> None:
        """Begins to look for changes by other programs; inside the running loop."""
        self._tasks = [asyncio.create_task(self._poll()), asyncio.create_task(self._review())]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            # Without it clients would silently miss mail: rather start again.
            _log.error("the look at mailboxes broke", exc_info=error)
            self.services.fatal("the look at mailboxes broke")

    async def stop(self) -> None:
        """Ends that."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks = []

    def end_all(self, why: str) -> None:
        """Says BYE to everybody."""
        for connection in self.connections:
            connection.end(why)

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        took_s = 0.0
        while True:
            # With very many folders the look gets rarer instead of taking the machine.
            await asyncio.sleep(max(self.options.poll_s, took_s * POLL_REST))
            watched: list[tuple[Watching, _Folder, View]] = []
            folders: dict[_Folder, AccountStore] = {}
            for key, users in self._users.items():
                for connection in users:
                    if (found := connection.watched()) is not None:
                        store, view = found
                        watched.append((connection, (key, view.folder_id), view))
                        folders[key, view.folder_id] = store
            if not watched:
                continue
            begun = loop.time()
            highest = await loop.run_in_executor(self.services.executor, _look, folders)
            took_s = loop.time() - begun
            for connection, folder, view in watched:
                if highest.get(folder, view.modseq) != view.modseq:
                    connection.poke(view.name)

    async def _review(self) -> None:
        while True:
            await asyncio.sleep(self.REVIEW_S)
            for users in tuple(self._users.values()):
                for connection in tuple(users):
                    self._review_one(connection)

    def _review_one(self, connection: Watching) -> None:
        assert connection.account is not None
        stamp = self.services.stamp(connection.account)
        if connection.stamp is None:
            connection.stamp = stamp
        if stamp is not None and stamp != connection.stamp:
            connection.end("This account was suspended, or its password changed")


def _look(folders: Mapping[_Folder, AccountStore]) -> dict[_Folder, int]:
    """The highest MODSEQ of each folder, after a look at its files."""
    found = {}
    for folder, store in folders.items():
        try:
            store.refresh(folder[1])
            found[folder] = store.highest_modseq(folder[1])
        except MailboxError:
            found[folder] = -1  # gone: whoever has it selected must hear of it
        except TemporaryFailure as failure:
            _log.warning("looking for changes: %s", failure.why)
    return found


def _key(account: Account) -> str:
    return account.address.key
