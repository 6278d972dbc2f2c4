"""NAMESPACE: one's own folders, and those others share.

Standards: RFC 2342, RFC 9051 section 6.3.10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.parser import Cursor
from mailstack.model.sharing import SHARED_ROOT

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def namespace(session: Session, cursor: Cursor) -> Ok:
    """Names begin at the root and are divided by "/"; others' folders lie below a name of ours."""
    cursor.end()
    others = b'((%b "/"))' % session.mailbox_name(SHARED_ROOT) if session.options.sharing else b"NIL"
    session.write(b'* NAMESPACE (("" "/")) %b NIL\r\n' % others)
    return Ok("Namespace completed")
