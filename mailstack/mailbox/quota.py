"""Quota: octets and messages per account; Spam and Trash are counted on their own.

So neither can keep mail out of INBOX.  Spam and Trash together have the same bound as
everything else together: APPEND and COPY never cross it, and what deliveries put above
it goes in time, the oldest first (`expiry`).  Throwing away always works: a move into
Trash is never refused.

A delivery may cross the line, once; an APPEND, COPY or MOVE never does.  All of it is
decided inside the transaction that adds the messages, so it is exact whatever the
number of processes.

Standards: RFC 9208 section 5 (STORAGE, MESSAGE); product, section 7.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from mailstack.mailbox.options import MailboxOptions
from mailstack.model.directory import NO_LIMIT, Account
from mailstack.model.mailbox import MailboxError
from mailstack.model.quota import Limits, QuotaState

#: Special uses of the folders counted on their own, in the order in which they are emptied.
ASIDE = ("\\Junk", "\\Trash")
UNLIMITED = Limits()


def limits_of(account: Account, options: MailboxOptions) -> Limits:
    """What an account may hold: its own limits, else those of its plan; None: no limit."""
    free = account.plan == "free"
    return Limits(
        _limit(account.quota_octets, options.quota_free_octets if free else options.quota_octets),
        _limit(account.quota_messages, options.quota_free_messages if free else options.quota_messages),
        options.max_folders_free if free else None,
    )


def _limit(own: int | None, default: int) -> int | None:
    if own is None:
        return default or None
    return None if own >= NO_LIMIT else own


def used(connection: sqlite3.Connection, *, aside: bool = False) -> tuple[int, int]:
    """Octets and messages in all folders but Spam and Trash; with `aside` in those two."""
    condition = "IN" if aside else "NOT IN"
    octets, messages = connection.execute(
        "SELECT coalesce(sum(size), 0), coalesce(sum(messages), 0) FROM folders"  # noqa: S608
        f" WHERE special_use {condition} (?, ?)",
        ASIDE,
    ).fetchone()
    return int(octets), int(messages)


def state(connection: sqlite3.Connection, limits: Limits, *, aside: bool = False) -> QuotaState:
    """What is used and what may be; with `aside` in Spam and Trash."""
    octets, messages = used(connection, aside=aside)
    return QuotaState(octets, limits.octets, messages, limits.messages)


def check(
    connection: sqlite3.Connection,
    limits: Limits,
    special_use: str,
    sizes: Sequence[int],
) -> None:
    """Refuses messages that would cross a limit.

    Args:
        special_use: of the target folder.
        sizes: of the messages, in octets.

    Raises:
        MailboxError: OVERQUOTA.
    """
    if limits == UNLIMITED or not sizes:
        return
    found = state(connection, limits, aside=is_aside(special_use))
    if limits.octets is not None and found.used_octets + sum(sizes) > limits.octets:
        raise MailboxError(
            "OVERQUOTA", f"the mailbox is full: {found.used_octets} of {limits.octets} octets are used"
        )
    if limits.messages is not None and found.used_messages + len(sizes) > limits.messages:
        raise MailboxError(
            "OVERQUOTA", f"the mailbox is full: it holds {found.used_messages} of {limits.messages} messages"
        )


def is_aside(special_use: str) -> bool:
    """True for folders counted on their own."""
    return special_use in ASIDE
