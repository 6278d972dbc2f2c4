"""Messages that go by themselves: old ones in Spam and Trash, and what is above their bound.

They are expunged as a client would do it: other clients are told, and the messages can be
restored for a while.

Source: product, section 7: Spam after 30 days, Trash when wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mailstack.mailbox import quota, roles
from mailstack.mailbox.options import MailboxOptions
from mailstack.mailbox.store import Account
from mailstack.model.directory import Account as DirectoryAccount

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
        for folder_id, name, since in _folders(account, rule.special_use):
            count = 0
            if since >= before:
                continue  # what has been in the folder for long was not spam or trash
            while count < most and (uids := _old(account, folder_id, before, now, most - count)):
                count += len(account.expunge(folder_id, uids))
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
        for folder_id, name, since in _folders(account, special_use):
            count = 0
            if since >= now - _GRACE_S:
                continue
            while count < most and (uids := _above(account, folder_id, most - count)):
                count += len(account.expunge(folder_id, uids))
            if count:
                gone.append(Gone(name, count, "room"))
            most -= count
    return gone


def _folders(account: Account, special_use: str) -> list[tuple[int, str, int]]:
    """Id, name and since when it is used so; 0: from the first."""
    with account.core.db.read() as connection:
        found = connection.execute(
            "SELECT id, name FROM folders WHERE special_use = ? AND messages > 0", (special_use,)
        ).fetchall()
        return [(folder_id, name, roles.since(connection, folder_id)) for folder_id, name in found]


def _old(account: Account, folder_id: int, before: float, now: float, most: int) -> list[int]:
    """Messages saved before some time, but none that came behind one saved after it.

    Such a one was saved while the clock was wrong.
    """
    with account.core.db.read() as connection:
        (young,) = connection.execute(
            "SELECT coalesce(min(uid), ?) FROM messages WHERE folder = ? AND saved_at BETWEEN ? AND ?",
            (_NO_UID, folder_id, int(before), int(now)),
        ).fetchone()
        found = connection.execute(
            "SELECT uid FROM messages WHERE folder = ? AND saved_at < ? AND uid < ? LIMIT ?",
            (folder_id, int(before), young, min(most, BATCH)),
        )
        return [uid for (uid,) in found]


def _above(account: Account, folder_id: int, most: int) -> list[int]:
    """The oldest messages of a folder that must go, some of them at least."""
    limits = account.limits
    if limits == quota.UNLIMITED:
        return []
    with account.core.db.read() as connection:
        octets, messages = quota.used(connection, aside=True)
        found = connection.execute(
            "SELECT uid, size FROM messages WHERE folder = ? ORDER BY saved_at, uid LIMIT ?",
            (folder_id, min(most, BATCH)),
        ).fetchall()
    uids = []
    for uid, size in found:
        if (limits.octets is None or octets <= limits.octets) and (
            limits.messages is None or messages <= limits.messages
        ):
            break
        uids.append(uid)
        octets, messages = octets - size, messages - 1
    return uids
