"""ESEARCH: one search in many folders, which need not be selected.

Standards: RFC 7377 (MULTISEARCH).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from mailstack.imap import contexts
from mailstack.imap.commands.entry import Ok
from mailstack.imap.commands.search import forget_saved, read_charset, save
from mailstack.imap.errors import Bad, No
from mailstack.imap.folder_filter import Covers, FilterReader
from mailstack.imap.grammar import SAVED_PAIR
from mailstack.imap.matching import Matcher, Span
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.imap.search_keys import ChangedSince, InSet, Key, leaves, parse_search
from mailstack.imap.search_options import ALL, Found, Options, extended_line, parse_options
from mailstack.imap.searching import Deadline, apart, run
from mailstack.imap.view import View
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import AccountStore, FolderEntry, FolderStatus, MailboxError

if TYPE_CHECKING:
    from mailstack.imap.session import Session

#: Filters of one command.
MAX_FILTERS = 100


@dataclass(frozen=True, slots=True)
class _Sources:
    """Where to search.

    Attributes:
        filters: besides the selected folder.
        named: folders named one by one: they need not be such that one may list them.
    """

    selected: bool
    filters: tuple[Covers, ...] = ()
    named: frozenset[str] = frozenset()

    def among(self, entries: list[FolderEntry]) -> list[str]:
        """Names of the folders to be searched, each once.

        Source: RFC 7377 section 2.2 (rights).
        """
        names = [
            entry.name
            for entry in entries
            if entry.exists and "r" in entry.rights and any(covers(entry) for covers in self.filters)
        ]
        return names + sorted(self.named.difference(entry.name for entry in entries))


def esearch(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Answers with an ESEARCH response for each folder in which something was found."""
    sources = _sources(session, cursor)
    options = parse_options(cursor) or ALL
    _check(session, sources, options)
    key = parse_search(cursor, read_charset(session, cursor))
    cursor.end()
    if any(isinstance(at, InSet) and not at.uid for at in leaves(key)) and "UIDONLY" in session.enabled:
        raise Bad("Message numbers cannot be used: UIDONLY is enabled", code="UIDREQUIRED")
    try:
        yield from _search(session, sources, options, key)
    except (No, MailboxError, TemporaryFailure):
        forget_saved(session, options)
        raise
    return Ok("Search completed")


def _sources(session: Session, cursor: Cursor) -> _Sources:
    if not cursor.take(b"IN ("):
        return _Sources(selected=True)
    reader = FilterReader(session, cursor)
    selected = False
    filters = []
    for _ in range(MAX_FILTERS):
        kind = cursor.word()
        if kind == b"SELECTED":
            selected = True
        else:
            filters.append(reader.read(kind, one_level=True))
        if cursor.take(b")"):
            cursor.space()
            return _Sources(selected, tuple(filters), reader.named)
        cursor.space()
    raise Bad(f"More than {MAX_FILTERS} kinds of mailboxes")


def _check(session: Session, sources: _Sources, options: Options) -> None:
    """Source: RFC 7377 section 2.2."""
    if sources.selected and session.view is None:
        raise Bad("No mailbox is selected", code="CLIENTBUG")
    if options.has(b"SAVE") and (sources.filters or not sources.selected):
        raise Bad("SAVE wants the selected mailbox alone")
    if options.has(b"UPDATE"):
        if session.view is None:
            raise Bad("UPDATE wants a selected mailbox")
        contexts.check_tag(session)


def _search(session: Session, sources: _Sources, options: Options, key: Key) -> Steps[None]:
    deadline = Deadline(session)
    names: list[str] = []
    if sources.filters:
        names = sources.among((yield from slow(lambda store: store.folders())))
    view = session.view
    if view is not None and (sources.selected or view.name in names):
        names = [view.name, *(name for name in names if name != view.name)]
    for done, name in enumerate(names):
        yield from deadline.pause(done, len(names))
        yield from _search_one(session, name, options, key, deadline)
    if view is not None and options.has(b"UPDATE") and view.name not in names:
        # Section 2.2: updates are about the selected folder only.
        contexts.keep(session, key, (yield from _find(session, view, key, deadline)), uid=True)


def _search_one(session: Session, name: str, options: Options, key: Key, deadline: Deadline) -> Steps[None]:
    selected = session.view if session.view is not None and session.view.name == name else None
    try:
        status, view = yield from slow(partial(_load, name, selected))
        places = yield from _find(session, view, key, deadline)
    except MailboxError as error:
        # RFC 7377 section 5: whether it is missing or secret is not told.
        if error.code not in ("NONEXISTENT", "NOPERM") or selected is not None:
            raise
        return
    if places:
        asks_modseq = any(isinstance(at, ChangedSince) for at in leaves(key))
        found = Found(places, view.uids.__getitem__, view.modseqs.__getitem__ if asks_modseq else None)
        correlator = b'TAG "%b" MAILBOX %b UIDVALIDITY %d' % (
            session.tag,
            session.mailbox_name(name),
            status.uid_validity,
        )
        line = partial(extended_line, correlator, found, options, uid=True)
        session.write((yield from apart(view, len(places), line)))
    if selected is not None:
        save(session, options, places)
        if options.has(b"UPDATE"):
            contexts.keep(session, key, places, uid=True)


def _load(name: str, selected: View | None, store: AccountStore) -> tuple[FolderStatus, View]:
    status = store.status(name)
    if selected is not None:
        return status, selected
    view = View(status.id, name, read_only=True, modseq=status.highest_modseq)
    view.fill(store.columns(status.id))
    return status, view


def _find(session: Session, view: View, key: Key, deadline: Deadline) -> Steps[list[int]]:
    # `$` is about the selected folder.
    saved = session.saved_uids if view is session.view else ()
    spans = partial(_clipped, view)
    matcher = Matcher(view, key, now=session.now(), spans=spans, saved=saved)
    return (yield from run(matcher, view, range(len(view)), deadline))


def _clipped(view: View, key: InSet) -> list[Span]:
    """As many of a set's messages as the folder has (RFC 7377 section 2)."""
    if key.uid:
        return view.spans(key.numbers, uid=True)
    count = len(view)
    out = []
    for pair in key.numbers:
        low, high = sorted(count if number == 0 else number for number in pair)
        if pair != SAVED_PAIR and count:
            out.append((low - 1, min(high, count)))
    return out
