"""STATUS: counters of a folder that need not be selected.

Standards: RFC 9051 section 6.3.11, RFC 3501 section 6.3.10, and those of `counters`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap import counters
from mailstack.imap.commands.entry import Ok
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.imap.telling import enable_condstore

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def status(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Tells the counters asked for, in the order asked for."""
    name = session.read_name(cursor)
    cursor.expect(b" (")
    items = counters.parse_items(cursor)
    cursor.end()
    if b"HIGHESTMODSEQ" in items:
        enable_condstore(session)
    limit = session.options.append_octets
    found = yield from slow(lambda store: counters.look(store, name, items, append_limit=limit))
    session.write(counters.status_line(session.mailbox_name(name), found, items))
    return Ok("Status completed")
