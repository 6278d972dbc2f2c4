"""ID: who is talking; nothing is ever decided by it.

Standards: RFC 2971.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import Bad
from mailstack.imap.parser import Cursor

if TYPE_CHECKING:
    from mailstack.imap.session import Session

#: RFC 2971 section 3.3.
MAX_PAIRS = 30
MAX_FIELD_OCTETS = 30
MAX_VALUE_OCTETS = 1024


def identify(session: Session, cursor: Cursor) -> Ok:
    """Takes the client's fields, tells our name (not our version)."""
    session.client_id = _fields(cursor)
    cursor.end()
    session.write(b'* ID ("name" "mailstack")\r\n')
    return Ok("ID completed")


def _fields(cursor: Cursor) -> dict[str, str]:
    fields: dict[str, str] = {}
    if not cursor.take(b"("):
        if cursor.word() != b"NIL":
            cursor.fail("a list or NIL")
        return fields
    if cursor.take(b")"):
        return fields
    for _ in range(MAX_PAIRS):
        name = cursor.string()
        cursor.space()
        value = cursor.nstring() or b""
        if len(name) > MAX_FIELD_OCTETS or len(value) > MAX_VALUE_OCTETS:
            raise Bad("A field of ID is too long")
        fields[name.decode("ascii", "replace").lower()] = value.decode("utf-8", "replace")
        if cursor.take(b")"):
            return fields
        cursor.space()
    raise Bad(f"ID has more than {MAX_PAIRS} fields")
