"""COPY and MOVE, by number and by UID.

Standards: RFC 9051 sections 6.4.7 and 6.4.8, RFC 4315 section 3 (COPYUID), RFC 6851 (MOVE), RFC
2180 section 4.4.1 (messages expunged meanwhile), RFC 5530 (EXPUNGEISSUED).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.commands.expunge import check_writable
from mailstack.imap.errors import No
from mailstack.imap.grammar import parse_set
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.imap.response import compress, status_line
from mailstack.model.mailbox import AccountStore, Copied
from mailstack.model.ranges import ranges

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def copy(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Copies, all or nothing."""
    return (yield from _copy(session, cursor, uid=False))


def uid_copy(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Copies by UID."""
    return (yield from _copy(session, cursor, uid=True))


def move(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Moves, all or nothing."""
    return (yield from _move(session, cursor, uid=False))


def uid_move(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Moves by UID."""
    return (yield from _move(session, cursor, uid=True))


def _copy(session: Session, cursor: Cursor, *, uid: bool) -> Steps[Ok]:
    uids, target = yield from _arguments(session, cursor, uid=uid)
    folder = session.selected.folder_id
    # Also when there is nothing to copy: without the other folder that is an error.
    done = yield from slow(lambda store: store.copy(folder, uids, target))
    if not done.source_uids:
        return Ok("No messages copied")
    yield from session.changed(target)
    return Ok("Copy completed", _copy_uid(done))


def _move(session: Session, cursor: Cursor, *, uid: bool) -> Steps[Ok]:
    check_writable(session.selected)
    uids, target = yield from _arguments(session, cursor, uid=uid)
    view = session.selected

    def work(store: AccountStore) -> Copied:
        done = store.move(view.folder_id, uids, target)
        view.lose(ranges(done.source_uids))
        return done

    done = yield from slow(work)
    if not done.source_uids:
        return Ok("No messages moved")
    # RFC 9051 section 6.4.8: COPYUID comes before the EXPUNGEs, so in an untagged OK.
    session.write(status_line(b"*", "OK", "Moved", code=_copy_uid(done)))
    yield from session.changed(target)
    yield from session.changed(view.name)
    return Ok("Move completed")


def _arguments(session: Session, cursor: Cursor, *, uid: bool) -> Steps[tuple[list[int], str]]:
    wanted = parse_set(cursor.set_text())
    cursor.space()
    target = session.read_name(cursor)
    cursor.end()
    view = session.selected
    asked = [view.uids[at] for at in session.places(wanted, uid=uid)]
    if not uid:
        # A UID nobody has is ignored; a number stands for a message the client has seen.
        yield from session.sync(expunge=False)
    uids = [number for number in asked if number not in view.gone]
    if len(uids) < len(asked) and not uid:
        raise No("Some messages are gone", code="EXPUNGEISSUED")
    return uids, target


def _copy_uid(done: Copied) -> str:
    source, target = compress(done.source_uids).decode(), compress(done.target_uids).decode()
    return f"COPYUID {done.uid_validity} {source} {target}"
