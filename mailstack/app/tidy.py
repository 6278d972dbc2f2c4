"""What has to go in time: the mail log after 20 days (promise P14), what was sent long ago.

Runs in the queue daemon, because there is exactly one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from mailstack.app import outbound_tls, reports
from mailstack.model.errors import TemporaryFailure
from mailstack.state import (
    clients,
    containment,
    forward_targets,
    logins,
    maillog_db,
    memory,
    sender_history,
    sending,
)

if TYPE_CHECKING:
    from mailstack.app.daemon import Context

#: Seconds between two rounds.
TIDY_S = 3600.0

_log = logging.getLogger(__name__)


async def tidy(context: Context) -> None:
    """Goes on until it is cancelled."""
    while True:
        await tidy_once(context)
        await asyncio.sleep(TIDY_S)


async def tidy_once(context: Context) -> None:
    """One round; a database in trouble is tried again next time."""
    for what, remove in JOBS.items():
        try:
            gone = await asyncio.to_thread(remove, context)
        except TemporaryFailure as error:
            _log.error("old %s stay: %s", what, error.why)
        else:
            if gone:
                _log.info("%d old %s are gone", gone, what)


def _log_rows(context: Context) -> int:
    return maillog_db.purge(context.paths.maillog_db, now=context.now())


def _sending_rows(context: Context) -> int:
    days = context.config.sending.correspondent_days
    return sending.purge(context.paths.state_db, now=context.now(), keep_days=days)


def _login_rows(context: Context) -> int:
    return logins.purge(context.paths.state_db, context.config.bans, now=context.now())


def _stopped_rows(context: Context) -> int:
    return containment.purge(context.paths.state_db, context.config.containment, now=context.now())


def _client_rows(context: Context) -> int:
    mx = context.config.mx
    keep = clients.Keep(mx.guesses_window_s, mx.trap_s, mx.wanted_s, mx.greylist_window_s, mx.greylist_keep_s)
    return clients.purge(context.paths.state_db, keep, now=context.now())


def _forward_rows(context: Context) -> int:
    return forward_targets.purge(context.paths.state_db, context.config.forwarding, now=context.now())


def _script_rows(context: Context) -> int:
    keep_s = context.config.sieve.failure_days * 86_400.0
    return memory.purge(context.paths.state_db, now=context.now(), keep_failures_s=keep_s)


def _history_rows(context: Context) -> int:
    history = sender_history.SenderHistory(context.paths.state_db)
    try:
        return history.purge(before=context.now() - context.config.mx.heard_s)
    finally:
        history.close()


#: What goes, in words, and who removes it; gives how many rows.
JOBS: dict[str, Callable[[Context], int]] = {
    "log rows": _log_rows,
    "counts and correspondents": _sending_rows,
    "logins and bans": _login_rows,
    "signs of stolen accounts": _stopped_rows,
    "facts about clients": _client_rows,
    "facts about senders": _history_rows,
    "results and levels of TLS": outbound_tls.forget_old,
    "facts about forwards": _forward_rows,
    "facts for reports": reports.forget_old,
    "things scripts remember": _script_rows,
}
