"""LOGIN: name and password as they are, under TLS only.

Standards: RFC 3501 section 6.2.3, RFC 5530 (PRIVACYREQUIRED, AUTHENTICATIONFAILED).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import HangUp, No
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Login, LoginRefused, Steps, ask
from mailstack.sasl.exchange import text_of

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def login(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Reads name and password."""
    name = cursor.astring()
    cursor.space()
    password = cursor.astring()
    cursor.end()
    check_privacy(session)
    return (yield from log_in(session, Login(text_of(name), text_of(password), "LOGIN")))


def check_privacy(session: Session) -> None:
    """Refuses a password in clear."""
    if not (session.tls or session.plaintext_login):
        raise No("Login needs TLS: use STARTTLS or the TLS port", code="PRIVACYREQUIRED")


def log_in(session: Session, asked: Login) -> Steps[Ok]:
    """Asks for the account; counts failures, and closes after too many."""
    answer = yield from ask(asked)
    if isinstance(answer, LoginRefused):
        session.failures += 1
        if answer.hang_up:
            raise HangUp(answer.text, code=answer.code)
        raise No(answer.text, code=answer.code)
    session.logged_in(answer)
    return Ok("Logged in", session.capability_code())
