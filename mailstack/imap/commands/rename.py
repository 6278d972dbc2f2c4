"""RENAME: a folder with its children; INBOX gives its messages away.

Standards: RFC 9051 section 6.3.6, RFC 3501 section 6.3.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import No
from mailstack.imap.listing import old_name_line, read_new_name
from mailstack.imap.names import SEPARATOR
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def rename(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Renames; special use, rights, annotations and subscriptions go with the folder."""
    old = session.read_name(cursor)
    cursor.space()
    new, asked = read_new_name(session, cursor)
    cursor.end()
    if new == "INBOX":
        raise No("INBOX is always there", code="ALREADYEXISTS")
    if new.startswith(old + SEPARATOR) and old != "INBOX":
        raise No("A folder cannot move below itself", code="CANNOT")
    yield from slow(lambda store: store.rename(old, new))
    if old != "INBOX":
        _follow(session, old, new)
    else:
        yield from session.changed(old)
    yield from session.changed(new)
    if asked:
        session.write(old_name_line(session, new, asked))
    return Ok("Rename completed")


def _follow(session: Session, old: str, new: str) -> None:
    """The selected folder may be one that has a new name now."""
    view = session.view
    if view is not None and (view.name == old or view.name.startswith(old + SEPARATOR)):
        view.name = new + view.name[len(old) :]
