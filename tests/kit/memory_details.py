"""What the mailbox in memory knows of its folders besides: see `model.sharing.FolderDetails`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mailstack.model.mailbox import Flags, MailboxError
from mailstack.model.roles import ROLES
from mailstack.model.sharing import ALL_RIGHTS, Annotated, Place

OWNER = "alice@example.test"
_USE = "/private/specialuse"


@dataclass
class Notes:
    """Annotations and rights of a folder."""

    values: dict[str, bytes] = field(default_factory=dict)
    rights: dict[str, str] = field(default_factory=dict)


class MemoryDetails:
    """The part of `MemoryMailbox` that is not about messages."""

    owner = OWNER

    def _details(self, name: str) -> Notes:
        notes: dict[int, Notes] = self.__dict__.setdefault("_notes", {})
        return notes.setdefault(self._named(name).id if name else 0, Notes())

    def _named(self, name: str, code: str = "NONEXISTENT") -> Any:
        raise NotImplementedError

    def _by_id(self, folder_id: int) -> Any:
        raise NotImplementedError

    def _with_role(self, role: str) -> Any:
        """The folder with this role, or None."""
        raise NotImplementedError

    def inherit(self, name: str) -> None:
        """A new folder has the rights of the one above it."""
        above = name
        while "/" in above:
            above = above.rpartition("/")[0]
            try:
                self._details(name).rights = dict(self._details(above).rights)
            except MailboxError:
                continue
            return

    def deleted_octets(self, folder_id: int) -> int:
        rows = [message.row for message in self._by_id(folder_id).messages.values()]
        return sum(row.size_octets for row in rows if row.flags & Flags.DELETED)

    def annotations(self, name: str) -> dict[str, bytes]:
        return self.annotations_for(name, "")

    def annotations_for(self, name: str, person: str) -> dict[str, bytes]:
        found = {}
        for entry, value in self._details(name).values.items():
            whose, mark, bare = entry.rpartition("\n")
            if (whose == person) if mark else not (person and entry.startswith("/private/")):
                found[bare] = value
        if name and not person and (use := self._named(name).special_use):
            found[_USE] = use.encode()
        return found

    def annotate(self, name: str, changes: Mapping[str, bytes | None]) -> Annotated:
        return self.annotate_for(name, changes, "")

    def annotate_for(self, name: str, changes: Mapping[str, bytes | None], person: str) -> Annotated:
        values = dict(self._details(name).values)
        for entry, value in changes.items():
            if value is not None and len(value) > 16_384:
                raise MailboxError("METADATA MAXSIZE 16384", "The annotation is too long")
            key = f"{person}\n{entry}" if person and entry.startswith("/private/") else entry
            if value is None:
                values.pop(key, None)
            elif entry != _USE:
                values[key] = value
        if len(values) > 100:
            raise MailboxError("METADATA TOOMANY", "There are too many annotations")
        lost = self._set_role(name, changes[_USE], person) if _USE in changes else ""
        self._details(name).values = values
        return Annotated((lost,) if lost else ())

    def _set_role(self, name: str, value: bytes | None, person: str) -> str:
        known = {role.lower(): role for role in ROLES}
        words = (value or b"").decode().lower().split()
        if person or not name or len(words) > 1 or any(word not in known for word in words):
            raise MailboxError("USEATTR", "A folder cannot be that")
        role = known[words[0]] if words else ""
        before = self._with_role(role) if role else None
        if before is not None:
            before.special_use = ""
        self._named(name).special_use = role
        return before.name if before is not None and before.name != name else ""

    def locate(self, name: str) -> Place:
        return Place("", self._named(name).name)

    def access(self, name: str) -> dict[str, str]:
        return {self.owner: ALL_RIGHTS, **dict(sorted(self._details(name).rights.items()))}

    def access_of_all(self) -> dict[str, dict[str, str]]:
        names = [entry.name for entry in self.folders() if entry.exists]  # type: ignore[attr-defined]
        return {name: self._details(name).rights for name in names if self._details(name).rights}

    def access_by_id(self, folder_id: int) -> dict[str, str]:
        return dict(self._details(self._by_id(folder_id).name).rights)

    def grant(self, name: str, identifier: str, rights: str) -> None:
        if identifier.removeprefix("-") == self.owner:
            raise MailboxError("CANNOT", "The owner of a folder has all rights")
        self._details(name).rights[identifier] = rights
        if not rights:
            del self._details(name).rights[identifier]
