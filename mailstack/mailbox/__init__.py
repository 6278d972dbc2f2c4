"""Maildir++, account.db (durable facts), cache.db (ready-made texts), store.  Blocking.

`MailStore` is loaded on first use, because the options of this package are imported by
every command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailstack.mailbox.store import MailStore as MailStore


def __getattr__(name: str) -> object:
    if name == "MailStore":
        from mailstack.mailbox.store import MailStore

        return MailStore
    raise AttributeError(name)
