"""All IMAP connections of one process: limits, wake-ups, the look for foreign changes.

A connection in IDLE is woken when its mailbox changes: by another session here, by the
bus (deliveries, other workers), or, for changes other programs make to the files, by
one look a second at the folders that idle connections watch.

Numbers: limits, sections 1 and 6.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mailstack.imap.options import ImapOptions
from mailstack.imap.view import View
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import AccountStore, MailboxError
from mailstack.net.session_hub import Member, SessionHub, SessionServices, account_key

_log = logging.getLogger(__name__)

#: The look for foreign changes rests this many times as long as it took.
POLL_REST = 20
#: Account and folder id.
_Folder = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class ImapServices(SessionServices):
    """What IMAP connections need besides.

    Attributes:
        spool: folder for large messages on their way in, on the mail file system.
    """

    spool: Path
    options: ImapOptions = field(default_factory=ImapOptions)


class Watching(Member, Protocol):
    """A connection, as the hub sees it."""

    def poke(self, folder: str) -> None:
        """A folder of the account has changed; "": the list of folders."""
        ...

    def watched(self) -> tuple[AccountStore, View] | None:
        """The folder an idle connection has selected."""
        ...


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

    # -- wake-ups ---------------------------------------------------------------------

    def announce(self, connection: Watching, folder: str) -> None:
        """A session changed a folder: tells its siblings here and elsewhere."""
        assert connection.account is not None
        key = account_key(connection.account)
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

    def _jobs(self) -> list[Coroutine[object, object, None]]:
        return [*super()._jobs(), self._poll()]

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
