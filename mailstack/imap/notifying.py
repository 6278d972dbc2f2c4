"""NOTIFY: what a client wants to hear of at any time, and what it has been told already.

Nothing is queued: for every folder of interest the state the client was told last is
kept, and a hint that something changed leads to a comparison.  So a client that does not
read, or a hint that is lost or doubled, costs no memory and no correctness.

A client hears also of what it did itself to folders it has not selected: leaving that out
could hide what somebody else did in the same moment.

Standards: RFC 5465.
Imports: model, fetch command, parser, requests.  No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Flag, auto
from typing import TYPE_CHECKING

from mailstack.imap.commands import fetch
from mailstack.imap.errors import No
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import MAX_CHANGED, Steps, slow
from mailstack.imap.response import status_line
from mailstack.model.mailbox import AccountStore, FolderEntry, FolderStatus, MailboxError

if TYPE_CHECKING:
    from mailstack.imap.session import Session
    from mailstack.imap.view import Learned

#: Begins a hint that metadata changed: mark, mailbox, mark, names of entries with spaces.
#: No folder name holds a control character.
_METADATA = "\x01"


class Event(Flag):
    """What one may ask for (RFC 5465 section 5)."""

    NOTHING = 0
    MESSAGE_NEW = auto()
    MESSAGE_EXPUNGE = auto()
    FLAG_CHANGE = auto()
    MAILBOX_NAME = auto()
    SUBSCRIPTION = auto()
    MAILBOX_METADATA = auto()
    SERVER_METADATA = auto()


MESSAGE_EVENTS = Event.MESSAGE_NEW | Event.MESSAGE_EXPUNGE | Event.FLAG_CHANGE


@dataclass(frozen=True, slots=True)
class Group:
    """Events for some folders; `covers` tells which (section 6)."""

    covers: Callable[[FolderEntry], bool]
    events: Event


@dataclass(slots=True)
class Notify:
    """What the client asked for with its last NOTIFY.

    Attributes:
        selected: message events of the selected folder, whichever that is.
        delayed: EXPUNGE waits for a command that allows it (SELECTED-DELAYED).
        fetch: what to fetch of new messages in the selected folder, with brackets; b"": nothing.
        groups: for all other folders.
        entries: the folders as the client was told last.
        known: their counters.
        pending: what changed and is not told yet.
    """

    selected: Event = Event.NOTHING
    delayed: bool = False
    fetch: bytes = b""
    groups: tuple[Group, ...] = ()
    entries: dict[str, FolderEntry] = field(default_factory=dict)
    known: dict[str, FolderStatus] = field(default_factory=dict)
    pending: frozenset[str] = frozenset()

    @property
    def is_on(self) -> bool:
        """True while something is to be told outside commands."""
        return bool(self.selected or self.groups)

    @property
    def flags(self) -> bool:
        """True while flags in the selected folder are told."""
        return Event.FLAG_CHANGE in self.selected

    def wanted(self, entry: FolderEntry) -> Event:
        """The events of all groups that cover this folder."""
        events = Event.NOTHING
        for group in self.groups:
            if group.covers(entry):
                events |= group.events
        return events

    def watched(self) -> list[FolderStatus]:
        """The folders whose messages the client wants to hear of."""
        return [
            status
            for name, status in self.known.items()
            if name in self.entries and self.wanted(self.entries[name]) & MESSAGE_EVENTS
        ]

    def begin(self, session: Session, *, tell: bool) -> Steps[None]:
        """Takes in how things stand; tells the counters when the client wants them (STATUS)."""
        if not self.groups:
            return
        self.entries = {entry.name: entry for entry in (yield from slow(lambda store: store.folders()))}
        yield from self._look(self.entries.values())
        for name, status in self.known.items() if tell else ():
            events = self.wanted(self.entries[name])
            if events & MESSAGE_EVENTS and not _is_selected(session, name):
                _write_status(session, status, events, first=True)
                yield from session.flush_full()

    def _look(self, entries: Iterable[FolderEntry]) -> Steps[None]:
        """Learns the counters of folders whose messages or names matter."""
        names = [entry.name for entry in entries if entry.exists and self.wanted(entry)]
        self.known.update((yield from slow(lambda store: dict(_statuses(store, names)))))

    def after(self, session: Session, learned: Learned) -> Steps[None]:
        """New messages were told in the selected folder: fetches what the client wants of them."""
        view = session.view
        if view is None or not learned.arrived or not self.fetch:
            return
        first = view.uids[len(view) - learned.arrived]
        try:
            yield from fetch.uid_fetch(session, Cursor(b"%d:%d %b" % (first, view.uids[-1], self.fetch)))
        except No:
            pass  # gone again already; that is told too

    def tell(self, session: Session) -> Steps[None]:
        """Tells what changed in the folders that are not selected."""
        # Kept until it is told: a look that fails is made again.
        self.pending |= yield from session.changed_folders()
        if not self.groups:
            self.pending = frozenset()
            return
        changed = self.pending
        if len(changed) >= MAX_CHANGED:
            session.notify = Notify()
            session.write(status_line(b"*", "OK", "Too much happens at once", code="NOTIFICATIONOVERFLOW"))
            return
        names = {name for name in changed if name and not name.startswith(_METADATA)}
        if "" in changed or not names <= self.entries.keys():
            yield from self._tell_list(session)
        yield from self._tell_counters(session, names)
        for name in sorted(changed):
            if name.startswith(_METADATA):
                self._tell_metadata(session, name)
        self.pending = frozenset()

    # -- messages ---------------------------------------------------------------------

    def _tell_counters(self, session: Session, names: set[str]) -> Steps[None]:
        wanted = [name for name in sorted(names) if name in self.known and not _is_selected(session, name)]
        if not wanted:
            return
        found = yield from slow(lambda store: dict(_statuses(store, wanted)))
        for name, status in found.items():
            before, self.known[name] = self.known[name], status
            events = self.wanted(self.entries[name])
            if _matters(session, before, status, events):
                _write_status(session, status, events)
                yield from session.flush_full()
        if len(found) < len(wanted):
            yield from self._tell_list(session)

    # -- names and subscriptions ----------------------------------------------------------

    def _tell_list(self, session: Session) -> Steps[None]:
        before, told = self.entries, dict(self.known)
        self.entries = {entry.name: entry for entry in (yield from slow(lambda store: store.folders()))}
        made = [name for name, entry in self.entries.items() if entry.exists and not _exists(before, name)]
        gone = [name for name, entry in before.items() if entry.exists and not _exists(self.entries, name)]
        for name in gone:
            self.known.pop(name, None)
        yield from self._look(entry for name, entry in self.entries.items() if name not in self.known)
        renamed = _renamed(made, gone, told, self.known)
        lines: dict[str, bytes] = {}
        for name in (*gone, *made):
            if name not in renamed and name not in renamed.values():
                for affected in filter(None, (name, name.rpartition("/")[0])):
                    self._add_line(session, lines, affected, Event.MAILBOX_NAME)
        for new, old in renamed.items():
            if renamed.get(new.rpartition("/")[0]) != old.rpartition("/")[0] or "/" not in new:
                self._add_line(session, lines, new, Event.MAILBOX_NAME, old=old)
        for name in sorted(before.keys() | self.entries.keys()):
            if _is_subscribed(before, name) != _is_subscribed(self.entries, name):
                self._add_line(session, lines, name, Event.SUBSCRIPTION)
        for line in lines.values():
            session.write(line)
        for name in made:
            status = self.known.get(name)
            events = self.wanted(self.entries[name])
            if status and status.messages and name not in renamed and events & MESSAGE_EVENTS:
                _write_status(session, status, events)
        yield from session.flush_full()

    def _add_line(
        self, session: Session, lines: dict[str, bytes], name: str, event: Event, *, old: str = ""
    ) -> None:
        entry = self.entries.get(name, FolderEntry(name, False, False, False))
        wanted = self.wanted(entry)
        if old:
            wanted |= self.wanted(FolderEntry(old, False, False, False))
        if event in wanted and name not in lines:
            lines[name] = _list_line(session, entry, old)

    def _tell_metadata(self, session: Session, hint: str) -> None:
        _, mailbox, entries = hint.split(_METADATA, 2)
        if mailbox:
            entry = self.entries.get(mailbox)
            wanted = entry is not None and Event.MAILBOX_METADATA in self.wanted(entry)
        else:
            wanted = any(Event.SERVER_METADATA in group.events for group in self.groups)
        if wanted:
            name = session.mailbox_name(mailbox)
            session.write(b"* METADATA %b %b\r\n" % (name, entries.encode("utf-8")))


def metadata_changed(session: Session, mailbox: str, entries: Iterable[str]) -> Steps[None]:
    """Tells the other sessions of the account which METADATA entries were set.

    Args:
        mailbox: "" for the server's own.
        entries: names; atoms, as RFC 5464 has them.
    """
    yield from session.changed(f"{_METADATA}{mailbox}{_METADATA}{' '.join(entries)}")


def _statuses(store: AccountStore, names: Iterable[str]) -> Iterator[tuple[str, FolderStatus]]:
    for name in names:
        try:
            yield name, store.status(name)
        except MailboxError:
            continue  # gone meanwhile


def _is_selected(session: Session, name: str) -> bool:
    return session.view is not None and session.view.name == name


def _exists(entries: dict[str, FolderEntry], name: str) -> bool:
    return name in entries and entries[name].exists


def _is_subscribed(entries: dict[str, FolderEntry], name: str) -> bool:
    return name in entries and entries[name].subscribed


def _renamed(
    made: list[str], gone: list[str], before: dict[str, FolderStatus], now: dict[str, FolderStatus]
) -> dict[str, str]:
    """New names and the old names of the same folders."""
    old_names = {before[name].object_id: name for name in gone if name in before}
    return {
        name: old_names[now[name].object_id]
        for name in made
        if name in now and now[name].object_id in old_names
    }


def _matters(session: Session, before: FolderStatus, now: FolderStatus, events: Event) -> bool:
    """Whether a change of counters is one the client asked for (sections 5.1 to 5.3)."""
    if not events & MESSAGE_EVENTS:
        return False
    arrived = (before.uid_validity, before.uid_next, before.messages)
    if arrived != (now.uid_validity, now.uid_next, now.messages):
        return True
    if Event.FLAG_CHANGE not in events or before.highest_modseq == now.highest_modseq:
        return False
    return "CONDSTORE" in session.enabled or before.unseen != now.unseen


def _write_status(session: Session, status: FolderStatus, events: Event, *, first: bool = False) -> None:
    items = [
        b"MESSAGES %d" % status.messages,
        b"UIDNEXT %d" % status.uid_next,
        b"UIDVALIDITY %d" % status.uid_validity,
    ]
    if Event.FLAG_CHANGE in events:
        items.append(b"UNSEEN %d" % status.unseen)
    if "CONDSTORE" in session.enabled or (first and Event.FLAG_CHANGE in events):
        items.append(b"HIGHESTMODSEQ %d" % status.highest_modseq)
    session.write(b"* STATUS %b (%b)\r\n" % (session.mailbox_name(status.name), b" ".join(items)))


def _list_line(session: Session, entry: FolderEntry, old: str) -> bytes:
    words = [] if entry.exists else [b"\\NonExistent"]
    if entry.subscribed:
        words.append(b"\\Subscribed")
    words.append(b"\\HasChildren" if entry.has_children else b"\\HasNoChildren")
    if entry.special_use:
        words.append(entry.special_use.encode("ascii", "replace"))
    extended = b' ("OLDNAME" (%b))' % session.mailbox_name(old) if old else b""
    return b'* LIST (%b) "/" %b%b\r\n' % (b" ".join(words), session.mailbox_name(entry.name), extended)
