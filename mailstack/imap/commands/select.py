"""SELECT and EXAMINE: opens a folder, to change it or only to look.

Standards: RFC 9051 sections 6.3.2 and 6.3.3, RFC 3501 sections 6.3.1 and 6.3.2, RFC 7162
sections 3.1.2, 3.1.8, 3.2.5 and 3.2.11 (CLOSED), RFC 8474 section 4.2 (MAILBOXID).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from mailstack.imap.alerts import alert_quota
from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import Bad
from mailstack.imap.listing import folder_line
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.imap.response import status_line, vanished_lines
from mailstack.imap.resync import Missed, Parameters, Resync, missed, parse_parameters
from mailstack.imap.rights import may_write
from mailstack.imap.telling import write_count, write_flags, write_highest, write_keywords, write_lines
from mailstack.imap.view import View
from mailstack.model.mailbox import AccountStore, FolderEntry, FolderStatus, again_if_gone

if TYPE_CHECKING:
    from mailstack.imap.session import Session


@dataclass(slots=True)
class _Opened:
    """A folder as it is found.

    Attributes:
        entry: its line of LIST; None when nobody wants it.
        first_unseen: sequence number; 0: none.
    """

    status: FolderStatus
    view: View
    entry: FolderEntry | None = None
    first_unseen: int = 0
    missed: Missed = field(default_factory=Missed)


def select(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Opens a folder to read and change."""
    return (yield from _open(session, cursor, read_only=False))


def examine(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Opens a folder only to read: nothing changes by looking, not even \\Recent."""
    return (yield from _open(session, cursor, read_only=True))


def _open(session: Session, cursor: Cursor, *, read_only: bool) -> Steps[Ok]:
    begin = cursor.at
    name = session.read_name(cursor)
    asked = Cursor(cursor.data, begin).astring()
    parameters = parse_parameters(cursor)
    cursor.end()
    _check(session, parameters)
    if session.view is not None:
        # RFC 9051 section 6.3.2: whatever happens now, the old folder is no longer selected.
        session.write(status_line(b"*", "OK", "The mailbox selected before is closed", code="CLOSED"))
        session.deselect()
    if parameters.condstore or parameters.resync is not None:
        session.enabled.add("CONDSTORE")
    load = partial(
        _load, name=name, resync=parameters.resync, read_only=read_only, with_entry=session.is_rev2
    )
    opened = yield from slow(load)
    session.view = opened.view
    _describe(session, opened, asked)
    yield from write_lines(session, vanished_lines(opened.missed.vanished, earlier=True))
    yield from write_flags(session, opened.missed.changed, uid=True)
    yield from alert_quota(session)
    word = "Examine" if read_only else "Select"
    return Ok(f"{word} completed", "READ-ONLY" if opened.view.read_only else "READ-WRITE")


def _check(session: Session, parameters: Parameters) -> None:
    resync = parameters.resync
    if resync is None:
        return
    if "QRESYNC" not in session.enabled:
        raise Bad("QRESYNC wants ENABLE QRESYNC before")
    if resync.numbers and "UIDONLY" in session.enabled:
        raise Bad("Message numbers cannot be used: UIDONLY is enabled", code="UIDREQUIRED")


def _describe(session: Session, opened: _Opened, asked: bytes) -> None:
    """All that must be known of a folder."""
    view, status = opened.view, opened.status
    write_keywords(session)
    write_count(session)
    if opened.first_unseen and not session.is_rev2 and "UIDONLY" not in session.enabled:
        session.write(b"* OK [UNSEEN %d] First unseen\r\n" % opened.first_unseen)
    session.write(
        b"* OK [UIDVALIDITY %d] UIDs valid\r\n* OK [UIDNEXT %d] Predicted next UID\r\n"
        % (status.uid_validity, max(status.uid_next, view.last_uid + 1))
    )
    write_highest(session, view.modseq)
    session.write(status_line(b"*", "OK", "Id of the mailbox", code=f"MAILBOXID ({status.object_id})"))
    if opened.entry is not None:
        session.write(_list_line(session, opened.entry, asked))


def _list_line(session: Session, entry: FolderEntry, asked: bytes) -> bytes:
    line = folder_line(b"LIST", entry, session.mailbox_name(entry.name))
    if asked.upper() == b"INBOX" or asked.decode("utf-8", "replace") == entry.name:
        return line
    # RFC 9051 section 6.3.9.7: the name was not sent as we write it.
    old = session.mailbox_name(asked.decode("utf-8", "replace"))
    return b'%b ("OLDNAME" (%b))\r\n' % (line.removesuffix(b"\r\n"), old)


def _load(
    store: AccountStore, *, name: str, resync: Resync | None, read_only: bool, with_entry: bool
) -> _Opened:
    look = partial(_look, store, name=name, resync=resync, read_only=read_only, with_entry=with_entry)
    return again_if_gone(look)


def _look(
    store: AccountStore, *, name: str, resync: Resync | None, read_only: bool, with_entry: bool
) -> _Opened:
    store.refresh(store.status(name).id)
    # The counters before the rows: what comes in between is told by the next sync.
    # What is gone before the rows too, so that nothing is told as gone and there.
    status = store.status(name)
    same = resync is not None and resync.uid_validity == status.uid_validity
    gone = store.expunged(status.id, since_modseq=resync.modseq) if resync is not None and same else []
    read_only = read_only or not may_write(status.rights)
    view = View(status.id, name, read_only=read_only, modseq=status.highest_modseq)
    view.owner, view.rights = status.owner, status.rights
    view.known_keywords = dict.fromkeys(status.keywords)
    view.fill(store.columns(status.id))
    if status.recent and read_only:
        view.mark_recent(view.uids[-status.recent] if status.recent <= len(view) else 0)
    elif status.recent:
        view.mark_recent(store.claim_recent(status.id))
    opened = _Opened(status, view, first_unseen=view.first_unseen)
    if with_entry:
        opened.entry = next((entry for entry in store.folders() if entry.name == name), None)
    if resync is not None and same:
        opened.missed = missed(view, resync, gone, status.uid_next)
    return opened
