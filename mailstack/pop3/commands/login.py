"""USER and PASS, and what follows any successful login.

Standards: RFC 1939 section 7, RFC 2449 section 8.1.1 (IN-USE), RFC 3206 (AUTH, SYS).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.model.asking import Login, LoginRefused, Steps, ask, slow
from mailstack.model.errors import TemporaryFailure
from mailstack.pop3.errors import Bad, HangUp, Refused
from mailstack.sasl.exchange import text_of

if TYPE_CHECKING:
    from mailstack.pop3.session import Session

_CODES = {"AUTHENTICATIONFAILED": "AUTH", "LIMIT": "IN-USE"}


def user(session: Session, argument: bytes) -> str:
    """Keeps the name for PASS; says the same of every name."""
    check_privacy(session)
    if not argument:
        raise Refused("USER wants a name")
    session.user = text_of(argument)
    return "Send your password"


def password(session: Session, argument: bytes) -> Steps[str]:
    """Logs in; everything behind the first space is the password."""
    check_privacy(session)
    if session.user is None:
        raise Bad("USER comes first")
    name, session.user = session.user, None
    return (yield from log_in(session, Login(name, text_of(argument), "USER")))


def check_privacy(session: Session) -> None:
    """Refuses a password in clear."""
    if not session.takes_passwords:
        raise Refused("Login needs TLS: use STLS or the TLS port")


def log_in(session: Session, asked: Login) -> Steps[str]:
    """Asks for the account and takes its list; counts failures."""
    answer = yield from ask(asked)
    if isinstance(answer, LoginRefused):
        code = _CODES.get(answer.code, "SYS/TEMP")
        session.failures += code != "IN-USE"
        if answer.hang_up and code != "IN-USE":
            raise HangUp(answer.text, code=code)
        raise Refused(answer.text, code=code)
    session.logged_in(answer)
    try:
        yield from _open(session)
    except TemporaryFailure:
        raise HangUp("The mailbox cannot be opened now; try again later", code="SYS/TEMP") from None
    return f"Logged in: {session.count} messages ({session.octets} octets)"


def _open(session: Session) -> Steps[None]:
    account = session.account
    assert account is not None
    names = ["INBOX"]
    if session.options.one_list:
        names += [account.filters.promotions_folder, account.filters.social_folder]
    session.opened((yield from slow(lambda store: store.maildrop(names))))
