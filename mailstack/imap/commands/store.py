"""STORE: sets, adds and removes flags.

Standards: RFC 9051 section 6.4.6, RFC 7162 sections 3.1.3, 3.1.12 and 3.2.4 (UNCHANGEDSINCE,
MODIFIED), RFC 5530 (LIMIT, EXPUNGEISSUED).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.commands.expunge import check_writable
from mailstack.imap.grammar import MAX_MODSEQ, FlagList, parse_flags, parse_set
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.imap.response import compress
from mailstack.imap.telling import enable_condstore, write_flags, write_keywords
from mailstack.imap.view import View
from mailstack.model.mailbox import (
    AccountStore,
    FlagChange,
    FlagOperation,
    MailboxError,
    MessageRow,
)

if TYPE_CHECKING:
    from mailstack.imap.session import Session


_OPERATIONS: dict[bytes, FlagOperation] = {b"FLAGS": "=", b"+FLAGS": "+", b"-FLAGS": "-"}


@dataclass(slots=True)
class Changed:
    """What became of a change; positions in the view.

    Attributes:
        places: messages whose row has changed.
        surprising: those of them that others had changed too, unknown to the client.
        refused: not changed, because they had changed since.
    """

    places: list[int] = field(default_factory=list)
    surprising: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    new_keywords: bool = False


def store(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Changes flags by number."""
    return (yield from _store(session, cursor, uid=False))


def uid_store(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Changes flags by UID."""
    return (yield from _store(session, cursor, uid=True))


def _store(session: Session, cursor: Cursor, *, uid: bool) -> Steps[Ok]:
    wanted = parse_set(cursor.set_text())
    cursor.space()
    since = _unchanged_since(cursor)
    name = cursor.word()
    silent = name.endswith(b".SILENT")
    operation = _OPERATIONS.get(name.removesuffix(b".SILENT"))
    if operation is None:
        cursor.fail("FLAGS, +FLAGS or -FLAGS")
    cursor.space()
    flags = parse_flags(cursor, most_keywords=session.options.max_keywords)
    cursor.end()
    view = session.selected
    check_writable(view)
    if since is not None:
        enable_condstore(session)
    asked = session.places(wanted, uid=uid)
    places = [at for at in asked if view.uids[at] not in view.gone]
    try:
        done = yield from change(session, places, operation, flags, unchanged_since=since)
    except MailboxError as error:
        if error.code == "LIMIT":
            # RFC 9051 section 7.1, PERMANENTFLAGS: no "\*" any more.
            write_keywords(session, full=True)
        raise
    yield from _tell(session, places, done, silent=silent, uid=uid, conditional=since is not None)
    if done.refused:
        numbers = [view.uids[at] if uid else at + 1 for at in done.refused]
        return Ok("Some messages have changed since", f"MODIFIED {compress(numbers).decode()}")
    return Ok("Store completed", "EXPUNGEISSUED" if len(places) < len(asked) and not uid else "")


def _unchanged_since(cursor: Cursor) -> int | None:
    if not cursor.take(b"("):
        return None
    cursor.expect(b"UNCHANGEDSINCE ")
    since = cursor.number(most=MAX_MODSEQ)
    cursor.expect(b") ")
    return since


def _tell(
    session: Session, places: list[int], done: Changed, *, silent: bool, uid: bool, conditional: bool
) -> Steps[None]:
    refused = set(done.refused)
    stored = [at for at in places if at not in refused] if refused else places
    if not silent:
        yield from write_flags(session, stored, uid=uid)
        return
    # RFC 9051 section 6.4.6: .SILENT is about the client's own change only.
    yield from write_flags(session, done.surprising, uid=uid)
    if "CONDSTORE" in session.enabled:
        told = set(done.surprising)
        rest = [at for at in (stored if conditional else done.places) if at not in told]
        yield from write_flags(session, rest, flags=False, uid=uid)


def change(
    session: Session,
    places: list[int],
    operation: FlagOperation,
    flags: FlagList,
    *,
    unchanged_since: int | None = None,
) -> Steps[Changed]:
    """Changes flags in the store and in the view; the caller tells the client."""
    view = session.selected
    if not places:
        return Changed()

    def work(store: AccountStore) -> Changed:
        out = _attempt(view, store, places, operation, flags, unchanged_since)
        if out.refused and unchanged_since and operation != "=":
            _again(view, store, out, operation, flags, unchanged_since)
        return out

    done = yield from slow(work)
    if done.new_keywords:
        write_keywords(session)
    if done.places:
        yield from session.changed(view.name)
    return done


def _attempt(
    view: View,
    store: AccountStore,
    places: list[int],
    operation: FlagOperation,
    flags: FlagList,
    unchanged_since: int | None,
) -> Changed:
    done = store.change_flags(
        view.folder_id,
        [view.uids[at] for at in places],
        operation,
        flags=flags.flags,
        keywords=flags.keywords,
        unchanged_since=unchanged_since,
    )
    _take_in(view, done)
    return _compared(view, done, operation, flags)


def _again(
    view: View, store: AccountStore, out: Changed, operation: FlagOperation, flags: FlagList, since: int
) -> None:
    """Changes those refused messages of which only other flags have changed.

    Source: RFC 7162 section 3.1.12.
    """
    rows = {row.uid: row for row in store.rows(view.folder_id, since_modseq=since)}
    same = [
        at
        for at in out.refused
        if view.modseqs[at] <= since
        and (row := rows.get(view.uids[at])) is not None
        and _same_flags(view, at, row, flags)
    ]
    if not same:
        return
    since = max(rows[view.uids[at]].modseq for at in same)
    more = _attempt(view, store, same, operation, flags, since)
    out.places = sorted(out.places + more.places)
    out.surprising = sorted(out.surprising + more.surprising)
    out.new_keywords |= more.new_keywords
    again = set(more.refused)
    given = {at for at in same if at not in again}
    out.refused = [at for at in out.refused if at not in given]


def _same_flags(view: View, at: int, row: MessageRow, flags: FlagList) -> bool:
    """The flags to be changed are as the client knows them."""
    words = {word.lower() for word in flags.keywords}
    known = {word.lower() for word in view.keywords.get(row.uid, ())}
    now = {word.lower() for word in row.keywords}
    return not (view.flags[at] ^ int(row.flags)) & flags.flags and known & words == now & words


def _take_in(view: View, done: FlagChange) -> None:
    """Counts the MODSEQ of a change of our own."""
    if not done.rows:
        return
    modseq = done.rows[0].modseq
    if modseq == view.modseq + 1:
        # Nobody else changed anything in between, so there is nothing to look for.
        view.modseq = modseq
    else:
        view.ahead = modseq


def _compared(view: View, done: FlagChange, operation: FlagOperation, flags: FlagList) -> Changed:
    """Takes the new rows into the view; finds those that differ from what the client expects."""
    out = Changed(refused=[view.position(uid) for uid in done.refused_uids])
    words = {word.lower() for word in flags.keywords}
    for row in done.rows:
        at = view.position(row.uid)
        out.places.append(at)
        known = {word.lower() for word in view.keywords.get(row.uid, ())}
        bits = view.flags[at] & 31
        match operation:
            case "+":
                bits, known = bits | flags.flags, known | words
            case "-":
                bits, known = bits & ~flags.flags, known - words
            case "=":
                bits, known = int(flags.flags), words
        if bits != row.flags or known != {word.lower() for word in row.keywords}:
            out.surprising.append(at)
    out.new_keywords = view.learn(done.rows).new_keywords
    return out
