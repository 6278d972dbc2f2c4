"""FETCH: flags and dates from the view, ready-made texts, octets of messages.

Whole columns are put into one template, so that ten thousand lines are a loop in C;
output goes out in pieces, and waits when the client does not read.

Standards: RFC 3501 sections 6.4.5 and 7.4.2, RFC 2180 section 4.1 (messages expunged
meanwhile), RFC 5530 (EXPUNGEISSUED), RFC 7162 (MODSEQ), RFC 9586 (UIDFETCH).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from mailstack.imap import fetch_modifiers
from mailstack.imap.commands.entry import Ok
from mailstack.imap.commands.store import change
from mailstack.imap.errors import HangUp, No
from mailstack.imap.fetch_items import FetchItems, Section, parse_items
from mailstack.imap.grammar import FlagList, parse_set
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Flush, Steps, ask, quick, slow
from mailstack.imap.response import date_time
from mailstack.imap.sections import WHOLE_OCTETS, Source, Span, find, is_header
from mailstack.imap.telling import enable_condstore, fetch_word, flag_column, number_column
from mailstack.imap.view import View
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import AccountStore, Flags, MailboxError, MessageFile, MessageTexts

if TYPE_CHECKING:
    from mailstack.imap.session import Session

#: Messages whose lines are made in one go.
_ROWS = 1_000
#: Messages read in one visit to the store: so many, or so many octets.
_MESSAGES = 64
_OCTETS = 1_048_576
#: A single message up to this size is read on the loop's thread.
_QUICK_OCTETS = 65_536
_FORMATS = {
    b"FLAGS": b"FLAGS (%b)",
    b"UID": b"UID %d",
    b"INTERNALDATE": b"INTERNALDATE %b",
    b"RFC822.SIZE": b"RFC822.SIZE %d",
    b"ENVELOPE": b"ENVELOPE %b",
    b"BODYSTRUCTURE": b"BODYSTRUCTURE %b",
    b"BODY": b"BODY %b",
    b"MODSEQ": b"MODSEQ (%d)",
}


def fetch(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Fetches by number."""
    return (yield from _fetch(session, cursor, uid=False))


