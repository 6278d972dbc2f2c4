"""Where names and ids of somebody else's folders lead, and what one may do there.

Standards: RFC 4314 sections 4 and 6: what one may not list does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from mailstack.mailbox.rights import effective
from mailstack.model.mailbox import AccountStore, FolderEntry, MailboxError
from mailstack.model.sharing import SHARED_ROOT, Annotated, shared_name, split_shared

#: Above the id of a folder: the number of the account it belongs to.
_ID_BITS = 40
_ID_MASK = (1 << _ID_BITS) - 1


class SharableStore(AccountStore, Protocol):
    """A mailbox whose folders can be shown to others."""

    def access_of_all(self) -> dict[str, dict[str, str]]:
        """Access lists by folder name, of the folders that have one."""
        ...

    def access_by_id(self, folder_id: int) -> dict[str, str]:
        """The access list of a folder; NONEXISTENT."""
        ...

    def annotations_for(self, name: str, person: str) -> dict[str, bytes]:
        """As `annotations`, for somebody else."""
        ...

    def annotate_for(self, name: str, changes: Mapping[str, bytes | None], person: str) -> Annotated:
        """As `annotate`, for somebody else."""
        ...


class Neighbours(Protocol):
    """The other accounts of this instance."""

    @property
    def anyone(self) -> bool:
        """Whether rights for `anyone` count."""
        ...

    def find(self, key: str) -> tuple[int, SharableStore] | None:
        """Number (stable, above 0) and mailbox of an address; None: nobody, or suspended."""
        ...

    def owners(self, person: str) -> Sequence[str]:
        """Address keys of those who may share something with a person."""
        ...

    def note(self, owner: str, person: str) -> None:
        """The owner is about to share something; durable."""
        ...

    def forget(self, owner: str, person: str) -> None:
        """The owner shares nothing with this person any more."""
        ...


class There(NamedTuple):
    """Somebody else's folder.

    Attributes:
        owner: address key.
        number: of the account.
        id: there; 0 when only the name is known.
        name: there; "" when only the id is known.
        rights: of the person who asks.
    """

    store: SharableStore
    owner: str
    number: int
    id: int
    name: str
    rights: str

    def id_here(self, folder_id: int) -> int:
        """What a folder of that account is called by number here."""
        return self.number << _ID_BITS | folder_id


class Around:
    """Everybody else's folders, as one person sees them."""

    __slots__ = ("_owners", "neighbours", "person")

    def __init__(self, person: str, neighbours: Neighbours) -> None:
        self.person = person
        self.neighbours = neighbours
        self._owners: dict[int, str] = {}

    def named(self, name: str, need: str = "") -> There | None:
        """The folder behind a name; None: it is one's own.

        Args:
            need: rights that must all be there.

        Raises:
            MailboxError: NONEXISTENT, NOPERM.
        """
        split = split_shared(name)
        if split is None:
            return None
        owner, inner = split
        number, store = self._account(owner)
        if not inner:
            raise _nothing()
        entries = store.access(inner)
        return self._check(There(store, owner, number, 0, inner, self._rights(entries)), need)

    def by_id(self, folder_id: int, need: str = "") -> There | None:
        """The folder behind an id that came from here; raises as `named`."""
        number = folder_id >> _ID_BITS
        if not number:
            return None
        owner = self._owners[number]
        _, store = self._account(owner)
        entries = store.access_by_id(folder_id & _ID_MASK)
        at = There(store, owner, number, folder_id & _ID_MASK, "", self._rights(entries))
        return self._check(at, need)

    def parent(self, name: str) -> There:
        """The nearest folder above a name that does not exist yet: it says who may make one.

        Raises:
            MailboxError: NOPERM, NONEXISTENT.
        """
        split = split_shared(name)
        assert split is not None
        owner, inner = split
        number, store = self._account(owner)
        lists = store.access_of_all()
        exists = {entry.name for entry in store.folders() if entry.exists}
        above = inner
        while "/" in above:
            above = above.rpartition("/")[0]
            if above in exists:
                rights = self._rights(lists.get(above, {}))
                return self._check(There(store, owner, number, 0, inner, rights), "k")
        raise MailboxError("NOPERM", "only the owner makes folders here")

    def entries(self, subscribed: set[str]) -> list[FolderEntry]:
        """Every folder one may list, with the names above them."""
        found: list[FolderEntry] = []
        for owner in self.neighbours.owners(self.person):
            if owner != self.person and is_sharable(owner):
                found += self._entries_of(owner, subscribed)
        return found + _above(found, subscribed)

    def _entries_of(self, owner: str, subscribed: set[str]) -> list[FolderEntry]:
        known = self.neighbours.find(owner)
        if known is None:
            return []
        store = known[1]
        rights = {name: self._rights(entries) for name, entries in store.access_of_all().items()}
        seen = {name for name, mine in rights.items() if "l" in mine}
        above = {name[:at] for name in seen for at in range(len(name)) if name[at] == "/"}
        return [
            FolderEntry(
                here := shared_name(owner, name), True, name in above, here in subscribed, "", rights[name]
            )
            for name in sorted(seen)
        ]

    def _account(self, owner: str) -> tuple[int, SharableStore]:
        known = self.neighbours.find(owner) if owner != self.person else None
        if known is None:
            raise _nothing()
        self._owners[known[0]] = owner
        return known

    def _rights(self, entries: Mapping[str, str]) -> str:
        return effective(entries, self.person, anyone=self.neighbours.anyone)

    def _check(self, at: There, need: str) -> There:
        if set(need) <= set(at.rights) and at.rights:
            return at
        if "l" not in at.rights:
            raise _nothing()
        raise MailboxError("NOPERM", "the owner of this folder does not let you do that")


def is_sharable(owner: str) -> bool:
    """Whether an address can stand in the name of a folder."""
    return not any(character in owner for character in '/%*"\\')


def _above(found: Sequence[FolderEntry], subscribed: set[str]) -> list[FolderEntry]:
    """The names above these folders that are none themselves."""
    names = {entry.name for entry in found}
    above = {name[:at] for name in names for at in range(len(name)) if name[at] == "/"} - names
    return [FolderEntry(name, False, True, name in subscribed, "", "") for name in sorted(above)]


def _nothing() -> MailboxError:
    return MailboxError("NONEXISTENT", f"there is no such folder below {SHARED_ROOT}, or it is not shared")
