"""SEARCH: the messages that fit, by number or by UID.

Standards: RFC 9051 section 6.4.4, RFC 3501 section 6.4.4, RFC 4731 (RETURN), RFC 5182 (SAVE),
RFC 5267 (contexts), RFC 6855 section 3 (no CHARSET behind UTF8=ACCEPT), RFC 7162
section 3.1.5 (MODSEQ), RFC 9394 (PARTIAL).
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from mailstack.imap import contexts
from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import Bad, No
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps
from mailstack.imap.search_keys import ChangedSince, Key, leaves, parse_charset, parse_search
from mailstack.imap.search_options import ALL, PLAIN, Found, Options, extended_line, parse_options, plain_line
from mailstack.imap.searching import Deadline, apart, find
from mailstack.imap.sorting import Criterion
from mailstack.imap.telling import enable_condstore
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import MailboxError

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def search(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Answers with sequence numbers."""
    return (yield from _search(session, cursor, uid=False))


def uid_search(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Answers with UIDs."""
    return (yield from _search(session, cursor, uid=True))


def _search(session: Session, cursor: Cursor, *, uid: bool) -> Steps[Ok]:
    options = parse_options(cursor) or (ALL if session.is_rev2 else PLAIN)
    if options.has(b"UPDATE"):
        contexts.check_tag(session)
    try:
        key = parse_search(cursor, read_charset(session, cursor))
        cursor.end()
        places = yield from find(session, key, Deadline(session))
    except (No, MailboxError, TemporaryFailure):
        forget_saved(session, options)
        raise
    yield from conclude(session, b"SEARCH", key, places, options, uid=uid)
    return Ok("Search completed")


def read_charset(session: Session, cursor: Cursor) -> str:
    """`CHARSET x `, if it is there: the Python codec of the criteria's texts.

    Raises:
        Bad: it may not be there.
        No: BADCHARSET.
    """
    if not cursor.take(b"CHARSET "):
        return "utf-8"
    if "UTF8=ACCEPT" in session.enabled:
        raise Bad("No CHARSET behind ENABLE UTF8=ACCEPT")
    known = parse_charset(cursor.astring())
    cursor.space()
    return known


def read_program(cursor: Cursor) -> Key:
    """The charset, which must be there, and the criteria of SORT and THREAD, to the end.

    Raises:
        No: BADCHARSET.
    """
    charset = parse_charset(cursor.astring())
    cursor.space()
    key = parse_search(cursor, charset)
    cursor.end()
    return key


def conclude(
    session: Session,
    word: bytes,
    key: Key,
    places: Sequence[int],
    options: Options,
    *,
    uid: bool,
    criteria: tuple[Criterion, ...] = (),
) -> Steps[None]:
    """Tells the results, and keeps them as RETURN asks.

    Args:
        word: how the plain answer begins.
        criteria: what they are sorted by.
    """
    found = outcome(session, key, places, uid=uid)
    yield from answer(session, word, found, options, uid=uid)
    save(session, options, places)
    if options.has(b"UPDATE"):
        contexts.keep(session, key, places, uid=uid, criteria=criteria)


def outcome(session: Session, key: Key, places: Sequence[int], *, uid: bool) -> Found:
    """What is told of the messages found in the selected folder."""
    view = session.selected
    modseq = None
    if any(isinstance(at, ChangedSince) for at in leaves(key)):
        enable_condstore(session)
        modseq = view.modseqs.__getitem__
    return Found(places, view.uids.__getitem__ if uid else _number, modseq)


def answer(session: Session, word: bytes, found: Found, options: Options, *, uid: bool) -> Steps[None]:
    """Tells the results; `word`: how the plain answer begins."""
    if options.extended:
        line = partial(extended_line, b'TAG "%b"' % session.tag, found, options, uid=uid)
    else:
        line = partial(plain_line, word, found)
    session.write((yield from apart(session.selected, len(found.places), line)))


def _number(at: int) -> int:
    return at + 1


def save(session: Session, options: Options, places: Sequence[int]) -> None:
    """Keeps the results for `$`, if that was asked for (RFC 5182 section 2.1)."""
    if options.has(b"SAVE"):
        view = session.selected
        session.saved_uids = array("I", sorted(view.uids[at] for at in options.chosen(places)))


def forget_saved(session: Session, options: Options) -> None:
    """A search that was to save and ends in NO leaves nothing (RFC 5182 section 2.1)."""
    if options.has(b"SAVE"):
        session.saved_uids = array("I")
