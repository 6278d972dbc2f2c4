"""Messages that go by themselves: old ones in Spam and Trash, and what is above their bound.

They are expunged as a client would do it: other clients are told, and the messages can be
restored for a while.

Source: product, section 7: Spam after 30 days, Trash when wanted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from mailstack.mailbox import messages, quota, roles
from mailstack.mailbox.options import MailboxOptions
from mailstack.mailbox.store import Account
from mailstack.model.directory import Account as DirectoryAccount
from mailstack.model.quota import Limits

#: Messages that go in one transaction.
BATCH = 500
_DAY_S = 86_400
_NO_UID = 1 << 32
#: A folder that was made Spam or Trash is not trimmed so soon, in seconds: it may be a mistake.
_GRACE_S = 7 * _DAY_S


class Rule(NamedTuple):
    """Messages in folders with this special use go after so many days there; 0: never."""

    special_use: str
    days: int


class Gone(NamedTuple):
    """What went.  `why`: "age" or "room"."""

    folder: str
    messages: int
    why: str


def rules_of(owner: DirectoryAccount, options: MailboxOptions) -> tuple[Rule, ...]:
    """The rules of one account: its own days, else the configured ones."""
    spam, trash = owner.spam_days, owner.trash_days
    return (
        Rule("\\Junk", options.spam_expire_days if spam is None else spam),
        Rule("\\Trash", options.trash_expire_days if trash is None else trash),
    )


def expire(account: Account, rules: Sequence[Rule], *, now: float, most: int) -> list[Gone]:
    """Removes what is too old by the date it came into its folder.

    Args:
        now: Unix seconds.
        most: messages in one call; the rest goes next time.

    Raises:
        TemporaryFailure: disk or database in trouble.
    """
    gone = []
    for rule in rules:
        if rule.days <= 0:
            continue
        before = now - rule.days * _DAY_S
        for folder_id, name in _folders(account, rule.special_use):
            # What has been in a folder for long was not spam or trash before it became that.
            role = _Role(folder_id, rule.special_use, before)
            count = _remove(account, role, partial(_old, folder_id, before, now), most)
            if count:
                gone.append(Gone(name, count, "age"))
            most -= count
    return gone


def trim(account: Account, *, now: float, most: int) -> list[Gone]:
    """Removes the oldest of Spam, then of Trash, until both together are within their bound.

    Args, raises: as `expire`.
    """
    gone = []
    for special_use in quota.ASIDE:
        for folder_id, name in _folders(account, special_use):
            role = _Role(folder_id, special_use, now - _GRACE_S)
            count = _remove(account, role, partial(_above, account.limits, folder_id), most)
            if count:
                gone.append(Gone(name, count, "room"))
            most -= count
    return gone


def _folders(account: Account, special_use: str) -> list[tuple[int, str]]:
    with account.core.db.read() as connection:
        return connection.execute(
            "SELECT id, name FROM folders WHERE special_use = ? AND messages > 0", (special_use,)
        ).fetchall()


class _Role(NamedTuple):
    """What a folder must have been since before some time (Unix seconds)."""

    folder_id: int
    special_use: str
    before: float

    def is_held(self, connection: sqlite3.Connection) -> bool:
        found = connection.execute(
            "SELECT special_use FROM folders WHERE id = ?", (self.folder_id,)
        ).fetchone()
        return found == (self.special_use,) and roles.since(connection, self.folder_id) < self.before


def _remove(
    account: Account, role: _Role, find: Callable[[sqlite3.Connection, int], list[int]], most: int
) -> int:
    """Removes what is found, batch by batch; gives how many.

    What is read may be otherwise a moment later: each transaction looks again.
    """

    def choose(connection: sqlite3.Connection, number: int) -> list[int]:
        return find(connection, number) if role.is_held(connection) else []

    count = 0
    while count < most:
        batch = partial(choose, number=min(most - count, BATCH))
        with account.core.db.read() as connection:
            if not batch(connection):
                break
        count += len(messages.expunge_chosen(account.core, role.folder_id, batch))
    return count


def _old(folder_id: int, before: float, now: float, connection: sqlite3.Connection, number: int) -> list[int]:
    """Messages saved before some time, but none that came behind one saved after it.

    Such a one was saved while the clock was wrong.
    """
    (young,) = connection.execute(
        "SELECT coalesce(min(uid), ?) FROM messages WHERE folder = ? AND saved_at BETWEEN ? AND ?",
        (_NO_UID, folder_id, int(before), int(now)),
    ).fetchone()
    found = connection.execute(
        "SELECT uid FROM messages WHERE folder = ? AND saved_at < ? AND uid < ? LIMIT ?",
        (folder_id, int(before), young, number),
    )
    return [uid for (uid,) in found]


def _above(limits: Limits, folder_id: int, connection: sqlite3.Connection, number: int) -> list[int]:
    """The oldest messages of a folder that must go, some of them at least."""
    if limits == quota.UNLIMITED:
        return []
    octets, number_left = quota.used(connection, aside=True)
    found = connection.execute(
        "SELECT uid, size FROM messages WHERE folder = ? ORDER BY saved_at, uid LIMIT ?",
        (folder_id, number),
    )
    uids = []
    for uid, size in found:
        if (limits.octets is None or octets <= limits.octets) and (
            limits.messages is None or number_left <= limits.messages
        ):
            break
        uids.append(uid)
        octets, number_left = octets - size, number_left - 1
    return uids
