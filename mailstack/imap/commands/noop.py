"""NOOP and CHECK: look for changes, also those other programs made.

Standards: RFC 3501 sections 6.1.2 and 6.4.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, quick, slow

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def noop(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Does nothing but let the client hear of changes."""
    cursor.end()
    yield from refresh(session)
    return Ok("NOOP completed")


def check(session: Session, cursor: Cursor) -> Steps[Ok]:
    """As NOOP: every change is durable before its OK, so there is nothing to write."""
    cursor.end()
    yield from refresh(session)
    return Ok("Check completed")


def refresh(session: Session) -> Steps[None]:
    """Looks at the files of the selected folder."""
    view = session.view
    if view is not None and not (yield from quick(lambda store: store.is_settled(view.folder_id))):
        yield from slow(lambda store: store.refresh(view.folder_id))
