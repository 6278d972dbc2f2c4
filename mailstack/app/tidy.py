"""What has to go in time: the mail log after 20 days (promise P14).

Runs in the queue daemon, because there is exactly one.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from mailstack.model.errors import TemporaryFailure
from mailstack.state import maillog

if TYPE_CHECKING:
    from mailstack.app.daemon import Context

#: Seconds between two rounds.
TIDY_S = 3600.0

_log = logging.getLogger(__name__)


async def tidy(context: Context) -> None:
    """Goes on until it is cancelled; a database in trouble is tried again next time."""
    while True:
        try:
            gone = await asyncio.to_thread(maillog.purge, context.paths.maillog_db, now=context.now())
        except TemporaryFailure as error:
            _log.error("old log rows stay: %s", error.why)
        else:
            if gone:
                _log.info("%d log rows older than %d days are gone", gone, maillog.RETENTION_DAYS)
        await asyncio.sleep(TIDY_S)
