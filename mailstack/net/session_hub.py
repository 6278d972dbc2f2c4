"""The connections of one protocol in one process: limits, accounts that change, the end.

Numbers: limits, section 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from mailstack.model.asking import Login, LoginRefused
from mailstack.model.directory import Account
from mailstack.model.envelope import Client
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import AccountStore
from mailstack.model.secret import Verifier

_log = logging.getLogger(__name__)

#: How often waiting sessions are looked at for the end of their time.
LATE_S = 1.0

#: One read of a connection.
RECEIVED_OCTETS = 65_536
#: Accounts asked about before others get their turn.
_REVIEW_SLICE = 20

Authenticate = Callable[[Client, Login], Awaitable[Account | LoginRefused]]


class AtWork:
    """Accounts on whose mailbox a thread works; one for all protocols of a process."""

    def __init__(self) -> None:
        self._accounts: dict[str, int] = {}

    @contextlib.contextmanager
    def on(self, key: str) -> Iterator[None]:
        """A thread works on the mailbox of the account that `account_key` calls so."""
        self._accounts[key] = self._accounts.get(key, 0) + 1
        try:
            yield
        finally:
            self._accounts[key] -= 1
            if not self._accounts[key]:
                del self._accounts[key]

    def is_on(self, key: str) -> bool:
        """True while a thread works on it: the loop must not wait for the same lock."""
        return key in self._accounts


@dataclass(frozen=True, kw_only=True)
class SessionServices:
    """What connections need from the outside.

    Attributes:
        host: our name, for the greeting.
        authenticate: who of these may log in, or why not; never raises.
        verifier: for SCRAM, by login; None: it is not offered.
        open_store: an account's mailbox; blocking; may raise TemporaryFailure.
        executor: threads for whatever reads much, writes or syncs.
        publish: tells other processes that this account's folder has changed.
        fatal: a disk error was seen: the process must stop (promise P8).
        why_not: why this client may not even try to log in; "" when it may; never raises.
        stamp: "" once an account may no longer be used; else a text that changes when its
            sessions must end; may raise TemporaryFailure.
        version: another value once any account may have changed; None: always ask each; may
            raise TemporaryFailure.
    """

    host: str
    authenticate: Authenticate
    open_store: Callable[[Account], AccountStore]
    executor: Executor
    publish: Callable[[str, str], None] = lambda account, folder: None
    fatal: Callable[[str], None] = lambda why: None
    why_not: Callable[[Client], str] = lambda client: ""
    stamp: Callable[[Account], str] = lambda account: "same"
    version: Callable[[], int | None] = lambda: None
    at_work: AtWork = field(default_factory=AtWork)
    verifier: Callable[[str], Verifier] | None = None


class Member(Protocol):
    """A connection, as the hub sees it."""

    ip: str
    account: Account | None
    stamp: str | None

    due_at: float

    def end(self, why: str) -> None:
        """Say goodbye at the next chance."""
        ...

    def late(self) -> None:
        """`due_at` (monotonic seconds) has passed."""
        ...


M = TypeVar("M", bound=Member)


class SessionHub(Generic[M]):
    """One event loop's connections of one protocol."""

    #: How often it is asked whether accounts have changed, in seconds (A15, A16).
    REVIEW_S = 1.0

    def __init__(
        self,
        services: SessionServices,
        *,
        max_before_login: int,
        max_per_account: int,
        max_per_account_and_address: int,
        stalled_time_s: float,
    ) -> None:
        """Takes the limits; `stalled_time_s`: wait for a client that has stopped reading."""
        self.base = services
        #: Where octets are received, and taken from before anything else happens.
        self.buffer = memoryview(bytearray(RECEIVED_OCTETS))
        self.stalled_time_s = stalled_time_s
        self._max_strangers = max_before_login
        self._max_users = max_per_account
        self._max_users_here = max_per_account_and_address
        self._strangers: set[M] = set()
        self._users: dict[str, set[M]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    # -- limits -----------------------------------------------------------------------

    def enter(self, connection: M) -> str:
        """Counts a connection in; "" or why not."""
        if len(self._strangers) >= self._max_strangers:
            return f"Too many connections ({self._max_strangers}) wait for a login"
        self._strangers.add(connection)
        return ""

    def log_in(self, connection: M, account: Account) -> str:
        """Counts a login; "" or why there are too many."""
        users = self._users.setdefault(account_key(account), set())
        if len(users) >= self._max_users:
            return f"This account has {self._max_users} connections already"
        if sum(1 for user in users if user.ip == connection.ip) >= self._max_users_here:
            return f"This account has {self._max_users_here} connections from your address already"
        self._strangers.discard(connection)
        connection.account = account
        with contextlib.suppress(TemporaryFailure):  # then the next review asks
            connection.stamp = self.base.stamp(account)
        users.add(connection)
        return ""

    def log_out(self, connection: M) -> None:
        """A user is a stranger again."""
        self.leave(connection)
        connection.account = connection.stamp = None
        self._strangers.add(connection)

    def leave(self, connection: M) -> None:
        """The connection is over."""
        self._strangers.discard(connection)
        if connection.account is not None:
            key = account_key(connection.account)
            users = self._users.get(key, set())
            users.discard(connection)
            if not users:
                self._users.pop(key, None)

    @property
    def connections(self) -> list[M]:
        """All of them."""
        return [*self._strangers, *(one for users in self._users.values() for one in users)]

    # -- changes ----------------------------------------------------------------------

    def announce(self, connection: M, folder: str) -> None:
        """A session changed a folder: tells the others."""
        assert connection.account is not None
        self.base.publish(account_key(connection.account), folder)

    # -- background -------------------------------------------------------------------

    def start(self) -> None:
        """Begins what goes on beside the connections; inside the running loop."""
        self._tasks = [asyncio.create_task(job) for job in self._jobs()]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    def _jobs(self) -> list[Coroutine[object, object, None]]:
        return [self._review(), self._look_for_late()]

    async def _look_for_late(self) -> None:
        while True:
            await asyncio.sleep(LATE_S)
            now = time.monotonic()
            for connection in self.connections:
                if connection.due_at <= now:
                    connection.late()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            # Without it clients would silently miss mail: rather start again.
            _log.error("the look at accounts and mailboxes broke", exc_info=error)
            self.base.fatal("the look at accounts and mailboxes broke")

    async def stop(self) -> None:
        """Ends that."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks = []

    def end_all(self, why: str) -> None:
        """Says goodbye to everybody."""
        for connection in self.connections:
            connection.end(why)

    async def _review(self) -> None:
        seen: int | None = None
        in_trouble = False
        while True:
            await asyncio.sleep(self.REVIEW_S)
            try:
                version = self.base.version()
                if version is None or version != seen:
                    await self._review_all()
                seen, in_trouble = version, False
            except TemporaryFailure as failure:
                if not in_trouble:
                    _log.warning("looking at the accounts: %s", failure.why)
                in_trouble = True

    async def _review_all(self) -> None:
        """Ends the sessions of accounts that changed."""
        for number, users in enumerate(tuple(self._users.values()), 1):
            members = tuple(users)
            if members and (account := members[0].account) is not None:
                stamp = self.base.stamp(account)
                for connection in members:
                    if connection.stamp is None:
                        connection.stamp = stamp
                    if not stamp or stamp != connection.stamp:
                        connection.end("This account was suspended, or its password changed")
            if number % _REVIEW_SLICE == 0:
                await asyncio.sleep(0)


def account_key(account: Account) -> str:
    """What an account is known by in tables."""
    return account.address.key
