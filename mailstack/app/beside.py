"""Work a daemon does beside its own, which goes on whatever happens to it.

A task that ends by an exception nobody expected ends unseen: what it did would not be done
any more until the daemon is started again, and nobody would know why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

#: What broke off begins again so much later, in seconds.
AGAIN_S = 60.0

_log = logging.getLogger(__name__)


async def go_on(what: str, work: Callable[[], Coroutine[object, object, None]]) -> None:
    """Does the work until it is cancelled, and tells when it breaks off.

    Args:
        what: the work, for the log.
    """
    while True:
        try:
            await work()
        except Exception:  # one mailbox, one domain, one row must not end it for all
            _log.exception("%s breaks off, and begins again in %g s", what, AGAIN_S)
        await asyncio.sleep(AGAIN_S)
