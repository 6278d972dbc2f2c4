"""All IMAP connections of one process: limits, wake-ups, the look for foreign changes.

A connection in IDLE is woken when its mailbox changes: by another session here, by the
bus (deliveries, other workers), or, for changes other programs make to the files, by
`imap_watch`.

Numbers: limits, sections 1 and 6.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mailstack.imap.options import ImapOptions
from mailstack.model.sharing import shared_name, split_shared
from mailstack.net.imap_watch import FolderWatch, Waiting
from mailstack.net.session_hub import Member, SessionHub, SessionServices, account_key


@dataclass(frozen=True, kw_only=True)
class ImapServices(SessionServices):
    """What IMAP connections need besides.

    Attributes:
        spool: folder for large messages on their way in, on the mail file system.
    """

    spool: Path
    options: ImapOptions = field(default_factory=ImapOptions)


class Watching(Member, Waiting, Protocol):
    """A connection, as the hub sees it."""


class ImapHub(SessionHub[Watching]):
    """One event loop's connections."""

    def __init__(self, services: ImapServices) -> None:
        self.services = services
        self.options = options = services.options
        super().__init__(
            services,
            max_before_login=options.max_before_login,
            max_per_account=options.max_per_account,
            max_per_account_and_address=options.max_per_account_and_address,
            stalled_time_s=options.stalled_time_s,
        )
        self.watch = FolderWatch(options, services.executor, services.at_work)
        #: By address key of an account: connections of others that wait on folders of it.
        self._followers: dict[str, set[Watching]] = {}

    # -- wake-ups ---------------------------------------------------------------------

    def announce(self, connection: Watching, folder: str) -> None:
        """A session changed a folder: tells its siblings here and elsewhere."""
        assert connection.account is not None
        key, name = split_shared(folder) or (account_key(connection.account), folder)
        self._poke(key, name, but=connection)
        self.services.publish(key, name)

    def heard(self, message: dict[str, str | int]) -> None:
        """A message from the bus."""
        if message.get("event") == "mailbox":
            self._poke(str(message.get("account", "")), str(message.get("folder", "")))

    def _poke(self, key: str, folder: str, but: Watching | None = None) -> None:
        for connection in tuple(self._users.get(key, ())):
            if connection is not but:
                connection.poke(folder)
        for connection in tuple(self._followers.get(key, ())):
            if connection is not but:
                connection.poke(shared_name(key, folder) if folder else "")

    def follow(self, connection: Watching, owners: Iterable[str]) -> None:
        """A connection waits on folders of these accounts, and of no others but its own."""
        wanted = set(owners)
        for owner in [owner for owner, all_ in self._followers.items() if connection in all_]:
            if owner not in wanted:
                self._followers[owner].discard(connection)
                if not self._followers[owner]:
                    del self._followers[owner]
        for owner in wanted:
            self._followers.setdefault(owner, set()).add(connection)

    def leave(self, connection: Watching) -> None:
        """The connection is over."""
        super().leave(connection)
        self.follow(connection, ())

    # -- background -------------------------------------------------------------------

    def start(self) -> None:
        """Begins what goes on beside the connections; inside the running loop."""
        self.watch.start()
        super().start()

    async def stop(self) -> None:
        """Ends that."""
        await super().stop()
        self.watch.stop()

    def _jobs(self) -> list[Coroutine[object, object, None]]:
        return [*super()._jobs(), self.watch.poll(), self.watch.tidy()]
