"""STORE: sets, adds and removes flags.

Standards: RFC 3501 section 6.4.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.commands.expunge import check_writable
from mailstack.imap.grammar import FlagList, parse_flags, parse_set
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.imap.telling import write_flags, write_keywords
from mailstack.model.mailbox import FlagOperation

if TYPE_CHECKING:
    from mailstack.imap.session import Session


_OPERATIONS: dict[bytes, FlagOperation] = {b"FLAGS": "=", b"+FLAGS": "+", b"-FLAGS": "-"}


def store(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Changes flags by number."""
    return (yield from _store(session, cursor, uid=False))


def uid_store(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Changes flags by UID."""
    return (yield from _store(session, cursor, uid=True))


def _store(session: Session, cursor: Cursor, *, uid: bool) -> Steps[Ok]:
    wanted = parse_set(cursor.set_text())
    cursor.space()
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
    places = [at for at in session.places(wanted, uid=uid) if view.uids[at] not in view.gone]
    yield from change(session, places, operation, flags)
    if not silent:
        yield from write_flags(session, places, uid=uid)
    return Ok("Store completed")


def change(session: Session, places: list[int], operation: FlagOperation, flags: FlagList) -> Steps[None]:
    """Changes flags in the store and in the view; the caller tells the client."""
    view = session.selected
    uids = [view.uids[at] for at in places]
    if not uids:
        return
    done = yield from slow(
        lambda store: store.change_flags(
            view.folder_id, uids, operation, flags=flags.flags, keywords=flags.keywords
        )
    )
    if not done.rows:
        return
    if view.learn(done.rows).new_keywords:
        write_keywords(session)
    if done.rows[0].modseq == view.modseq + 1:
        # Nobody else changed anything in between, so there is nothing to look for.
        view.modseq += 1
    yield from session.changed(view.name)
