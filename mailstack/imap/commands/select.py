"""SELECT and EXAMINE: opens a folder, to change it or only to look.

Standards: RFC 3501 sections 6.3.1 and 6.3.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.imap.telling import write_count, write_keywords
from mailstack.imap.view import View
from mailstack.model.mailbox import AccountStore, FolderStatus

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def select(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Opens a folder to read and change."""
    return (yield from _open(session, cursor, read_only=False))


def examine(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Opens a folder only to read: nothing changes by looking, not even \\Recent."""
    return (yield from _open(session, cursor, read_only=True))


def _open(session: Session, cursor: Cursor, *, read_only: bool) -> Steps[Ok]:
    name = session.read_name(cursor)
    cursor.end()
    # RFC 3501 section 6.3.1: whatever happens now, the old folder is no longer selected.
    session.view = None
    status, view = yield from slow(lambda store: _load(store, name, read_only=read_only))
    session.view = view
    write_keywords(session)
    write_count(session)
    if view.first_unseen:
        session.write(b"* OK [UNSEEN %d] First unseen\r\n" % view.first_unseen)
    next_uid = max(status.uid_next, view.uids[-1] + 1 if len(view) else 1)
    session.write(
        b"* OK [UIDVALIDITY %d] UIDs valid\r\n* OK [UIDNEXT %d] Predicted next UID\r\n"
        % (status.uid_validity, next_uid)
    )
    if read_only:
        return Ok("Examine completed", "READ-ONLY")
    return Ok("Select completed", "READ-WRITE")


def _load(store: AccountStore, name: str, *, read_only: bool) -> tuple[FolderStatus, View]:
    store.refresh(store.status(name).id)
    # The counters before the rows: what comes in between is told by the next sync.
    status = store.status(name)
    view = View(status.id, name, read_only=read_only, modseq=status.highest_modseq)
    view.known_keywords = dict.fromkeys(status.keywords)
    view.learn(store.rows(status.id))
    if not status.recent:
        return status, view
    if read_only:
        view.mark_recent(view.uids[-status.recent] if status.recent <= len(view) else 0)
    else:
        view.mark_recent(store.claim_recent(status.id))
    return status, view
