"""RETR and TOP: messages, streamed piece by piece.

Standards: RFC 1939 sections 5 and 7.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from mailstack.model.asking import Steps, slow
from mailstack.model.mailbox import AccountStore, MailboxError, MessageFile
from mailstack.model.steps import PIECE_OCTETS
from mailstack.pop3.errors import HangUp, Refused
from mailstack.pop3.response import DotStuffer, TopCutter, ok

if TYPE_CHECKING:
    from mailstack.pop3.session import Session

_TOP = re.compile(rb"([0-9]{1,10}) +([0-9]{1,10})\Z")


def retr(session: Session, argument: bytes) -> Steps[None]:
    """One message, as it is stored."""
    at = session.position(argument)
    yield from _send(session, at, None)
    session.sent = at


def top(session: Session, argument: bytes) -> Steps[None]:
    """The header and some lines of the body."""
    found = _TOP.match(argument)
    if found is None:
        raise Refused("TOP wants a message number and a number of lines")
    yield from _send(session, session.position(found[1]), TopCutter(int(found[2])))


def _send(session: Session, at: int, cutter: TopCutter | None) -> Steps[None]:
    message, piece = yield from slow(lambda store: _open(session, store, at))
    try:
        session.write(ok("" if cutter else f"{session.drop.sizes[at]} octets"))
        yield from _stream(session, message, piece, cutter)
    except MailboxError:
        # What was sent cannot be taken back; without the dot the client knows it is not all.
        raise HangUp("") from None
    finally:
        message.close()


def _open(session: Session, store: AccountStore, at: int) -> tuple[MessageFile, bytes]:
    drop = session.drop
    message = store.open(drop.folders[drop.folder[at]], drop.uids[at])
    return message, message.read(0, PIECE_OCTETS)


def _read(message: MessageFile, offset: int, store: AccountStore) -> bytes:
    return message.read(offset, PIECE_OCTETS)


def _stream(session: Session, message: MessageFile, piece: bytes, cutter: TopCutter | None) -> Steps[None]:
    stuffer = DotStuffer()
    offset = 0
    while piece:
        offset += len(piece)
        session.write(stuffer.add(cutter.add(piece) if cutter else piece))
        yield from session.flush_full()
        if offset >= message.size_octets or (cutter is not None and cutter.is_done):
            break
        piece = yield from slow(partial(_read, message, offset))
    session.write(stuffer.finish())
