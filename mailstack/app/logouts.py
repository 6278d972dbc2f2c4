"""Ends the SMTP sessions of accounts that changed: suspended, removed, another password.

The next MAIL or RCPT of such a session is refused anyway; this is for those that sit idle
(A15, A16).  IMAP and POP3 do the same in `net/session_hub`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from mailstack.model.directory import Account
from mailstack.model.errors import TemporaryFailure
from mailstack.net.smtp_server import SmtpServer
from mailstack.smtp import replies

#: How often it is asked whether accounts have changed, in seconds.
REVIEW_S = 1.0

_log = logging.getLogger(__name__)


async def review(
    servers: Iterable[SmtpServer], *, version: Callable[[], int], is_current: Callable[[Account], bool]
) -> None:
    """Goes on until it is cancelled.

    Args:
        version: another number once any account may have changed.
        is_current: see Gate.is_current.
    """
    seen: int | None = None
    while True:
        await asyncio.sleep(REVIEW_S)
        try:
            now = version()
            if now != seen:
                _review_all(servers, is_current)
                seen = now
        except TemporaryFailure as failure:
            _log.warning("looking at the accounts: %s", failure.why)


def _review_all(servers: Iterable[SmtpServer], is_current: Callable[[Account], bool]) -> None:
    for connection in [one for server in servers for one in server.connections]:
        if connection.account is not None and not is_current(connection.account):
            connection.end(replies.LOGGED_OUT)
