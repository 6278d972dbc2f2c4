"""LIST: the folders, with what they are for.

Standards: RFC 3501 section 6.3.8, RFC 3348 (CHILDREN), RFC 6154 (SPECIAL-USE); of RFC 5258 only
the selection and return options RFC 6154 needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import Bad
from mailstack.imap.names import Pattern, decode_pattern
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.model.mailbox import FolderEntry

if TYPE_CHECKING:
    from mailstack.imap.session import Session


_SELECTIONS = frozenset((b"SUBSCRIBED", b"SPECIAL-USE", b"REMOTE"))
_RETURNS = frozenset((b"SUBSCRIBED", b"SPECIAL-USE", b"CHILDREN"))


def list_folders(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Lists what matches."""
    chosen = _options(cursor, _SELECTIONS) if cursor.take(b"(") else frozenset()
    if chosen:
        cursor.space()
    reference, wire = cursor.astring(), _pattern(cursor)
    told = frozenset[bytes]()
    if cursor.take(b" RETURN ("):
        told = _options(cursor, _RETURNS)
    cursor.end()
    if not wire and not chosen:
        # RFC 3501 section 6.3.8: an empty name asks for the separator.
        session.write(b'* LIST (\\Noselect) "/" ""\r\n')
        return Ok("List completed")
    pattern = Pattern(decode_pattern(reference + wire))
    for entry in (yield from slow(lambda store: store.folders())):
        if _is_chosen(entry, chosen) and pattern.matches(entry.name):
            subscribed = b"SUBSCRIBED" in chosen | told
            name = session.mailbox_name(entry.name)
            session.write(folder_line(b"LIST", entry, name, with_subscribed=subscribed))
            yield from session.flush_full()
    return Ok("List completed")


def _pattern(cursor: Cursor) -> bytes:
    cursor.space()
    return cursor.list_mailbox()


def _options(cursor: Cursor, known: frozenset[bytes]) -> frozenset[bytes]:
    found: set[bytes] = set()
    while not cursor.take(b")"):
        if found:
            cursor.space()
        word = cursor.word()
        if word not in known or word in found:
            raise Bad("There is no such option of LIST")
        found.add(word)
    return frozenset(found)


def _is_chosen(entry: FolderEntry, chosen: frozenset[bytes]) -> bool:
    if b"SUBSCRIBED" in chosen:
        return entry.subscribed
    if b"SPECIAL-USE" in chosen:
        return bool(entry.special_use)
    # A name that is only subscribed to is nothing LIST shows; a missing parent is.
    return entry.exists or entry.has_children


def folder_line(kind: bytes, entry: FolderEntry, name: bytes, *, with_subscribed: bool = False) -> bytes:
    """`* LIST (attributes) "/" name`; the name as this client reads it."""
    words = [] if entry.exists else [b"\\NonExistent", b"\\Noselect"]
    if with_subscribed and entry.subscribed:
        words.append(b"\\Subscribed")
    words.append(b"\\HasChildren" if entry.has_children else b"\\HasNoChildren")
    if entry.special_use:
        words.append(entry.special_use.encode("ascii", "replace"))
    return b'* %b (%b) "/" %b\r\n' % (kind, b" ".join(words), name)
