"""Gives memory back: mailboxes whose clients only wait are closed until something happens.

An open mailbox holds several databases, half a MiB or more; opening it again takes a
millisecond.  What is freed goes back to the system, which glibc does not do by itself.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Executor

from mailstack.app.memory import give_back
from mailstack.mailbox import MailStore
from mailstack.model.errors import TemporaryFailure
from mailstack.net.session_hub import AtWork

#: An account not used for so long is closed; looked for this often.
IDLE_S = 15.0
EVERY_S = 5.0
#: Free memory goes back after something was closed, and anyway every so many looks.
ROUNDS = 12

_log = logging.getLogger(__name__)


async def rest(store: MailStore, at_work: AtWork, executor: Executor, *, idle_s: float = IDLE_S) -> None:
    """Closes what is idle, for ever.

    Args:
        at_work: keeps the event loop from waiting for an account that is being closed.
    """
    loop = asyncio.get_running_loop()
    rounds = 0
    while True:
        await asyncio.sleep(min(EVERY_S, idle_s))
        idle = store.idle(idle_s)
        for address in idle:
            with at_work.on(address):
                await loop.run_in_executor(executor, _close, store, address)
        # Sessions that ended left memory too.
        rounds = 0 if idle else rounds + 1
        if not rounds % ROUNDS:
            await loop.run_in_executor(executor, give_back)


def _close(store: MailStore, address: str) -> None:
    try:
        store.rest(address)
    except TemporaryFailure as failure:
        _log.warning("closing the mailbox of %s: %s", address, failure.why)
