"""The items of STATUS: what may be asked, and what a folder answers.

Standards: RFC 9051 section 6.3.11, RFC 3501 section 6.3.10, RFC 7162 section 3.1.7
(HIGHESTMODSEQ), RFC 7889 (APPENDLIMIT), RFC 8438 (SIZE), RFC 8474 (MAILBOXID), RFC 9208
(DELETED, DELETED-STORAGE).
Imports: model, parser.  No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mailstack.imap.errors import Bad
from mailstack.imap.parser import Cursor
from mailstack.model.mailbox import AccountStore, FolderStatus


@dataclass(frozen=True, slots=True)
class Counted:
    """A folder's counters.

    Attributes:
        deleted_octets: what an EXPUNGE would free; 0 when nobody asked.
        append_limit: octets of the largest message APPEND takes.
    """

    status: FolderStatus
    deleted_octets: int
    append_limit: int


_ITEMS: dict[bytes, Callable[[Counted], bytes]] = {
    b"MESSAGES": lambda found: b"%d" % found.status.messages,
    b"RECENT": lambda found: b"%d" % found.status.recent,
    b"UIDNEXT": lambda found: b"%d" % found.status.uid_next,
    b"UIDVALIDITY": lambda found: b"%d" % found.status.uid_validity,
    b"UNSEEN": lambda found: b"%d" % found.status.unseen,
    b"SIZE": lambda found: b"%d" % found.status.size_octets,
    b"DELETED": lambda found: b"%d" % found.status.deleted,
    b"DELETED-STORAGE": lambda found: b"%d" % found.deleted_octets,
    b"HIGHESTMODSEQ": lambda found: b"%d" % found.status.highest_modseq,
    b"APPENDLIMIT": lambda found: b"%d" % found.append_limit,
    b"MAILBOXID": lambda found: b"(%b)" % found.status.object_id.encode("ascii"),
}


def parse_items(cursor: Cursor) -> tuple[bytes, ...]:
    """Items up to their closing parenthesis, each once, in the order asked for.

    Raises:
        Bad: none, or one nobody knows.
    """
    items: dict[bytes, None] = {}
    while True:
        item = cursor.word()
        if item not in _ITEMS:
            raise Bad("There is no such item of STATUS")
        items[item] = None
        if cursor.take(b")"):
            return tuple(items)
        cursor.space()


def look(store: AccountStore, name: str, items: Sequence[bytes], *, append_limit: int) -> Counted:
    """Counts, after a look at what other programs did.

    Raises:
        MailboxError: NONEXISTENT.
    """
    status = store.status(name)
    octets = store.deleted_octets(status.id) if b"DELETED-STORAGE" in items and status.deleted else 0
    return Counted(status, octets, append_limit)


def status_line(name: bytes, found: Counted, items: Sequence[bytes]) -> bytes:
    """`* STATUS name (...)`; `name`: a string as the client reads it."""
    pairs = b" ".join(b"%b %b" % (item, _ITEMS[item](found)) for item in items)
    return b"* STATUS %b (%b)\r\n" % (name, pairs)
