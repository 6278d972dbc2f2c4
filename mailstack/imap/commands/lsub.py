"""LSUB: the folders somebody subscribed to.

Standards: RFC 3501 section 6.3.9.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.commands.list_ import folder_line
from mailstack.imap.names import SEPARATOR, Pattern, decode_pattern
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def lsub(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Lists subscribed names; with "%" also the parents of deeper ones, as \\Noselect."""
    reference = cursor.astring()
    cursor.space()
    text = decode_pattern(reference + cursor.list_mailbox())
    cursor.end()
    pattern = Pattern(text)
    folders = yield from slow(lambda store: store.folders())
    subscribed = {entry.name for entry in folders if entry.subscribed}
    lines: dict[str, bytes] = {}
    for entry in folders:
        if not entry.subscribed:
            continue
        if pattern.matches(entry.name):
            # \\Noselect would say here that the name itself is not subscribed to.
            line = folder_line(b"LSUB", replace(entry, exists=True), session.mailbox_name(entry.name))
            lines[entry.name] = line
        elif text.endswith("%"):
            for parent in _parents(entry.name):
                if parent not in subscribed and pattern.matches(parent):
                    lines[parent] = b'* LSUB (\\Noselect) "/" %b\r\n' % session.mailbox_name(parent)
    session.write(b"".join(lines[name] for name in sorted(lines)))
    return Ok("Lsub completed")


def _parents(name: str) -> list[str]:
    parts = name.split(SEPARATOR)
    return [SEPARATOR.join(parts[:depth]) for depth in range(1, len(parts))]
