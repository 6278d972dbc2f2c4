"""What a mailbox holds and may hold, for people and programs."""

from __future__ import annotations

import contextlib
import datetime
import os
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from mailstack.model.directory import NO_LIMIT, Account

if TYPE_CHECKING:
    from mailstack.cli.context import Context
    from mailstack.mailbox.store import MailStore
    from mailstack.model.address import Address
    from mailstack.model.quota import QuotaState
    from mailstack.state.logins import LastUse


def number(limit: int | None) -> int | None:
    """A limit of an account's own; None for none, and for the default."""
    return None if limit == NO_LIMIT else limit


@contextlib.contextmanager
def store(context: Context) -> Iterator[MailStore]:
    """The mailboxes of this instance."""
    from mailstack.mailbox.store import MailStore

    opened = MailStore(
        context.paths.mail, now=time.time, random_bytes=os.urandom, options=context.config.mailbox
    )
    try:
        yield opened
    finally:
        opened.close()


def expect(opened: MailStore, mailbox: Address) -> None:
    """Goes on when there is a mailbox of this address, also when the address was removed.

    Raises:
        PermanentFailure: there is none, or none yet.
    """
    from mailstack.cli.directory_access import reader
    from mailstack.model.errors import PermanentFailure

    if opened.exists(mailbox):
        return
    with reader() as directory:
        found = directory.find(mailbox)
    if isinstance(found, Account):
        raise PermanentFailure(f"{mailbox} has no mailbox yet: its first message or login makes it")
    raise PermanentFailure(f"there is no mailbox of {mailbox}", status="1.1")


def of(context: Context, account: Account) -> dict[str, object]:
    """The lines of `user show`; a mailbox that was never opened is not made for it."""
    from mailstack.mailbox.expiry import rules_of
    from mailstack.mailbox.quota import limits_of
    from mailstack.model.quota import QuotaState

    options = context.config.mailbox
    limits = limits_of(account, options)
    state = QuotaState(0, limits.octets, 0, limits.messages)
    with store(context) as opened:
        if opened.exists(account.address):
            state = opened.of(account).quota()
    spam, trash = rules_of(account, options)
    return {
        "quota_messages": number(account.quota_messages),
        "used": {
            "octets": state.used_octets,
            "of_octets": state.limit_octets,
            "messages": state.used_messages,
            "of_messages": state.limit_messages,
        },
        "spam_days": spam.days or None,
        "trash_days": trash.days or None,
    }


def folders(opened: MailStore, mailbox: Address) -> set[str]:
    """The names of the folders there are."""
    return {entry.name for entry in opened.account(mailbox).folders() if entry.exists}


def tell_all(context: Context, opened: MailStore, mailbox: Address) -> None:
    """Clients that wait in IDLE look at their folder again, whichever it is."""
    from mailstack.model.errors import TemporaryFailure

    with contextlib.suppress(TemporaryFailure):
        tell(context, mailbox, folders(opened, mailbox))


def tell(context: Context, mailbox: Address, folders: Iterable[str]) -> None:
    """Clients that wait in IDLE see these folders' changes at once."""
    from mailstack.net.bus import Bus

    bus = Bus(context.paths.run, "cli")
    try:
        for folder in sorted(folders):
            bus.publish("imap", {"event": "mailbox", "account": mailbox.key, "folder": folder})
    finally:
        bus.close()


def messages(count: int) -> str:
    """Such as "1 message"."""
    return f"{count} message{'s' * (count != 1)}"


def line(state: QuotaState) -> str:
    """Such as "1.2 GB of 10.0 GB and 4711 messages are used (12 %)"."""
    from mailstack.app.notices import size

    octets, messages = size(state.used_octets), f"{state.used_messages}"
    if state.limit_octets is not None:
        octets += f" of {size(state.limit_octets)}"
    if state.limit_messages is not None:
        messages += f" of {state.limit_messages}"
    share = "" if state.limit_octets is state.limit_messages is None else f" ({state.percent} %)"
    return f"{octets} and {messages} messages are used outside Spam and Trash{share}"


def app_password_uses(context: Context) -> dict[int, LastUse]:
    """When app passwords were used last, by their id."""
    from mailstack.state.logins import LoginRecords

    records = LoginRecords(context.paths.state_db, context.config.bans, key=b"")
    try:
        return records.last_uses()
    finally:
        records.close()


def stamp(at: float) -> str:
    """A moment, in UTC."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
