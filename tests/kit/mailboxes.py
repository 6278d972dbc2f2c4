"""What tests of mailboxes ask again and again."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstack.mailbox import indexing
from mailstack.mailbox.store import Account
from mailstack.model.mailbox import AccountStore, MailboxError


def raises(code: str) -> pytest.RaisesExc[MailboxError]:
    """A refusal with this code."""
    return pytest.RaisesExc(MailboxError, check=lambda error: error.code == code)


def files(folder: Path) -> list[str]:
    """The messages' files, as new/NAME and cur/NAME."""
    return sorted(f"{sub}/{file.name}" for sub in ("new", "cur") for file in (folder / sub).iterdir())


def uids(account: AccountStore, folder: str = "INBOX") -> list[int]:
    """Which messages a folder holds."""
    return [row.uid for row in account.rows(account.status(folder).id)]


def build_index(account: Account) -> None:
    """Indexes now what is not indexed yet."""
    while indexing.build(account.core):
        pass
