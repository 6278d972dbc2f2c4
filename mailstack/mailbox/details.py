"""What an account knows of its folders beyond names and counters: model.sharing.FolderDetails."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from mailstack.mailbox import folders, metadata, rights, roles
from mailstack.mailbox.core import Core, FolderRow
from mailstack.model.mailbox import MailboxError
from mailstack.model.roles import ROLES
from mailstack.model.sharing import ALL_RIGHTS, Annotated, Place


class Details:
    """The part of an account that implements FolderDetails, where the methods are described.

    Attributes:
        core: the account.
    """

    core: Core

    def deleted_octets(self, folder_id: int) -> int:
        """Octets of the messages marked \\Deleted."""
        with self.core.db.read() as connection:
            (octets,) = connection.execute(
                "SELECT coalesce(sum(size), 0) FROM messages WHERE folder = ? AND flags & 8 <> 0",
                (folder_id,),
            ).fetchone()
        return int(octets)

    def annotations(self, name: str) -> dict[str, bytes]:
        """Values by entry name; "": of the account."""
        return self.annotations_for(name, "")

    def annotations_for(self, name: str, person: str) -> dict[str, bytes]:
        """As another person sees them, by their address key; "": as the owner does."""

        def read(folder: FolderRow | None) -> dict[str, bytes]:
            with self.core.db.read() as connection:
                folder_id = self.core.get(connection, folder.id).id if folder is not None else 0
                found = metadata.read(connection, folder_id, person)
            if folder is not None and folder.special_use and not person:
                found[metadata.SPECIAL_USE] = folder.special_use.encode("ascii")
            return found

        return folders.with_named(self.core, name, read) if name else read(None)

    def annotate(self, name: str, changes: Mapping[str, bytes | None]) -> Annotated:
        """Sets annotations, all or none."""
        return self.annotate_for(name, changes, "")

    def annotate_for(self, name: str, changes: Mapping[str, bytes | None], person: str) -> Annotated:
        """The same for another person."""
        others = {entry: value for entry, value in changes.items() if entry != metadata.SPECIAL_USE}
        use = None
        if metadata.SPECIAL_USE in changes:
            if not name or person:
                raise MailboxError("USEATTR", "only a folder's owner says what it is for")
            use = _use(changes[metadata.SPECIAL_USE])

        def work(connection: sqlite3.Connection, folder: FolderRow | None) -> str:
            folder_id = self.core.get(connection, folder.id).id if folder is not None else 0
            metadata.write(connection, folder_id, others, person)
            now = int(self.core.now())
            return roles.give(connection, folder_id, use, now=now) if use is not None else ""

        def change(folder: FolderRow | None) -> str:
            doing = "setting an annotation"
            return self.core.db.change(doing, lambda found: work(found, folder), durable_commit=True)

        lost = folders.with_named(self.core, name, change) if name else change(None)
        return Annotated((lost,) if lost else ())

    def copy_annotations(self, source_id: int, target_id: int) -> None:
        """Gives a folder the annotations of another."""
        with self.core.db.write("copying annotations", durable_commit=True) as connection:
            metadata.copy(connection, source_id, target_id)

    def locate(self, name: str) -> Place:
        """One's own folder."""
        return Place("", folders.named(self.core, name).name)

    def access(self, name: str) -> dict[str, str]:
        """Rights by identifier, the owner's first."""
        own = {self.core.address: ALL_RIGHTS}
        return own | folders.with_named(self.core, name, lambda folder: self.access_by_id(folder.id))

    def access_of_all(self) -> dict[str, dict[str, str]]:
        """Entries by folder name, of the folders that have a list."""
        folders.discover(self.core)
        with self.core.db.read() as connection:
            return rights.read_all(connection)

    def access_by_id(self, folder_id: int) -> dict[str, str]:
        """The access list of a folder."""
        with self.core.db.read() as connection:
            return rights.read(connection, self.core.get(connection, folder_id).id)

    def grant(self, name: str, identifier: str, rights_: str) -> None:
        """Sets the rights of one identifier; "": removes its entry."""
        if identifier.removeprefix("-") == self.core.address:
            raise MailboxError("CANNOT", "the owner of a folder has all rights")

        def change(folder: FolderRow) -> None:
            def work(connection: sqlite3.Connection) -> None:
                rights.write(connection, self.core.get(connection, folder.id).id, identifier, rights_)

            self.core.db.change("changing who may see a folder", work, durable_commit=True)

        folders.with_named(self.core, name, change)


def _use(value: bytes | None) -> str:
    words = (value or b"").decode("ascii", "replace").split()
    if len(words) > 1:
        raise MailboxError("USEATTR", "a folder can have one use only")
    # RFC 6154 section 2: compared without case.
    known = {role.lower(): role for role in ROLES}
    return known.get(words[0].lower(), words[0]) if words else ""
