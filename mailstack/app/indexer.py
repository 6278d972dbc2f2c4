"""New mail gets into the full-text index while nobody is looking.

Sessions keep the index of the mailboxes they have open.  Mail also arrives where nobody
is logged in; the bus tells of it, and after a while, so that a burst of deliveries is not
slowed down and counts once, that mailbox's index catches up.  A word from the bus that was
lost costs nothing but a slower first search.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor

from mailstack.mailbox import MailStore
from mailstack.model.address import Address, AddressError
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import MailboxError

#: From the first new message until the index is looked at, seconds.
WAIT_S = 20.0
EVERY_S = 1.0
#: Accounts that wait; those above catch up when they are opened.
MAX_WAITING = 10_000

_log = logging.getLogger(__name__)


class Indexer:
    """The accounts with new mail, until their turn comes."""

    def __init__(
        self, store: MailStore, executor: Executor, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._executor = executor
        self._clock = clock
        self._due: dict[str, float] = {}

    def heard(self, message: dict[str, str | int]) -> None:
        """A message from the bus."""
        account = str(message.get("account", ""))
        if message.get("event") == "mailbox" and account and len(self._due) < MAX_WAITING:
            self._due.setdefault(account, self._clock() + WAIT_S)

    async def run(self) -> None:
        """Takes those whose turn it is, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(EVERY_S)
            now = self._clock()
            for account in [account for account, due in self._due.items() if due <= now]:
                del self._due[account]
                await loop.run_in_executor(self._executor, self._begin, account)

    def _begin(self, account: str) -> None:
        try:
            self._store.keep_index(Address.parse(account))
        except (AddressError, MailboxError, TemporaryFailure) as error:
            _log.info("the full-text index of %s waits: %s", account, error)
