"""Folders as more than one person sees them: rights, annotations, where a name leads.

Rights are letters (RFC 4314 section 2.1): l list, r read, s \\Seen, w other flags, i insert,
p post, k make folders below, x delete or rename the folder, t \\Deleted, e expunge,
a administer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

ALL_RIGHTS = "lrswipkxtea"
#: Stands for every account of this instance.
ANYONE = "anyone"
#: Others' folders are called SHARED_ROOT + address key + "/" + name.
SHARED_ROOT = "Shared/"


def shared_name(owner: str, name: str) -> str:
    """What somebody else's folder is called; `owner`: address key."""
    return f"{SHARED_ROOT}{owner}/{name}"


def split_shared(name: str) -> tuple[str, str] | None:
    """Owner and name behind what somebody else's folder is called; None: it is one's own.

    Without an address behind "Shared/" a name is one's own.
    """
    owner, _, inner = name.removeprefix(SHARED_ROOT).partition("/")
    return (owner, inner) if name.startswith(SHARED_ROOT) and "@" in owner else None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mailbox name leads.

    Attributes:
        owner: address key of the account the folder belongs to; "" for one's own.
        name: what the folder is called there.
        rights: what the person who asks may do with it.
    """

    owner: str
    name: str
    rights: str = ALL_RIGHTS


@dataclass(frozen=True, slots=True)
class Annotated:
    """What a change of annotations did besides.

    Attributes:
        bereft: names of folders that lost their special use to another.
    """

    bereft: tuple[str, ...] = ()


class FolderDetails(Protocol):
    """What `AccountStore` knows of folders beyond names and counters."""

    def deleted_octets(self, folder_id: int) -> int:
        """Octets of the messages marked \\Deleted."""
        ...

    def annotations(self, name: str) -> dict[str, bytes]:
        """Values by entry name (RFC 5464), all that the person may see; "": of the account.

        Raises:
            MailboxError: NONEXISTENT, NOPERM.
        """
        ...

    def annotate(self, name: str, changes: Mapping[str, bytes | None]) -> Annotated:
        """Sets annotations, None removes; all or none.

        Raises:
            MailboxError: NONEXISTENT, NOPERM, USEATTR, `METADATA TOOMANY`,
                `METADATA MAXSIZE n`.
        """
        ...

    def locate(self, name: str) -> Place:
        """Where a name leads.

        Raises:
            MailboxError: NONEXISTENT, also for a folder of somebody else that one may not see.
        """
        ...

    def access(self, name: str) -> dict[str, str]:
        """Rights by identifier: address keys and `anyone`; with "-" in front, rights taken away.

        The owner stands first.

        Raises:
            MailboxError: NONEXISTENT, NOPERM.
        """
        ...

    def grant(self, name: str, identifier: str, rights: str) -> None:
        """Sets the rights of one identifier; "": removes its entry.

        Raises:
            MailboxError: NONEXISTENT, NOPERM, CANNOT, LIMIT.
        """
        ...
