"""A session's mailbox with somebody around it who takes note of what clients do.

What is not overridden goes to the mailbox itself.
"""

from __future__ import annotations

from typing import NamedTuple

from mailstack.model.directory import Account
from mailstack.model.mailbox import AccountStore, FolderStatus


class Known(NamedTuple):
    """A folder as it was when it was looked at; `uid_validity` tells it from another of that name later."""

    name: str = ""
    uid_validity: int = 0


_NOBODY = Known()


class AroundStore:
    """A mailbox, as `model.mailbox.AccountStore`."""

    __slots__ = ("_account", "_known", "_store")

    def __init__(self, store: AccountStore, account: Account) -> None:
        self._store, self._account = store, account
        #: Own folders that were looked at, by id: before a folder is open somebody asks for its status.
        self._known: dict[int, Known] = {}

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def status(self, name: str) -> FolderStatus:
        """See AccountStore."""
        found = self._store.status(name)
        if not found.owner:
            self._known[found.id] = Known(found.name, found.uid_validity)
        return found

    def _folder(self, folder_id: int) -> Known:
        """An own folder; without a name: nobody has looked at it, or it is somebody else's."""
        return self._known.get(folder_id, _NOBODY)
