"""Waiting for the client while telling it what happens: in IDLE, and with NOTIFY at any time.

Standards: RFC 2177, RFC 5465 section 4.  Numbers: limits, section 6.
Imports: requests.  No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.errors import HangUp
from mailstack.imap.requests import Steps, Wait, ask
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import MailboxError

if TYPE_CHECKING:
    from mailstack.imap.session import Session

#: When a mailbox could not be looked at, it is tried again after this long.
RETRY_S = 1.0


def linger(session: Session, *, expunge: bool) -> Steps[None]:
    """Tells changes until the client sends something: the first at once, then gathered.

    Args:
        expunge: messages may be told as gone.

    Raises:
        HangUp: nothing came from the client for too long.
    """
    options, clock = session.options, session.clock
    keepalive = clock() + options.idle_keepalive_s
    not_before = 0.0
    while True:
        woken = yield from ask(Wait(min(keepalive, session.idle_until)))
        if woken == "changed":
            if clock() < not_before:
                woken = yield from ask(Wait(not_before, changes=False))
            yield from tell(session, expunge=expunge)
            not_before = clock() + options.idle_update_s
        if woken == "input":
            return
        if clock() >= session.idle_until:
            raise HangUp("Too long without a command")
        if clock() >= keepalive:
            session.write(b"* OK Still here\r\n")
            keepalive = clock() + options.idle_keepalive_s


def between_commands(session: Session) -> Steps[None]:
    """As `linger`, for a client that has asked with NOTIFY to be told at any time."""
    late = False
    while session.notify is not None and session.notify.is_on:
        try:
            if late:
                yield from tell(session, expunge=False)
            yield from linger(session, expunge=not session.notify.delayed)
            return
        except (MailboxError, TemporaryFailure):
            # No command is there to answer NO; what could not be told is told a little later.
            late = True
        if (yield from ask(Wait(session.clock() + RETRY_S, changes=False))) == "input":
            return
        if session.clock() >= session.idle_until:
            raise HangUp("Too long without a command")


def tell(session: Session, *, expunge: bool) -> Steps[None]:
    """What others changed: in the selected folder, and wherever NOTIFY wants to know of."""
    yield from session.sync(expunge=expunge)
    if session.notify is not None:
        yield from session.notify.tell(session)
