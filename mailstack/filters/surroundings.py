"""What scripts may ask about the account they run for: given to the pipeline by who can look it up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Heard:
    """On how many days wanted mail of a sender came.

    Attributes:
        here: to any account of this server.
        own: to this one.
    """

    here: int = 0
    own: int = 0


class Folders(Protocol):
    """The account's folders (`sieve.Mailboxes`, and more)."""

    def exists(self, name: str) -> bool:
        """True when messages can be stored in it."""
        ...

    def create(self, name: str) -> bool:
        """Nothing is made while a script runs; True when it is there."""
        ...

    def special_use(self, name: str) -> Sequence[str]:
        """RFC 6154 attributes; of all folders for ""."""
        ...

    def get_metadata(self, name: str, entry: str) -> str | None:
        """An annotation; of the server for the name ""."""
        ...

    def by_id(self, id_: str) -> str | None:
        """The name of the folder with an id (RFC 8474)."""
        ...

    def by_use(self, use: str) -> str | None:
        """The name of the folder with an attribute."""
        ...

    def close(self) -> None:
        """Nobody asks for now: what was opened is released."""
        ...


class Surroundings(Protocol):
    """One account's; asked only when a script wants to know, and never raises."""

    @property
    def folders(self) -> Folders | None:
        """None: nobody knows."""
        ...

    @property
    def name(self) -> str:
        """Its owner's; "" when nobody knows."""
        ...

    @property
    def addresses(self) -> Sequence[str]:
        """The account's own: its address and the aliases that point at it alone."""
        ...

    def is_own(self, address: str) -> bool:
        """True for its own addresses, in every way they are written; not for groups it is in."""
        ...

    def may_send_as(self, address: str) -> bool:
        """True for its own addresses and the identities granted to it."""
        ...

    def script(self, name: str, location: str) -> bytes | None:
        """A script for `include`; `location` is "personal" or "global"."""
        ...

    def seen(self, id_: str, *, since: float) -> bool:
        """True when `duplicate` marked the id since then; False when nobody knows (V15)."""
        ...

    def is_correspondent(self, address: str) -> bool:
        """True when the account has written to this address."""
        ...

    def has_written(self, message_ids: Sequence[str]) -> bool:
        """True when the account sent one of these messages, or one in a thread they are in.

        Args:
            message_ids: with their angle brackets.
        """
        ...

    def heard(self, sender: str) -> Heard:
        """Since when wanted, authenticated mail of a sender comes to it, and to the server.

        Args:
            sender: key of the author's address.
        """
        ...

    def cpu_s(self, *, since: float) -> float:
        """What its scripts have used since then."""
        ...

    def deaths(self, script: str, version: bytes) -> int:
        """How often the filter died in this version of a script."""
        ...

    def begin(self, script: str, version: bytes) -> None:
        """A script begins: whoever watches the filter will know what it died in."""
        ...

    def offset_s(self, at: float) -> int:
        """Its time zone: seconds east of UTC at some time."""
        ...

    def silence(self, at: float, senders: Sequence[str]) -> str:
        """Why its autoresponder says nothing to any of them at some time; "" when it answers."""
        ...


class Nowhere:
    """Knows nothing: for accounts nobody can look up."""

    folders: Folders | None = None
    name = ""
    addresses: Sequence[str] = ()

    def is_own(self, address: str) -> bool:
        """Nobody's address."""
        return False

    def may_send_as(self, address: str) -> bool:
        """Nobody's address."""
        return False

    def script(self, name: str, location: str) -> bytes | None:
        """There are no scripts."""
        return None

    def seen(self, id_: str, *, since: float) -> bool:
        """Nothing was."""
        return False

    def is_correspondent(self, address: str) -> bool:
        """Nobody is."""
        return False

    def has_written(self, message_ids: Sequence[str]) -> bool:
        """It wrote nothing."""
        return False

    def heard(self, sender: str) -> Heard:
        """Never."""
        return Heard()

    def cpu_s(self, *, since: float) -> float:
        """Nothing."""
        return 0.0

    def deaths(self, script: str, version: bytes) -> int:
        """None."""
        return 0

    def begin(self, script: str, version: bytes) -> None:
        """Nobody watches."""

    def offset_s(self, at: float) -> int:
        """UTC."""
        return 0

    def silence(self, at: float, senders: Sequence[str]) -> str:
        """Nothing speaks against it."""
        return ""
