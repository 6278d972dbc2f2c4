"""Octets of messages on their way to the client: read in visits to the store, sent in pieces.

What was announced is sent, or the connection ends.  Of a large section only one piece
is held, and the next is read when the client has taken it.

Standards: RFC 3501 sections 4.3 and 7.4.2, RFC 3516 (literal8).
Imports: mime, model, requests, sections, view.  No I/O of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from mailstack.imap.binary import Decoding
from mailstack.imap.errors import HangUp
from mailstack.imap.fetch_items import Section
from mailstack.imap.requests import Flush, Steps, ask, slow
from mailstack.imap.sections import (
    WHOLE_OCTETS,
    Found,
    Source,
    Span,
    find,
    is_header,
    is_kept,
    pick_fields,
)
from mailstack.imap.view import View
from mailstack.mime import packing
from mailstack.mime.header import Headers
from mailstack.mime.scanner import Part
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import AccountStore, MailboxError, MessageFile

if TYPE_CHECKING:
    from mailstack.imap.session import Session

#: Messages read in one visit to the store: so many, or so many octets.
_MESSAGES = 64
_OCTETS = 1_048_576
_Large = (Span, Decoding)
#: What most clients ask for, one message after the other.
_WHOLE = (Section(b"BODY[]"),)


class Loaded:
    """One message's sections, in the order asked for.

    `file` is left open while a section is too large to hold; `trouble` says why there is nothing.
    """

    __slots__ = ("file", "trouble", "values")

    def __init__(self) -> None:
        self.values: list[Found] = []
        self.file: MessageFile | None = None
        self.trouble = ""


def groups(view: View, places: list[int]) -> Iterator[list[int]]:
    """Small messages together, each large one alone."""
    group: list[int] = []
    octets = 0
    for at in places:
        size = view.sizes[at]
        if group and (len(group) >= _MESSAGES or octets + size > _OCTETS or size > WHOLE_OCTETS):
            yield group
            group, octets = [], 0
        if size > WHOLE_OCTETS:
            yield [at]
            continue
        group.append(at)
        octets += size
    if group:
        yield group


def load(view: View, rows: list[int], sections: tuple[Section, ...], store: AccountStore) -> list[Loaded]:
    """Reads the sections of these messages; for a visit to the store."""
    kept: dict[int, bytes] = {}
    if all(is_kept(section) for section in sections):
        kept = store.headers(view.folder_id, [view.uids[at] for at in rows])
    return [
        _from_kept(kept[view.uids[at]], sections)
        if view.uids[at] in kept
        else _load_one(view, store, at, sections)
        for at in rows
    ]


def _from_kept(block: bytes, sections: tuple[Section, ...]) -> Loaded:
    headers = Headers.parse(block)
    loaded = Loaded()
    loaded.values = [pick_fields(headers, section) for section in sections]
    return loaded


def _parts(
    view: View, store: AccountStore, uid: int, size: int, sections: tuple[Section, ...]
) -> Part | None:
    """Where a message's parts are, when that is known or worth knowing."""
    found = view.parts.get(uid)
    if found is None and size > WHOLE_OCTETS and any(section.path for section in sections):
        texts = store.texts(view.folder_id, [uid]).get(uid)
        found = packing.unpack(texts.parts) if texts is not None else None
    return found


def _load_one(view: View, store: AccountStore, at: int, sections: tuple[Section, ...]) -> Loaded:
    uid = view.uids[at]
    loaded = Loaded()
    try:
        file = store.open(view.folder_id, uid)
    except MailboxError as error:
        loaded.trouble = error.code
        return loaded
    try:
        if file.size_octets != view.sizes[at]:
            # Somebody changed the file: RFC822.SIZE and the texts are those of another message.
            store.refresh(view.folder_id)
            loaded.trouble = "UNAVAILABLE"
            return loaded
        if sections == _WHOLE and file.size_octets <= WHOLE_OCTETS:
            loaded.values = [file.read()]
            return loaded
        header_only = all(is_header(section) for section in sections)
        parts = _parts(view, store, uid, file.size_octets, sections)
        source = Source(file, parts, measured=view.measured.get(uid), header_only=header_only)
        loaded.values = [find(source, section) for section in sections]
        if source.scanned is not None and source.size > WHOLE_OCTETS:
            view.remember_parts(uid, source.scanned, source.measured)
        if any(isinstance(value, _Large) for value in loaded.values):
            loaded.file = file
    except MailboxError as error:
        loaded.trouble = error.code
    finally:
        if loaded.file is None:
            file.close()
    return loaded


def write_message(
    session: Session, head: bytes, sections: tuple[Section, ...], message: Loaded
) -> Steps[None]:
    """Sends one message's sections behind `head`, the beginning of its line."""
    try:
        for section, value in zip(sections, message.values, strict=True):
            if isinstance(value, _Large):
                yield from _write_large(session, head + section.label, message.file, value)
            else:
                session.write(b"%b%b %b" % (head, section.label, _value(section, value)))
            head = b" "
        session.write(b")\r\n")
        yield from session.flush_full()
    finally:
        if message.file is not None:
            message.file.close()


def _value(section: Section, value: bytes | int | None) -> bytes:
    if value is None:
        return b"NIL"
    if isinstance(value, int):
        return b"%d" % value
    if section.kind == "BINARY" and b"\0" in value:
        return b"~{%d}\r\n%b" % (len(value), value)
    return b"{%d}\r\n%b" % (len(value), _sendable(value))


def _write_large(
    session: Session, head: bytes, file: MessageFile | None, value: Span | Decoding
) -> Steps[None]:
    assert file is not None
    tilde = b"~" if isinstance(value, Decoding) and value.has_nul else b""
    session.write(b"%b %b{%d}\r\n" % (head, tilde, value.count))
    session.in_response = True
    at, left = value.start if isinstance(value, Span) else 0, value.count
    while left:
        data = yield from _piece(file, value, at, min(WHOLE_OCTETS, left))
        session.write(data if isinstance(value, Decoding) else _sendable(data))
        yield from ask(Flush())
        at += len(data)
        left -= len(data)
    session.in_response = False


def _piece(file: MessageFile, value: Span | Decoding, at: int, wanted: int) -> Steps[bytes]:
    try:
        data = yield from slow(partial(_read, file, value, at, wanted))
    except (MailboxError, TemporaryFailure):
        data = b""
    if not data or (isinstance(value, Span) and len(data) != wanted):
        raise HangUp("A message cannot be read")
    return data


def _read(file: MessageFile, value: Span | Decoding, at: int, wanted: int, store: AccountStore) -> bytes:
    return value.piece() if isinstance(value, Decoding) else file.read(at, wanted)


def _sendable(data: bytes) -> bytes:
    # RFC 3501 section 9: a literal holds no NUL.  Same length, so that sizes stay true.
    return data.replace(b"\0", b"\x80") if b"\0" in data else data
