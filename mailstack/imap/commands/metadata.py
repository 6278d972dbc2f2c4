"""GETMETADATA and SETMETADATA: annotations of folders, of the account, of the server.

Standards: RFC 5464, RFC 6154 section 4 (/private/specialuse).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap import metadata
from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import No
from mailstack.imap.notifying import metadata_changed
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow

if TYPE_CHECKING:
    from mailstack.imap.session import Session

_USE = "/private/specialuse"


def get_metadata(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Tells the entries asked for; one that is not set is NIL."""
    options = metadata.take_options(cursor)
    if options is not None:
        cursor.space()
    name = session.read_name(cursor)
    cursor.space()
    if options is None and (options := metadata.take_options(cursor)) is not None:
        cursor.space()
    options = options or metadata.Options()
    asked = metadata.parse_entries(cursor, or_above=options.depth != 0)
    cursor.end()
    there = yield from slow(lambda store: store.annotations(name))
    if not name:
        there = there | _server_entries(session)
    found, longest = metadata.limit(metadata.pick(there, asked, options), options)
    if found:
        session.write(metadata.response(session.mailbox_name(name), found))
        yield from session.flush_full()
    return Ok("Getmetadata completed", f"METADATA LONGENTRIES {longest}" if longest else "")


def set_metadata(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Sets and removes entries, all or none."""
    name = session.read_name(cursor)
    cursor.space()
    changes = metadata.parse_changes(cursor)
    cursor.end()
    if not name and any(entry.startswith("/shared/") for entry in changes):
        raise No("What the server says of itself is set by its operator", code="NOPERM")
    done = yield from slow(lambda store: store.annotate(name, changes))
    for other in done.bereft:
        # RFC 6154 section 5.4: a use moves, and the client is told where it went from.
        session.write(metadata.response(session.mailbox_name(other), {_USE: None}))
        yield from metadata_changed(session, other, [_USE])
    yield from metadata_changed(session, name, map(metadata.wire_entry, changes))
    return Ok("Setmetadata completed")


def _server_entries(session: Session) -> dict[str, bytes]:
    options = session.options
    entries = {"/shared/comment": options.comment, "/shared/admin": options.admin}
    return {name: text.encode("utf-8") for name, text in entries.items() if text}