def uid_fetch(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Fetches by UID; every line has the UID."""
    return (yield from _fetch(session, cursor, uid=True))


def _fetch(session: Session, cursor: Cursor, *, uid: bool) -> Steps[Ok]:
    wanted = parse_set(cursor.set_text())
    cursor.space()
    wire, modifiers = fetch_modifiers.split(cursor.rest())
    items = parse_items(wire)
    places = yield from fetch_modifiers.choose(session, wanted, modifiers, uid=uid)
    simple = list(items.simple)
    if uid and b"UID" not in simple and "UIDONLY" not in session.enabled:
        simple.insert(0, b"UID")
    if modifiers.since is not None and b"MODSEQ" not in simple:
        simple.append(b"MODSEQ")
    if b"MODSEQ" in simple:
        enable_condstore(session)
    if items.sets_seen and (yield from _mark_seen(session, places)):
        # RFC 9051 section 6.4.5: the change of flags is part of the answer; RFC 7162 section
        # 3.2.4: with it go its MODSEQ, and whose it is.
        more = [b"FLAGS"]
        if "CONDSTORE" in session.enabled:
            more += [b"MODSEQ"] if "UIDONLY" in session.enabled else [b"UID", b"MODSEQ"]
        simple.extend(item for item in more if item not in simple)
    if items.sections:
        trouble = yield from _with_sections(session, places, simple, items)
    else:
        trouble = yield from _simple_only(session, places, simple, needs_texts=items.needs_texts)
    if trouble:
        text = "Some messages are gone" if trouble == "EXPUNGEISSUED" else "Some messages cannot be read now"
        raise No(text, code=trouble)
    return Ok("Fetch completed")


def _mark_seen(session: Session, places: list[int]) -> Steps[bool]:
    view = session.selected
    if view.read_only:
        return False
    unseen = [at for at in places if not view.flags[at] & Flags.SEEN and view.uids[at] not in view.gone]
    if unseen:
        yield from change(session, unseen, "+", FlagList(Flags.SEEN, ()))
    return bool(unseen)


# -- lines without message octets --------------------------------------------------


def _simple_only(
    session: Session, places: list[int], simple: list[bytes], *, needs_texts: bool
) -> Steps[str]:
    view = session.selected
    template = b"* %d " + fetch_word(session) + b" ("
    template += b" ".join(_FORMATS[item] for item in simple) + b")\r\n"
    trouble = ""
    for begin in range(0, len(places), _ROWS):
        rows = places[begin : begin + _ROWS]
        texts: dict[int, MessageTexts] = {}
        if needs_texts:
            texts = yield from _texts(view, rows)
            if len(texts) < len(rows):
                trouble = "EXPUNGEISSUED"
                rows = [at for at in rows if view.uids[at] in texts]
        columns = _columns(session, simple, rows, texts)
        session.write(b"".join([template % line for line in zip(*columns, strict=True)]))
        yield from session.flush_full()
    return trouble


def _texts(view: View, rows: list[int]) -> Steps[dict[int, MessageTexts]]:
    uids = [view.uids[at] for at in rows]
    return (yield from slow(lambda store: store.texts(view.folder_id, uids)))


def _columns(
    session: Session, simple: list[bytes], rows: list[int], texts: dict[int, MessageTexts]
) -> list[Iterable[int | bytes]]:
    view = session.selected
    columns: list[Iterable[int | bytes]] = [number_column(session, rows)]
    found = [texts[view.uids[at]] for at in rows] if texts else []
    for item in simple:
        match item:
            case b"FLAGS":
                columns.append(flag_column(session, rows))
            case b"UID":
                columns.append([view.uids[at] for at in rows])
            case b"INTERNALDATE":
                columns.append([date_time(view.dates[at]) for at in rows])
            case b"RFC822.SIZE":
                columns.append([view.sizes[at] for at in rows])
            case b"MODSEQ":
                columns.append([view.modseqs[at] for at in rows])
            case b"ENVELOPE":
                columns.append([text.envelope for text in found])
            case b"BODYSTRUCTURE":
                columns.append([text.bodystructure for text in found])
            case _:
                columns.append([text.body for text in found])
    return columns


# -- octets of messages ----------------------------------------------------------------


class _Loaded:
    """One message's sections, in the order asked for.

    `file` is left open when a section is a Span; `trouble` says why there is nothing.
    """

    __slots__ = ("file", "trouble", "values")

    def __init__(self) -> None:
        self.values: list[bytes | Span | None] = []
        self.file: MessageFile | None = None
        self.trouble = ""


def _with_sections(session: Session, places: list[int], simple: list[bytes], items: FetchItems) -> Steps[str]:
    view = session.selected
    template = b"* %d " + fetch_word(session) + b" ("
    template += b"".join(_FORMATS[item] + b" " for item in simple)
    trouble = ""
    for rows in _groups(view, places):
        texts: dict[int, MessageTexts] = {}
        if items.needs_texts:
            texts = yield from _texts(view, rows)
            if len(texts) < len(rows):
                trouble = "EXPUNGEISSUED"
                rows = [at for at in rows if view.uids[at] in texts]
        columns = _columns(session, simple, rows, texts)
        alone = len(rows) == 1 and view.sizes[rows[0]] <= _QUICK_OCTETS
        visit = quick if alone else slow
        loaded = yield from visit(partial(_load, view, rows, items.sections))
        for line, message in zip(zip(*columns, strict=True), loaded, strict=True):
            if message.trouble:
                trouble = message.trouble
                continue
            yield from _write_message(session, template % line, items.sections, message)
    return trouble


def _groups(view: View, places: list[int]) -> Iterator[list[int]]:
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


def _load(view: View, rows: list[int], sections: tuple[Section, ...], store: AccountStore) -> list[_Loaded]:
    return [_load_one(view, store, at, sections) for at in rows]


def _load_one(view: View, store: AccountStore, at: int, sections: tuple[Section, ...]) -> _Loaded:
    uid = view.uids[at]
    loaded = _Loaded()
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
        header_only = all(is_header(section) for section in sections)
        source = Source(file, view.parts.get(uid), header_only=header_only)
        loaded.values = [find(source, section) for section in sections]
        if source.scanned is not None and source.size > WHOLE_OCTETS:
            view.remember_parts(uid, source.scanned)
        if any(isinstance(value, Span) for value in loaded.values):
            loaded.file = file
    except MailboxError as error:
        loaded.trouble = error.code
    finally:
        if loaded.file is None:
            file.close()
    return loaded


def _write_message(
    session: Session, head: bytes, sections: tuple[Section, ...], message: _Loaded
) -> Steps[None]:
    try:
        for section, value in zip(sections, message.values, strict=True):
            if isinstance(value, Span):
                assert message.file is not None
                session.write(b"%b%b {%d}\r\n" % (head, section.label, value.count))
                yield from _stream(session, message.file, value)
            elif value is None:
                session.write(b"%b%b NIL" % (head, section.label))
            else:
                session.write(b"%b%b {%d}\r\n%b" % (head, section.label, len(value), _sendable(value)))
            head = b" "
        session.write(b")\r\n")
        yield from session.flush_full()
    finally:
        if message.file is not None:
            message.file.close()


def _stream(session: Session, file: MessageFile, span: Span) -> Steps[None]:
    """Sends a span piece by piece; what was announced is sent, or the connection ends."""
    session.in_response = True
    at, end = span.start, span.start + span.count
    while at < end:
        wanted = min(WHOLE_OCTETS, end - at)
        try:
            data = yield from slow(partial(_read, file, at, wanted))
        except (MailboxError, TemporaryFailure):
            data = b""
        if len(data) != wanted:
            raise HangUp("A message cannot be read")
        session.write(_sendable(data))
        yield from ask(Flush())
        at += wanted
    session.in_response = False


def _read(file: MessageFile, start: int, count: int, store: AccountStore) -> bytes:
    return file.read(start, count)


def _sendable(data: bytes) -> bytes:
    # RFC 3501 section 9: a literal holds no NUL.  Same length, so that sizes stay true.
    return data.replace(b"\0", b"\x80") if b"\0" in data else data
