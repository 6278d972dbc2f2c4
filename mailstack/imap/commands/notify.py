"""NOTIFY: asks to be told of events at any time, in any folder.

Standards: RFC 5465.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.commands.noop import refresh
from mailstack.imap.errors import Bad, No
from mailstack.imap.fetch_items import parse_items
from mailstack.imap.folder_filter import FilterReader
from mailstack.imap.notifying import MESSAGE_EVENTS, Event, Group, Notify
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps

if TYPE_CHECKING:
    from mailstack.imap.session import Session

#: Groups of one command.
MAX_GROUPS = 100
_EVENTS = {
    b"MESSAGENEW": Event.MESSAGE_NEW,
    b"MESSAGEEXPUNGE": Event.MESSAGE_EXPUNGE,
    b"FLAGCHANGE": Event.FLAG_CHANGE,
    b"MAILBOXNAME": Event.MAILBOX_NAME,
    b"SUBSCRIPTIONCHANGE": Event.SUBSCRIPTION,
    b"MAILBOXMETADATACHANGE": Event.MAILBOX_METADATA,
    b"SERVERMETADATACHANGE": Event.SERVER_METADATA,
}
_SUPPORTED = (
    "BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange"
    " MailboxMetadataChange ServerMetadataChange)"
)


def notify(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Replaces what the client was told of so far."""
    word = cursor.word()
    if word == b"NONE":
        wanted, tell = Notify(), False
    elif word == b"SET":
        cursor.space()
        tell = cursor.take(b"STATUS ")
        wanted = _Reader(session, cursor).read()
    else:
        cursor.fail("SET or NONE")
    cursor.end()
    # Section 3.1: what has gathered for the selected folder is told first, as it was asked for.
    yield from refresh(session)
    yield from session.sync(expunge=True)
    yield from session.changed_folders()
    yield from wanted.begin(session, tell=tell)
    session.notify = wanted
    return Ok("Notify completed")


class _Reader:
    """Reads event groups."""

    def __init__(self, session: Session, cursor: Cursor) -> None:
        self._session = session
        self._cursor = cursor
        self._filters = FilterReader(session, cursor)
        self._unsupported = False
        self._found = Notify()
        self._has_selected = False
        self._groups: list[Group] = []

    def read(self) -> Notify:
        """All groups up to the end.

        Raises:
            Bad: syntax, or events that do not go together.
            No: BADEVENT, an event we do not have.
        """
        cursor = self._cursor
        count = 0
        while True:
            count += 1
            if count > MAX_GROUPS:
                raise Bad(f"NOTIFY has more than {MAX_GROUPS} groups")
            self._group()
            if cursor.at_end:
                break
            cursor.space()
        if self._unsupported:
            raise No("There is no such event here", code=_SUPPORTED)
        self._found.groups = tuple(self._groups)
        return self._found

    def _group(self) -> None:
        cursor = self._cursor
        cursor.expect(b"(")
        kind = cursor.word()
        if kind in (b"SELECTED", b"SELECTED-DELAYED"):
            self._selected(delayed=kind == b"SELECTED-DELAYED")
        else:
            covers = self._filters.read(kind)
            cursor.space()
            events, fetch = self._events()
            if fetch:
                raise Bad("Only of messages in the selected mailbox something can be fetched")
            if events:
                self._groups.append(Group(covers, events))
        cursor.expect(b")")

    def _selected(self, *, delayed: bool) -> None:
        if self._has_selected:
            raise Bad("SELECTED and SELECTED-DELAYED can stand there once")
        self._has_selected = True
        self._cursor.space()
        events, fetch = self._events()
        if events & ~MESSAGE_EVENTS:
            raise Bad("Only message events can be asked for with SELECTED")
        self._found.selected, self._found.delayed, self._found.fetch = events, delayed, fetch

    def _events(self) -> tuple[Event, bytes]:
        cursor = self._cursor
        events, fetch = Event.NOTHING, b""
        if cursor.take(b"NONE"):
            return events, fetch
        cursor.expect(b"(")
        while True:
            name = cursor.word()
            event = _EVENTS.get(name)
            if event is None:
                self._unsupported = True
            else:
                events |= event
            if event is Event.MESSAGE_NEW and cursor.take(b" ("):
                cursor.at -= 1
                fetch = self._fetch()
            if cursor.take(b")"):
                break
            cursor.space()
        if not self._unsupported:
            _check(events)
        return events, fetch

    def _fetch(self) -> bytes:
        text = _list_text(self._cursor)
        if parse_items(text).sets_seen:
            raise Bad("Want BODY.PEEK: what is told unasked does not mark a message as read")
        return text


def _check(events: Event) -> None:
    """Section 5: which events can only be asked for together."""
    both = Event.MESSAGE_NEW | Event.MESSAGE_EXPUNGE
    if events & MESSAGE_EVENTS and events & both != both:
        raise Bad("MessageNew and MessageExpunge go together, and FlagChange only with them")


def _list_text(cursor: Cursor) -> bytes:
    """The octets of a list in brackets, unparsed."""
    begin, depth = cursor.at, 0
    while True:
        octet = cursor.peek()
        if octet in (b'"', b"{"):
            cursor.string()
        elif not octet:
            cursor.fail("')'")
        else:
            cursor.at += 1
            depth += (octet == b"(") - (octet == b")")
            if not depth:
                return cursor.data[begin : cursor.at]
