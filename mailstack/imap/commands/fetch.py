"""FETCH: flags and dates from the view, ready-made texts, octets of messages.

Whole columns are put into one template, so that ten thousand lines are a loop in C;
output goes out in pieces, and waits when the client does not read.

Standards: RFC 3501 sections 6.4.5 and 7.4.2, RFC 2180 section 4.1 (messages expunged
meanwhile), RFC 5530 (EXPUNGEISSUED), RFC 7162 (MODSEQ), RFC 9586 (UIDFETCH).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from mailstack.imap import fetch_modifiers
from mailstack.imap.commands.entry import Ok
from mailstack.imap.commands.store import change
from mailstack.imap.errors import No
from mailstack.imap.fetch_items import FetchItems, parse_items
from mailstack.imap.fetch_texts import VALUES, Extra, look_up
from mailstack.imap.grammar import FlagList, parse_set
from mailstack.imap.octets import groups, load, write_message
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, quick, slow
from mailstack.imap.response import date_time
from mailstack.imap.telling import enable_condstore, fetch_word, flag_column, number_column
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import Flags, MailboxError

if TYPE_CHECKING:
    from mailstack.imap.session import Session

#: Messages whose lines are made in one go.
_ROWS = 1_000
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
    b"PREVIEW": b"PREVIEW %b",
    b"SAVEDATE": b"SAVEDATE %b",
    b"EMAILID": b"EMAILID %b",
    b"THREADID": b"THREADID %b",
}
_TROUBLE = {
    "EXPUNGEISSUED": "Some messages are gone",
    "UNKNOWN-CTE": "A part has a transfer encoding that cannot be undone",
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
        trouble = yield from _simple_only(session, places, simple, items)
    if trouble == "NONEXISTENT":
        raise MailboxError(trouble, "The mailbox is gone")
    if trouble:
        raise No(_TROUBLE.get(trouble, "Some messages cannot be read now"), code=trouble)
    return Ok("Fetch completed")


def _mark_seen(session: Session, places: list[int]) -> Steps[bool]:
    view = session.selected
    if view.read_only or "s" not in view.rights:
        return False
    seen = int(Flags.SEEN)
    unseen = [at for at in places if not view.flags[at] & seen and view.uids[at] not in view.gone]
    if unseen:
        try:
            yield from change(session, unseen, "+", FlagList(Flags.SEEN, ()))
        except MailboxError as error:
            if error.code != "NOPERM":
                raise
            # The right was taken away meanwhile: RFC 4314 section 4 wants the message all the same.
            return False
        except TemporaryFailure as failure:
            if failure.fatal:
                raise
            return False  # a full or read-only disk: reading goes on (promise P7), and it stays unread
    return bool(unseen)


# -- lines without message octets --------------------------------------------------


def _simple_only(session: Session, places: list[int], simple: list[bytes], items: FetchItems) -> Steps[str]:
    view = session.selected
    template = b"* %d " + fetch_word(session) + b" ("
    template += b" ".join(_FORMATS[item] for item in simple) + b")\r\n"
    trouble = ""
    for begin in range(0, len(places), _ROWS):
        rows = places[begin : begin + _ROWS]
        extra = yield from look_up(view, items, rows, rev2=session.is_rev2)
        if len(extra.rows) < len(rows):
            trouble = "EXPUNGEISSUED"
        columns = _columns(session, simple, extra)
        session.write(b"".join([template % line for line in zip(*columns, strict=True)]))
        yield from session.flush_full()
    return trouble


def _columns(session: Session, simple: list[bytes], extra: Extra) -> list[Iterable[int | bytes]]:
    view, rows = session.selected, extra.rows
    columns: list[Iterable[int | bytes]] = [number_column(session, rows)]
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
            case _:
                value = VALUES[item]
                columns.append([value(extra, view.uids[at]) for at in rows])
    return columns


# -- lines with message octets -----------------------------------------------------


def _with_sections(session: Session, places: list[int], simple: list[bytes], items: FetchItems) -> Steps[str]:
    view = session.selected
    template = b"* %d " + fetch_word(session) + b" ("
    template += b"".join(_FORMATS[item] + b" " for item in simple)
    trouble = ""
    for group in groups(view, places):
        extra = yield from look_up(view, items, group, rev2=session.is_rev2)
        rows = extra.rows
        if len(rows) < len(group):
            trouble = "EXPUNGEISSUED"
        columns = _columns(session, simple, extra)
        alone = len(rows) == 1 and view.sizes[rows[0]] <= _QUICK_OCTETS
        visit = quick if alone else slow
        loaded = yield from visit(partial(load, view, rows, items.sections))
        for line, message in zip(zip(*columns, strict=True), loaded, strict=True):
            if message.trouble:
                trouble = message.trouble
                continue
            yield from write_message(session, template % line, items.sections, message)
    return trouble
