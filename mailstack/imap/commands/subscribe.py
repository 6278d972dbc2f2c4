"""SUBSCRIBE and UNSUBSCRIBE: what LSUB lists.

Standards: RFC 9051 sections 6.3.7 and 6.3.8, RFC 3501 sections 6.3.6 and 6.3.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.names import check_new_name
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def subscribe(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Remembers a folder, whether it exists or not."""
    name = check_new_name(session.read_name(cursor))
    cursor.end()
    yield from slow(lambda store: store.subscribe(name, subscribed=True))
    return Ok("Subscribe completed")


def unsubscribe(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Forgets it."""
    name = session.read_name(cursor)
    cursor.end()
    yield from slow(lambda store: store.subscribe(name, subscribed=False))
    return Ok("Unsubscribe completed")
