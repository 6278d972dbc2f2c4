"""ID: who is talking; for the log, and for `quirks`.

Standards: RFC 2971.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import Bad
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Identified, Steps, ask

if TYPE_CHECKING:
    from mailstack.imap.session import Session

#: RFC 2971 section 3.3.
MAX_PAIRS = 30
MAX_FIELD_OCTETS = 30
MAX_VALUE_OCTETS = 1024
#: Fields that say which program it is; and characters of each that are logged.
_TOLD = ("name", "version", "vendor", "os", "os-version")
_TOLD_CHARS = 60


def identify(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Takes the client's fields, tells our name (not our version)."""
    session.client_id = _fields(cursor)
    cursor.end()
    session.write(b'* ID ("name" "mailstack")\r\n')
    told = [
        ascii(session.client_id[name][:_TOLD_CHARS])[1:-1] for name in _TOLD if session.client_id.get(name)
    ]
    if told:
        yield from ask(Identified(" ".join(told)))
    return Ok("ID completed")


def _fields(cursor: Cursor) -> dict[str, str]:
    fields: dict[str, str] = {}
    # Old JavaMail sends the string "NIL".
    if cursor.take(b'"NIL"') or cursor.take(b"NIL"):
        return fields
    cursor.expect(b"(")
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
