"""A session's mailbox with somebody around it who takes note of what clients do.

What is not overridden goes to the mailbox itself.
"""

from __future__ import annotations

from mailstack.model.directory import Account
from mailstack.model.mailbox import AccountStore, FolderStatus


class AroundStore:
    """A mailbox, as `model.mailbox.AccountStore`."""

    __slots__ = ("_account", "_names", "_store")

    def __init__(self, store: AccountStore, account: Account) -> None:
        self._store, self._account = store, account
        #: Own folders that were looked at, by id: before a folder is open somebody asks for its status.
        self._names: dict[int, str] = {}

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def status(self, name: str) -> FolderStatus:
        """See AccountStore."""
        found = self._store.status(name)
        if not found.owner:
            self._names[found.id] = found.name
        return found
