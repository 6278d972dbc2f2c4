"""CLOSE and UNSELECT: back to no folder.

Standards: RFC 3501 section 6.4.2, RFC 3691 (UNSELECT), RFC 4314 section 4: without the right to
expunge, CLOSE does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.commands.expunge import deleted, remove
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def close(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Expunges without telling, then deselects."""
    cursor.end()
    view = session.selected
    if not view.read_only and "e" in view.rights:
        yield from session.sync(expunge=False)
        uids = deleted(view)
        if uids:
            yield from slow(lambda store: remove(store, view, uids))
            yield from session.changed(view.name)
    session.deselect()
    return Ok("Close completed")


def unselect(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Deselects."""
    yield from ()
    cursor.end()
    session.deselect()
    return Ok("Unselect completed")
