"""LSUB: the folders somebody subscribed to.

Classic Outlook builds its tree from this list alone, so attributes are those of LIST, a
name without a folder says that it cannot be opened, and parents are listed for "%".

Standards: RFC 3501 section 6.3.9.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.listing import folder_line, parents
from mailstack.imap.names import Pattern, decode_pattern
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.model.mailbox import FolderEntry

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def lsub(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Lists subscribed names; with "%" also the parents of deeper ones, as \\Noselect."""
    reference = cursor.astring()
    cursor.space()
    text = decode_pattern(reference + cursor.list_mailbox(), utf8=session.has_utf8)
    cursor.end()
    pattern = Pattern(text)
    subscribed = [entry for entry in (yield from slow(lambda store: store.folders())) if entry.subscribed]
    lines = {entry.name: _line(session, entry) for entry in subscribed if pattern.matches(entry.name)}
    if text.endswith("%"):
        names = {entry.name for entry in subscribed}
        above = {parent for name in names if name not in lines for parent in parents(name)} - names
        for parent in above:
            if pattern.matches(parent):
                lines[parent] = b'* LSUB (\\Noselect) "/" %b\r\n' % session.mailbox_name(parent)
    for name in sorted(lines):
        session.write(lines[name])
        yield from session.flush_full()
    return Ok("Lsub completed")


def _line(session: Session, entry: FolderEntry) -> bytes:
    name = session.mailbox_name(entry.name)
    if entry.exists:
        return folder_line(b"LSUB", entry, name)
    # \\NonExistent is a word of RFC 5258, which knows LIST only.
    line = folder_line(b"LSUB", replace(entry, exists=True), name)
    return line.replace(b"(", b"(\\Noselect ", 1)
