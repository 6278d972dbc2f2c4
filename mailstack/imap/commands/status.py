"""STATUS: counters of a folder that need not be selected.

Standards: RFC 3501 section 6.3.10, RFC 7889 (APPENDLIMIT), RFC 8438 (SIZE), RFC 9051 section
6.3.11 (DELETED), RFC 7162 section 3.1.7 (HIGHESTMODSEQ).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import Bad
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.imap.telling import enable_condstore
from mailstack.model.mailbox import AccountStore, FolderStatus

if TYPE_CHECKING:
    from mailstack.imap.session import Session


_ITEMS: dict[bytes, Callable[[FolderStatus], int]] = {
    b"MESSAGES": lambda status: status.messages,
    b"RECENT": lambda status: status.recent,
    b"UIDNEXT": lambda status: status.uid_next,
    b"UIDVALIDITY": lambda status: status.uid_validity,
    b"UNSEEN": lambda status: status.unseen,
    b"SIZE": lambda status: status.size_octets,
    b"DELETED": lambda status: status.deleted,
    b"HIGHESTMODSEQ": lambda status: status.highest_modseq,
}


def status(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Tells the counters asked for, in the order asked for."""
    name = session.read_name(cursor)
    cursor.expect(b" (")
    items = _items(cursor)
    cursor.end()
    if b"HIGHESTMODSEQ" in items:
        enable_condstore(session)
    found = yield from slow(lambda store: _look(store, name))
    pairs = []
    for item in items:
        value = session.options.append_octets if item == b"APPENDLIMIT" else _ITEMS[item](found)
        pairs.append(b"%b %d" % (item, value))
    session.write(b"* STATUS %b (%b)\r\n" % (session.mailbox_name(name), b" ".join(pairs)))
    return Ok("Status completed")


def _items(cursor: Cursor) -> list[bytes]:
    items: dict[bytes, None] = {}
    while True:
        item = cursor.word()
        if item not in _ITEMS and item != b"APPENDLIMIT":
            raise Bad("There is no such item of STATUS")
        items[item] = None
        if cursor.take(b")"):
            return list(items)
        cursor.space()


def _look(store: AccountStore, name: str) -> FolderStatus:
    found = store.status(name)
    return store.status(name) if store.refresh(found.id) else found
