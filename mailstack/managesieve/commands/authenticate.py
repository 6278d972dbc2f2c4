"""AUTHENTICATE and UNAUTHENTICATE: SASL, its lines as strings.

Standards: RFC 5804 sections 2.1 and 2.14.1, RFC 4616 (PLAIN), RFC 7677 (SCRAM).
Deviates from RFC 5804 section 2.1: SCRAM-SHA-1 is not offered, and nobody acts for another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.managesieve.commands.entry import Args
from mailstack.managesieve.errors import Bad, HangUp, Refused
from mailstack.managesieve.response import status, string
from mailstack.model.asking import Login, LoginRefused, Steps, Unauthenticate, ask
from mailstack.sasl import exchange

if TYPE_CHECKING:
    from mailstack.managesieve.session import Session

_CODES = {"UNAVAILABLE": "TRYLATER", "LIMIT": "TRYLATER"}
#: These send data in their first challenge: RFC 5804 section 2.1 forbids an initial response.
_SERVER_FIRST = ("LOGIN",)


def authenticate(session: Session, args: Args) -> Steps[bytes]:
    """Runs one exchange, and logs in."""
    if not session.takes_passwords:
        raise Refused("Login needs TLS: use STARTTLS", code="ENCRYPT-NEEDED")
    talk = exchange.start(args.string(0).decode("latin-1"), session.offer())
    if talk is None:
        raise Refused("There is no such mechanism")
    initial = args.string(1) if len(args) > 1 else None
    if initial is not None and talk.mechanism in _SERVER_FIRST:
        raise Refused("This mechanism takes no initial response")
    try:
        step = talk.respond(initial)
        while isinstance(step, exchange.Challenge):
            session.write(string(step.line) + b"\r\n")
            step = talk.respond((yield from session.read_string()))
    except exchange.SaslCancelled as error:
        raise Refused(error.why) from None
    except exchange.SaslError as error:
        raise Bad(error.why) from None
    return (yield from _log_in(session, Login(step.login, step.password, talk.mechanism, step.acting_for)))


def _log_in(session: Session, asked: Login) -> Steps[bytes]:
    answer = yield from ask(asked)
    if isinstance(answer, LoginRefused):
        code = _CODES.get(answer.code, "")
        session.failures += answer.code != "LIMIT"
        if answer.hang_up:
            raise HangUp(answer.text, code=code)
        if session.failures >= session.options.max_login_failures:
            raise HangUp(answer.text, code=code)
        raise Refused(answer.text, code=code)
    session.logged_in(answer)
    return status("OK", "Logged in")


def unauthenticate(session: Session, args: Args) -> Steps[bytes]:
    """Forgets the user; TLS stays."""
    yield from ask(Unauthenticate())
    session.logged_out()
    return status("OK", "You are nobody now")
