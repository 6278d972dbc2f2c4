"""What a POP3 session shows: messages of some folders as one list, as it was at the login.

Columns instead of objects: a list of 200,000 messages costs a few megabytes.

Standards: RFC 1939.
"""

from __future__ import annotations

from array import array
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field

#: Octets of a unique id before they are written as text: 20 characters.
ID_OCTETS = 15


@dataclass(frozen=True, slots=True)
class Maildrop:
    """Messages in order of arrival; a message is known by its position, from 0.

    Attributes:
        folders: ids of the folders; names: what they are called.
        folder: for each message the position of its folder in `folders`.
        uids: for each message its UID there.
        sizes: octets RETR sends, without the dots it adds.
        ids: ID_OCTETS each, that stay the same as long as the message exists.
    """

    folders: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    folder: array[int] = field(default_factory=lambda: array("B"))
    uids: array[int] = field(default_factory=lambda: array("I"))
    sizes: array[int] = field(default_factory=lambda: array("Q"))
    ids: bytes = b""

    def __len__(self) -> int:
        return len(self.uids)

    def unique_id(self, at: int) -> bytes:
        """The unique-id of RFC 1939 section 7."""
        return urlsafe_b64encode(self.ids[at * ID_OCTETS : (at + 1) * ID_OCTETS])

    def by_folder(self, positions: list[int]) -> dict[int, list[int]]:
        """UIDs of these messages by folder id."""
        found: dict[int, list[int]] = {}
        for at in positions:
            found.setdefault(self.folders[self.folder[at]], []).append(self.uids[at])
        return found
