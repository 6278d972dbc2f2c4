"""EXPUNGE and UID EXPUNGE: removes what is marked \\Deleted.

Standards: RFC 9051 section 6.4.3, RFC 4315 section 2.1, RFC 7162 sections 3.2.7 and 3.2.9.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import No
from mailstack.imap.grammar import MessageSet, parse_set
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.imap.view import View
from mailstack.model.mailbox import AccountStore, Flags
from mailstack.model.ranges import ranges

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def expunge(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Removes all messages with \\Deleted."""
    cursor.end()
    yield from _remove(session, None)
    return Ok("Expunge completed")


def uid_expunge(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Removes those of a set of UIDs."""
    wanted = parse_set(cursor.set_text())
    cursor.end()
    yield from _remove(session, wanted)
    return Ok("Expunge completed")


def _remove(session: Session, wanted: MessageSet | None) -> Steps[None]:
    view = session.selected
    check_writable(view)
    yield from session.sync(expunge=False)
    uids = deleted(view)
    if wanted is not None:
        asked = {view.uids[at] for at in session.places(wanted, uid=True)}
        uids = [uid for uid in uids if uid in asked]
    # RFC 4314 section 4: without the right, the command fails even when there is nothing to remove.
    if uids or "e" not in view.rights:
        yield from slow(lambda store: view.lose(ranges(remove(store, view, uids))))
        yield from session.changed(view.name)


def remove(store: AccountStore, view: View, uids: Sequence[int]) -> list[int]:
    """Expunges those of these messages that are still marked; gives the UIDs removed.

    With NOTIFY a session need not know what others have unmarked, and they may do so at this moment.
    """
    return store.expunge(view.folder_id, uids, only_marked=True)


def check_writable(view: View) -> None:
    """Refuses changes after EXAMINE."""
    if view.read_only:
        raise No("The mailbox is selected read-only")


def deleted(view: View) -> list[int]:
    """UIDs with \\Deleted, as far as this session knows."""
    mask = int(Flags.DELETED)  # of an IntFlag, "&" takes twenty times as long
    marked = [uid for uid, bits in zip(view.uids, view.flags, strict=True) if bits & mask]
    return [uid for uid in marked if uid not in view.gone] if view.gone else marked
