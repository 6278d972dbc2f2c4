"""AUTHENTICATE: SASL, with an initial response or without.

Standards: RFC 3501 section 6.2.2, RFC 4959 (SASL-IR), RFC 4616 (PLAIN), RFC 7677 (SCRAM).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.commands.login import check_privacy, log_in
from mailstack.imap.errors import Bad, No
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Login, Steps
from mailstack.sasl import exchange

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def authenticate(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Runs one exchange."""
    name = cursor.word().decode("ascii")
    initial = None
    if not cursor.at_end:
        cursor.space()
        initial = cursor.rest()
    check_privacy(session)
    talk = exchange.start(name, session.offer())
    if talk is None:
        raise No("There is no such mechanism", code="CANNOT")
    try:
        step = talk.respond(initial)
        while isinstance(step, exchange.Challenge):
            session.write(b"+ %b\r\n" % step.line)
            step = talk.respond((yield from session.read_line()))
    except exchange.SaslError as error:
        raise Bad(error.why) from None
    return (yield from log_in(session, Login(step.login, step.password, talk.mechanism, step.acting_for)))
