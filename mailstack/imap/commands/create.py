"""CREATE: a new folder, perhaps with a use.

Standards: RFC 9051 section 6.3.4, RFC 3501 section 6.3.3, RFC 6154 section 3 (USE), RFC 8457
(\\Important), RFC 8474 section 4.1 (MAILBOXID).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import No
from mailstack.imap.listing import old_name_line, read_new_name
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.model.roles import ROLES

if TYPE_CHECKING:
    from mailstack.imap.session import Session

_USES = {role[1:].upper().encode(): role for role in ROLES}


def create(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Makes a folder; missing parents are not made, they show as \\NonExistent."""
    name, asked = read_new_name(session, cursor)
    use = _use(cursor)
    cursor.end()
    if name == "INBOX":
        raise No("INBOX is always there", code="ALREADYEXISTS")
    made = yield from slow(lambda store: store.create(name, special_use=use))
    yield from session.changed(name)
    if asked:
        session.write(old_name_line(session, name, asked))
    return Ok("Create completed", f"MAILBOXID ({made.object_id})")


def _use(cursor: Cursor) -> str:
    r"""The attribute behind the name, `(USE (\Sent))`; "" for none."""
    if not cursor.take(b" ("):
        return ""
    cursor.expect(b"USE (")
    uses: dict[str, None] = {}
    while not cursor.take(b")"):
        if uses:
            cursor.space()
        cursor.expect(b"\\")
        uses[_USES.get(cursor.word(), "")] = None
    cursor.expect(b")")
    if "" in uses:
        raise No("There is no such use of a folder here", code="USEATTR")
    if len(uses) > 1:
        raise No("A folder has one use only", code="USEATTR")
    return next(iter(uses), "")
