"""APPEND: messages into a folder, all or none.

Standards: RFC 3501 section 6.3.11, RFC 3502 (MULTIAPPEND), RFC 4315 section 3 (APPENDUID).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import Bad, No
from mailstack.imap.grammar import FlagList, parse_date_time, parse_flags
from mailstack.imap.names import decode_name
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.imap.response import compress
from mailstack.imap.upload import Upload
from mailstack.model.mailbox import Flags, NewMessage

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def append(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Stores the messages that `framing` has handed to the session's uploads."""
    name = decode_name(cursor.astring())
    messages: list[NewMessage] = []
    for upload in session.uploads:
        yield from upload.finish()
        messages.append(_message(session, cursor, upload))
    cursor.end()
    if not messages:
        raise Bad("APPEND wants a message literal")
    done = yield from slow(lambda store: store.append(name, messages))
    yield from session.changed(name)
    uids = compress(done.uids).decode()
    return Ok("Append completed", f"APPENDUID {done.uid_validity} {uids}" if uids else "")


def _message(session: Session, cursor: Cursor, upload: Upload) -> NewMessage:
    cursor.space()
    flags = FlagList(Flags.NONE, ())
    if cursor.peek() == b"(":
        flags = parse_flags(cursor, most_keywords=session.options.max_keywords)
        cursor.space()
    at = None
    if cursor.peek() == b'"':
        at = parse_date_time(cursor)
        cursor.space()
    cursor.body_marker()
    if upload.has_nul:
        raise No("The message holds NUL", code="CANNOT")
    if not upload.octets:
        raise No("The message is empty", code="CANNOT")
    path = upload.spool.path if upload.spool is not None else ""
    return NewMessage(upload.data, path, flags.flags, flags.keywords, at)
