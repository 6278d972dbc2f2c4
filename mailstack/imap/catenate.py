"""The messages of APPEND and REPLACE: whole literals, or put together from pieces.

Texts come as literals, parts of messages that are here as URLs; neither is held in
memory as a whole.  Nothing is stored before every piece was found.

Standards: RFC 3501 section 6.3.11, RFC 3502, RFC 3516 section 4.4, RFC 4469 (CATENATE),
RFC 6855 section 4 (UTF8), RFC 7889 (TOOBIG).
Deviates from RFC 6855 section 4: header fields with 8-bit octets are taken also from
clients that have not enabled UTF8=ACCEPT, since old mail has them and is moved by such clients.
Imports: model, requests, urls.  No I/O of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailstack.imap import urls
from mailstack.imap.errors import Bad, No
from mailstack.imap.grammar import FlagList, parse_date_time, parse_flags
from mailstack.imap.names import decode_utf8_name
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.imap.sections import Source, Span, locate
from mailstack.imap.upload import Upload
from mailstack.imap.urls import BadUrl, MessageUrl
from mailstack.model.mailbox import (
    AccountStore,
    FilePiece,
    Flags,
    MailboxError,
    MessageFile,
    MessagePiece,
    NewMessage,
    Piece,
)

if TYPE_CHECKING:
    from mailstack.imap.session import Session

#: Messages opened for one command.
MAX_URLS = 100
#: Shorter pieces of messages are held instead of their files.
_HELD_OCTETS = 16_384
_NOT_SHOWN = re.compile(r"[^\x21-\x5c\x5e-\x7e]")
_MAX_SHOWN = 200


@dataclass(slots=True)
class Draft:
    """One message as the command describes it.

    Attributes:
        parts: literals and URLs, in order.
        is_catenated: they are pieces; else there is one literal.
        is_utf8: the literal was sent as text with UTF-8 header fields.
    """

    flags: FlagList
    internal_at: int | None
    parts: list[Upload | bytes] = field(default_factory=list)
    is_catenated: bool = False
    is_utf8: bool = False


# -- reading the command ---------------------------------------------------------------


def read_drafts(session: Session, cursor: Cursor, *, most: int | None = None) -> list[Draft]:
    """All that stands behind the mailbox name.

    Args:
        most: messages that are allowed; None: any number.

    Raises:
        Bad, No.
    """
    uploads = iter(session.uploads)
    drafts: list[Draft] = []
    while not drafts or not _at_end(cursor):
        if most is not None and len(drafts) >= most:
            cursor.end()
        drafts.append(_read_draft(session, cursor, uploads))
    cursor.end()
    if next(uploads, None) is not None:
        raise Bad("Syntax error: a literal stands where none may stand")
    if sum(isinstance(part, bytes) for draft in drafts for part in draft.parts) > MAX_URLS:
        raise No(f"More than {MAX_URLS} URLs", code="LIMIT")
    for draft in drafts:
        _check(draft)
    return drafts


def _at_end(cursor: Cursor) -> bool:
    return cursor.data[cursor.at :] in (b"", b" ")


def _read_draft(session: Session, cursor: Cursor, uploads: Iterator[Upload]) -> Draft:
    cursor.space()
    draft = Draft(FlagList(Flags.NONE, ()), None)
    if cursor.peek() == b"(":
        draft.flags = parse_flags(cursor, most_keywords=session.options.max_keywords)
        cursor.space()
    if cursor.peek() == b'"':
        draft.internal_at = parse_date_time(cursor)
        cursor.space()
    if cursor.take(b"CATENATE ("):
        draft.is_catenated = True
        while True:
            draft.parts.append(_read_part(session, cursor, uploads, draft))
            if cursor.take(b")"):
                return draft
            cursor.space()
    if cursor.peek() in (b"{", b"~"):
        draft.parts.append(_literal(cursor, uploads))
    else:
        draft.parts.append(_utf8(session, cursor, uploads, draft))
    return draft


def _read_part(session: Session, cursor: Cursor, uploads: Iterator[Upload], draft: Draft) -> Upload | bytes:
    if cursor.take(b"TEXT "):
        return _literal(cursor, uploads)
    if cursor.take(b"URL "):
        return cursor.astring()
    return _utf8(session, cursor, uploads, draft)


def _utf8(session: Session, cursor: Cursor, uploads: Iterator[Upload], draft: Draft) -> Upload:
    if not cursor.take(b"UTF8 ("):
        cursor.fail("a message literal")
    if cursor.peek() != b"~":
        cursor.fail("a literal8")
    if not session.has_utf8:
        raise Bad("ENABLE UTF8=ACCEPT first")
    draft.is_utf8 = True
    upload = _literal(cursor, uploads)
    cursor.expect(b")")
    return upload


def _literal(cursor: Cursor, uploads: Iterator[Upload]) -> Upload:
    cursor.take(b"~")
    cursor.body_marker()
    upload = next(uploads, None)
    if upload is None:
        raise Bad("Syntax error: expected a message literal")
    return upload


def _check(draft: Draft) -> None:
    literals = [part for part in draft.parts if isinstance(part, Upload)]
    is_binary = not draft.is_catenated and not draft.is_utf8
    for upload in literals:
        if upload.has_nul and not (is_binary and upload.literal8):
            raise No("The message holds NUL", code="CANNOT")
    if not draft.is_catenated and not literals[0].octets:
        raise No("The message is empty", code="CANNOT")


# -- finding the pieces ------------------------------------------------------------------


class Assembly:
    """Messages ready to be stored; files of other messages stay open until `close`."""

    def __init__(self) -> None:
        self.messages: list[NewMessage] = []
        self._files: list[MessageFile] = []

    def close(self) -> None:
        """Closes what was opened."""
        for file in self._files:
            file.close()
        self._files.clear()

    def assemble(self, session: Session, drafts: list[Draft]) -> Steps[None]:
        """Finds every piece of every message.

        Raises:
            MailboxError: BADURL, UNAVAILABLE.
            No: TOOBIG, CANNOT.
        """
        for upload in session.uploads:
            yield from upload.finish()
        for draft in drafts:
            self.messages.append((yield from self._message(session, draft)))

    def _message(self, session: Session, draft: Draft) -> Steps[NewMessage]:
        flags, words, at = draft.flags.flags, draft.flags.keywords, draft.internal_at
        if not draft.is_catenated:
            (upload,) = draft.parts
            assert isinstance(upload, Upload)
            path = upload.spool.path if upload.spool is not None else ""
            binary = upload.literal8 and not draft.is_utf8
            return NewMessage(upload.data, path, flags, words, at, binary=binary)
        pieces: list[Piece] = []
        octets = 0
        for part in draft.parts:
            if isinstance(part, Upload):
                octets += part.octets
                pieces.append(FilePiece(part.spool.path) if part.spool is not None else part.data or b"")
            else:
                piece = yield from self._find(session, part)
                octets += piece.count if isinstance(piece, MessagePiece) else len(piece)
                pieces.append(piece)
        if octets > session.options.append_octets:
            raise No("The message is too big", code="TOOBIG")
        if not octets:
            raise No("The message is empty", code="CANNOT")
        return NewMessage(None, "", flags, words, at, pieces=tuple(pieces))

    def _find(self, session: Session, text: bytes) -> Steps[bytes | MessagePiece]:
        with _naming(text):
            url = _check_url(session, text)
        if url.mailbox is None:
            # RFC 3986 section 5: relative to what is selected, if anything is.
            view = session.view
            if view is None:
                raise MailboxError(_bad_url(text), "No mailbox is selected")
            folder_id = view.folder_id
            return (yield from slow(lambda store: self._open(store, folder_id, url, text)))
        name = url.mailbox
        return (yield from slow(lambda store: self._open_named(store, name, url, text)))

    def _open_named(
        self, store: AccountStore, name: str, url: MessageUrl, text: bytes
    ) -> bytes | MessagePiece:
        with _naming(text):
            status = store.status(name)
            if url.uid_validity not in (0, status.uid_validity):
                raise BadUrl
        return self._open(store, status.id, url, text)

    def _open(
        self, store: AccountStore, folder_id: int, url: MessageUrl, text: bytes
    ) -> bytes | MessagePiece:
        with _naming(text):
            file = store.open(folder_id, url.uid)
            self._files.append(file)
            found = locate(Source(file), url.section)
            if found is None:
                raise BadUrl
            if isinstance(found, Span):
                if found.count > _HELD_OCTETS:
                    return MessagePiece(file, found.start, found.count)
                found = file.read(found.start, found.count)
        self._files.remove(file)
        file.close()
        return found


def _check_url(session: Session, text: bytes) -> MessageUrl:
    """A URL that can be one of this account."""
    url = urls.parse(text)
    assert session.account is not None
    if url.host not in ("", session.host.lower()):
        raise BadUrl
    if url.user and url.user.lower() != str(session.account.address).lower():
        raise BadUrl
    if url.mailbox is None:
        return url
    try:
        return MessageUrl(
            url.user,
            url.host,
            decode_utf8_name(url.mailbox.encode()),
            url.uid_validity,
            url.uid,
            url.section,
        )
    except (Bad, No):
        raise BadUrl from None


@contextmanager
def _naming(text: bytes) -> Iterator[None]:
    """What is not there is told with its URL."""
    try:
        yield
    except BadUrl:
        raise MailboxError(_bad_url(text), "There is no such message or part") from None
    except MailboxError as error:
        if error.code in ("NONEXISTENT", "EXPUNGEISSUED", "CANNOT"):
            raise MailboxError(_bad_url(text), "There is no such message or part") from None
        raise


def _bad_url(text: bytes) -> str:
    # RFC 4469 section 4: the URL as it came; of one that is no URL only what may stand there.
    return "BADURL " + (_NOT_SHOWN.sub("?", text.decode("latin-1"))[:_MAX_SHOWN] or "?")
