"""ENABLE: the client says what it understands beyond the base protocol.

Standards: RFC 5161, RFC 9051 section 6.3.1, RFC 7162 section 3.2.3 (QRESYNC), RFC 6855
section 3 (UTF8=ACCEPT), RFC 9586 (UIDONLY).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import Bad
from mailstack.imap.parser import Cursor
from mailstack.imap.quirks import hidden
from mailstack.imap.telling import enable_condstore

if TYPE_CHECKING:
    from mailstack.imap.session import Session

#: Words in one command; nobody knows so many.
MAX_WORDS = 100
_ENABLED = {
    b"CONDSTORE": "CONDSTORE",
    b"QRESYNC": "QRESYNC",
    b"UTF8=ACCEPT": "UTF8=ACCEPT",
    b"IMAP4REV2": "IMAP4rev2",
    b"UIDONLY": "UIDONLY",
}


def enable(session: Session, cursor: Cursor) -> Ok:
    """Enables what we know of the list, for good; what we do not know is no error."""
    words = dict.fromkeys(_words(cursor))
    left = session.enabled | hidden(session.client_id)
    now = [_ENABLED[word] for word in words if word in _ENABLED and word.decode() not in left]
    if not {"CONDSTORE", "QRESYNC"}.isdisjoint(now):
        enable_condstore(session)
    session.enabled.update(name.upper() for name in now)
    session.write(b"* ENABLED%b\r\n" % "".join(f" {name}" for name in now).encode())
    return Ok("Enabled")


def _words(cursor: Cursor) -> list[bytes]:
    words = [cursor.word()]
    while not cursor.at_end:
        cursor.space()
        words.append(cursor.word())
        if len(words) > MAX_WORDS:
            raise Bad(f"More than {MAX_WORDS} words")
    return words
