"""IDLE: the server speaks first.

Standards: RFC 2177.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import Bad, HangUp
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, Wait, ask

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def idle(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Tells changes until DONE; several at once, at most every `idle_update_s`."""
    cursor.end()
    session.write(b"+ idling\r\n")
    options, clock = session.options, session.clock
    keepalive = clock() + options.idle_keepalive_s
    not_before = 0.0
    while True:
        yield from session.sync(expunge=True)
        line = session.framer.line()
        if line is not None:
            break
        woken = yield from ask(Wait(min(keepalive, session.idle_until)))
        if woken == "changed" and clock() < not_before:
            woken = yield from ask(Wait(not_before, changes=False))
        if woken == "input":
            yield from session.read_more()
        elif clock() >= session.idle_until:
            raise HangUp("Too long without a command")
        elif clock() >= keepalive:
            session.write(b"* OK Still here\r\n")
            keepalive = clock() + options.idle_keepalive_s
        else:
            not_before = clock() + options.idle_update_s
    if line.upper() != b"DONE":
        raise Bad("Expected DONE")
    return Ok("Idle completed")
