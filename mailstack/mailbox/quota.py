"""Quota: octets per account; what is in Spam and Trash is counted on its own.

So neither can keep mail out of INBOX; each of the two sums has the account's limit.
One message may cross the line.

Standards: RFC 9208 section 5 (STORAGE); product, section 7.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from mailstack.model.mailbox import MailboxError

_ASIDE = ("\\Junk", "\\Trash")


def used(connection: sqlite3.Connection, *, aside: bool = False) -> int:
    """Octets in all folders but Spam and Trash; with `aside` in those two."""
    condition = "IN" if aside else "NOT IN"
    row = connection.execute(
        f"SELECT coalesce(sum(size), 0) FROM folders WHERE special_use {condition} (?, ?)",  # noqa: S608
        _ASIDE,
    ).fetchone()
    return int(row[0])


def check(
    connection: sqlite3.Connection,
    limit: int | None,
    special_use: str,
    sizes: Sequence[int],
    *,
    freed: int = 0,
) -> None:
    """Refuses messages for a folder when the account is full.

    Args:
        limit: octets; None: no limit.
        special_use: of the target folder.
        sizes: of the messages, in octets.
        freed: octets the same change takes away from the same sum.

    Raises:
        MailboxError: OVERQUOTA.
    """
    if limit is None or not sizes:
        return
    before = used(connection, aside=special_use in _ASIDE) - freed
    if before + sum(sizes) - max(sizes) >= limit:
        raise MailboxError("OVERQUOTA", f"the mailbox is full: {before} of {limit} octets are used")


def is_aside(special_use: str) -> bool:
    """True for folders counted on their own."""
    return special_use in _ASIDE
