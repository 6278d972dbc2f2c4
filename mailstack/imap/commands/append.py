"""APPEND: messages into a folder, all or none.

Standards: RFC 3501 section 6.3.11, RFC 3502 (MULTIAPPEND), RFC 4315 section 3 (APPENDUID),
RFC 4469 (CATENATE).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.catenate import Assembly, read_drafts
from mailstack.imap.commands.entry import Ok
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.imap.response import compress
from mailstack.model.mailbox import Appended

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def append(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Stores the messages that `framing` has handed to the session's uploads."""
    name = session.read_name(cursor)
    drafts = read_drafts(session, cursor)
    assembly = Assembly()
    try:
        yield from assembly.assemble(session, drafts)
        done = yield from slow(lambda store: store.append(name, assembly.messages))
    finally:
        assembly.close()
    yield from session.changed(name)
    return Ok("Append completed", append_uid(done))


def append_uid(done: Appended) -> str:
    """`APPENDUID ...`; "" when nothing is known."""
    uids = compress(done.uids).decode()
    return f"APPENDUID {done.uid_validity} {uids}" if uids else ""
