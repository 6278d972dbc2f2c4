"""LIST: the folders, and what else a client wants to know of each.

Standards: RFC 9051 section 6.3.9, RFC 3501 section 6.3.8, and those of `listing`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mailstack.imap import counters, metadata
from mailstack.imap.commands.entry import Ok
from mailstack.imap.counters import Counted
from mailstack.imap.listing import Listed, Wanted, child_info, folder_line, parse_list, select
from mailstack.imap.names import SEPARATOR, Pattern
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.imap.rights import my_rights_line
from mailstack.imap.telling import enable_condstore
from mailstack.model.mailbox import AccountStore, FolderEntry, MailboxError

if TYPE_CHECKING:
    from mailstack.imap.session import Session

#: Folders looked at in one go; in between others get their turn.
SLICE = 50
#: Names matched in one go.
MATCHES = 250


def list_folders(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Lists what matches."""
    wanted = parse_list(cursor, utf8=session.has_utf8)
    if wanted.root is not None:
        session.write(_root_line(session, wanted.root))
        return Ok("List completed")
    if b"HIGHESTMODSEQ" in wanted.status:
        enable_condstore(session)
    entries = yield from slow(lambda store: store.folders())
    listed: list[Listed] = []
    for one in select(entries, wanted, (yield from _matcher(session, wanted, entries))):
        listed.append(one)
        if len(listed) == SLICE:
            yield from _tell(session, wanted, listed)
            listed = []
    yield from _tell(session, wanted, listed)
    return Ok("List completed")


def _matcher(
    session: Session, wanted: Wanted, entries: Sequence[FolderEntry]
) -> Steps[Callable[[str], bool]]:
    """Whether a name fits, worked out in slices for all that will be asked."""
    pattern = Pattern(*wanted.patterns)
    known: dict[str, bool] = {}
    for number, entry in enumerate(entries, 1):
        known[entry.name] = pattern.matches(entry.name)
        if number % MATCHES == 0:
            yield from session.progress(0, 0)
    return lambda name: known[name] if name in known else pattern.matches(name)


def _root_line(session: Session, reference: str) -> bytes:
    # RFC 3501 section 6.3.8: an empty name asks for the separator and the root of the reference.
    root, separator, _ = reference.partition(SEPARATOR)
    return b'* LIST (\\Noselect) "/" %b\r\n' % session.mailbox_name(root + separator if separator else "")


def _tell(session: Session, wanted: Wanted, listed: Sequence[Listed]) -> Steps[None]:
    names = [one.entry.name for one in listed if one.matched and one.entry.exists]
    counted: dict[str, Counted] = {}
    found: dict[str, dict[str, bytes]] = {}
    if names and (wanted.status or wanted.entries):
        counted, found = yield from slow(lambda store: _look(session, store, wanted, names))
    for one in listed:
        session.write(_line(session, wanted, one))
        name = session.mailbox_name(one.entry.name)
        if one.entry.name in counted:
            session.write(counters.status_line(name, counted[one.entry.name], wanted.status))
        if b"MYRIGHTS" in wanted.told and one.matched and one.entry.exists:
            session.write(my_rights_line(name, one.entry.rights))
        if one.entry.name in found:
            picked = metadata.pick(found[one.entry.name], wanted.entries, metadata.Options())
            session.write(metadata.response(name, picked))
        yield from session.flush_full()


def _line(session: Session, wanted: Wanted, one: Listed) -> bytes:
    extended = [child_info(wanted.criteria)] if one.has_matching_child else []
    return folder_line(
        b"LIST",
        one.entry,
        session.mailbox_name(one.entry.name),
        with_subscribed=b"SUBSCRIBED" in wanted.chosen | wanted.told,
        extended=extended,
    )


def _look(
    session: Session, store: AccountStore, wanted: Wanted, names: Sequence[str]
) -> tuple[dict[str, Counted], dict[str, dict[str, bytes]]]:
    counted: dict[str, Counted] = {}
    found: dict[str, dict[str, bytes]] = {}
    for name in names:
        try:
            if wanted.status:
                limit = session.options.append_octets
                counted[name] = counters.look(store, name, wanted.status, append_limit=limit)
            if wanted.entries:
                found[name] = store.annotations(name)
        except MailboxError:
            continue  # gone meanwhile, or not to be looked into (RFC 5819 section 2)
    return counted, found
