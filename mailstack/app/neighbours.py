"""The accounts of this instance, as folders are shared between them."""

from __future__ import annotations

from mailstack.directory import Directory
from mailstack.mailbox import MailStore
from mailstack.mailbox.neighbours import SharableStore
from mailstack.model.address import Address, AddressError
from mailstack.model.directory import Account
from mailstack.model.sharing import ANYONE
from mailstack.state.shares import Shares

#: Kinds of account that have a mailbox somebody logs in to.
_KINDS = ("mailbox", "catchall", "noreply")


class AccountNeighbours:
    """Implements mailbox.neighbours.Neighbours, where the methods are described."""

    def __init__(self, directory: Directory, store: MailStore, shares: Shares, *, anyone: bool) -> None:
        self.anyone = anyone
        self._directory = directory
        self._store = store
        self._shares = shares

    def find(self, key: str) -> tuple[int, SharableStore] | None:
        """Number and mailbox of an address; nobody's while the account is suspended."""
        try:
            found = self._directory.find(Address.parse(key))
        except AddressError:
            return None
        if not isinstance(found, Account) or not found.enabled or found.kind not in _KINDS:
            return None
        return found.id, self._store.of(found)

    def owners(self, person: str) -> list[str]:
        """Those who may share something with a person."""
        return self._shares.owners(person, ANYONE) if self.anyone else self._shares.owners(person)

    def note(self, owner: str, person: str) -> None:
        """The owner is about to share something."""
        self._shares.note(owner, person)

    def forget(self, owner: str, person: str) -> None:
        """The owner shares nothing with this person any more."""
        self._shares.forget(owner, person)
