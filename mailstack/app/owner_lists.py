"""Lists that owners of addresses are sent from time to time: how they get into the queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mailstack.model.errors import TemporaryFailure

if TYPE_CHECKING:
    from mailstack.app.daemon import Context
    from mailstack.delivery.entry import QueueMessage
    from mailstack.delivery.queue import Queue
    from mailstack.state.maillog import MailLog

#: Seconds between two looks for lists that are due.
EVERY_S = 3_600.0

_log = logging.getLogger(__name__)


def enqueue(letters: Sequence[QueueMessage], queue: Queue, maillog: MailLog) -> None:
    """Puts letters to owners into the queue, and says so in the mail log.

    Raises:
        TemporaryFailure: the disk is in trouble; nothing was queued.
    """
    queue.enqueue(letters)
    for letter in letters:
        to = letter.recipients[0].address
        maillog.queued("", queue_id=letter.queue_id, sender="", to=to, kind="notice", owner=letter.owner)


async def keep_telling(context: Context, tell: Callable[[], int], *, what: str) -> None:
    """Sends the lists that are due, until it is cancelled.

    Args:
        tell: does it, in a thread; gives how many.
        what: the lists are of, for the log.
    """
    while True:
        try:
            if await asyncio.to_thread(tell):
                context.bus.publish("queue", {"event": "queued"})
        except TemporaryFailure as error:
            _log.error("lists of %s: %s", what, error.why)
            if error.fatal:
                context.fatal(error.why)
        await asyncio.sleep(EVERY_S)
