"""What a client is told of the selected folder, in the form it has asked for.

Untagged lines must let the client rebuild the true state, whatever it has enabled:
FETCH or UIDFETCH, EXPUNGE or VANISHED, with \\Recent or without, with MODSEQ and UID or not.
Nothing is told out of order: while an EXPUNGE may not be sent, a client that counts in
MODSEQs is told how far it is really up to date.

Standards: RFC 9051 sections 5.2, 7.4 and 7.5, RFC 3501 section 7.4.1, RFC 7162 sections
3.1, 3.2.4, 3.2.10 and 6, RFC 9586.
Imports: model, response, requests, view.  No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mailstack.imap.errors import HangUp
from mailstack.imap.requests import Steps, quick, slow
from mailstack.imap.response import FLAG_TEXTS, flag_list, status_line, vanished_lines
from mailstack.imap.rights import settable
from mailstack.imap.view import Learned, View
from mailstack.model.mailbox import AccountStore, MailboxError
from mailstack.model.ranges import ranges

if TYPE_CHECKING:
    from mailstack.imap.session import Session

#: Lines made in one go.
LINES = 2_000
_VANISHING = frozenset(("QRESYNC", "UIDONLY"))
# After `mailbox rebuild` the name is there, with another UIDVALIDITY.
_LOST = "The selected mailbox was deleted, or made anew; log in again"


def sync(session: Session, *, expunge: bool) -> Steps[None]:
    """Tells what other sessions and deliveries changed.

    Args:
        expunge: False while messages may not be told as gone (RFC 9051 section 7.5.1).

    Raises:
        HangUp: the folder is gone.
    """
    view = session.view
    if view is None:
        return
    try:
        highest = yield from quick(lambda store: store.highest_modseq(view.folder_id))
        if highest != view.modseq and (session.notify is None or session.notify.selected):
            yield from _learn(session, view, highest)
        else:
            # What this session has changed itself is known already.
            yield from _watch(session, Learned())
    except MailboxError as error:
        if error.code != "NONEXISTENT":
            raise
        raise HangUp(_LOST) from None
    if expunge and view.gone:
        yield from _tell_gone(session, view)


def check_selected(session: Session) -> Steps[None]:
    """Something did not exist: if it was the selected folder, nothing makes sense any more.

    Raises:
        HangUp: it was.
    """
    view = session.view
    if view is None:
        return
    try:
        yield from quick(lambda store: store.highest_modseq(view.folder_id))
    except MailboxError:
        raise HangUp(_LOST) from None


def enable_condstore(session: Session) -> None:
    """The client has shown that it knows MODSEQ: from now on it is told (RFC 7162 section 3.1)."""
    if "CONDSTORE" in session.enabled:
        return
    session.enabled.add("CONDSTORE")
    if session.view is not None:
        write_highest(session, session.view.settled)


def write_highest(session: Session, modseq: int) -> None:
    """`* OK [HIGHESTMODSEQ n]`."""
    session.write(status_line(b"*", "OK", "Highest", code=f"HIGHESTMODSEQ {modseq}"))


def modseq_code(session: Session) -> str:
    """The response code a command must end with so that the client counts right; "" for none.

    Source: RFC 7162 sections 3.2, 3.2.7 and 6.
    """
    view = session.view
    if view is None or "CONDSTORE" not in session.enabled:
        return ""
    dropped, view.dropped = view.dropped, False
    if (view.gone or dropped) and "QRESYNC" not in session.enabled:
        return ""
    if view.gone or dropped or view.ahead > view.modseq:
        return f"HIGHESTMODSEQ {view.settled}"
    return ""


# -- changes ----------------------------------------------------------------------------


def _learn(session: Session, view: View, highest: int) -> Steps[None]:
    with_modseq = "CONDSTORE" in session.enabled

    def look(store: AccountStore) -> Learned:
        rows = store.rows(view.folder_id, since_modseq=view.modseq)
        gone = store.expunged(view.folder_id, since_modseq=view.modseq)
        claimed = 0
        if rows and rows[-1].uid > view.last_uid and not view.read_only:
            claimed = store.claim_recent(view.folder_id)
        learned = view.learn(rows, with_modseq=with_modseq)
        if learned.arrived:
            view.mark_recent(max(claimed, view.uids[len(view) - learned.arrived]))
        view.lose(gone)
        view.modseq = highest
        return learned

    learned = yield from slow(look)
    if learned.new_keywords:
        write_keywords(session)
    notify = session.notify
    if learned.changed and (notify is None or notify.flags):
        # RFC 5465 section 5.1: a client that hears of it at any time needs the UID.
        yield from write_flags(session, learned.changed, uid=True if notify else None)
    if learned.arrived:
        write_count(session)
    yield from _watch(session, learned)
    if notify is not None:
        yield from notify.after(session, learned)


def _watch(session: Session, learned: Learned) -> Steps[None]:
    for watcher in list(session.watchers):
        yield from watcher(session, learned)


def _tell_gone(session: Session, view: View) -> Steps[None]:
    many = len(view.gone) > LINES
    uids = (yield from slow(lambda store: sorted(view.gone))) if many else sorted(view.gone)
    yield from _watch(session, Learned(gone=uids))
    vanishing = not _VANISHING.isdisjoint(session.enabled)
    # The loop is for all clients: what takes longer is done elsewhere.
    lines = (
        (yield from slow(lambda store: _drop(view, uids, vanishing)))
        if many
        else _drop(view, uids, vanishing)
    )
    yield from write_lines(session, lines)


def _drop(view: View, uids: list[int], vanishing: bool) -> list[bytes]:
    numbers = view.drop_gone()
    view.dropped = True
    if vanishing:
        return vanished_lines(ranges(uids))
    return [b"* %d EXPUNGE\r\n" % number for number in numbers]


# -- lines ------------------------------------------------------------------------------


def write_lines(session: Session, lines: Sequence[bytes]) -> Steps[None]:
    """Many lines, so that others get their turn in between."""
    for begin in range(0, len(lines), LINES):
        session.write(b"".join(lines[begin : begin + LINES]))
        yield from session.flush_full()


def write_count(session: Session) -> None:
    """EXISTS, and RECENT for those who know it."""
    view = session.selected
    session.write(b"* %d EXISTS\r\n" % len(view))
    if not session.is_rev2:
        session.write(b"* %d RECENT\r\n" % view.recent)


def write_keywords(session: Session, *, full: bool = False) -> None:
    """FLAGS and PERMANENTFLAGS with the keywords of the folder.

    Args:
        full: no further keyword finds room.
    """
    view = session.selected
    known = flag_list(31, view.known_keywords)
    permanent = b"" if view.read_only else flag_list(*settable(view.rights, view.known_keywords))
    if "w" in view.rights and not (full or view.read_only):
        permanent += b" \\*"
    session.write(b"* FLAGS (%b)\r\n* OK [PERMANENTFLAGS (%b)] Flags you may set\r\n" % (known, permanent))


def write_flags(
    session: Session, places: Sequence[int], *, flags: bool = True, uid: bool | None = None
) -> Steps[None]:
    """The flags of messages nobody asked for, or those a STORE has changed.

    Args:
        flags: False: only the MODSEQ.
        uid: the UID goes with them; None: as IMAP4rev2 wants it for what nobody asked for.
    """
    with_uid = session.is_rev2 if uid is None else uid
    for begin in range(0, len(places), LINES):
        session.write(_flag_lines(session, places[begin : begin + LINES], flags=flags, uid=with_uid))
        yield from session.flush_full()


def _flag_lines(session: Session, places: Sequence[int], *, flags: bool, uid: bool) -> bytes:
    view = session.selected
    has_modseq = "CONDSTORE" in session.enabled
    items: list[bytes] = []
    columns: list[Iterable[int | bytes]] = [number_column(session, places)]
    if (uid or has_modseq) and "UIDONLY" not in session.enabled:
        items.append(b"UID %d")
        columns.append([view.uids[at] for at in places])
    if flags:
        items.append(b"FLAGS (%b)")
        columns.append(flag_column(session, places))
    if has_modseq:
        items.append(b"MODSEQ (%d)")
        columns.append([view.modseqs[at] for at in places])
    template = b"* %d " + fetch_word(session) + b" (" + b" ".join(items) + b")\r\n"
    return b"".join([template % line for line in zip(*columns, strict=True)])


def fetch_word(session: Session) -> bytes:
    """How a line about a message begins, behind its number (RFC 9586 section 3.3)."""
    return b"UIDFETCH" if "UIDONLY" in session.enabled else b"FETCH"


def number_column(session: Session, places: Iterable[int]) -> list[int | bytes]:
    """How lines name the messages at these positions."""
    if "UIDONLY" in session.enabled:
        uids = session.selected.uids
        return [uids[at] for at in places]
    return [at + 1 for at in places]


def flag_column(session: Session, places: Iterable[int]) -> list[int | bytes]:
    """The flags at these positions, without brackets."""
    view = session.selected
    # RFC 9051 appendix E: there is no \\Recent in IMAP4rev2.
    mask = 31 if session.is_rev2 else 63
    if not view.keywords:
        return [FLAG_TEXTS[view.flags[at] & mask] for at in places]
    return [flag_list(view.flags[at] & mask, view.keywords.get(view.uids[at], ())) for at in places]
