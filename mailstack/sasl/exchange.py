"""SASL exchanges: base64 lines in, a challenge or credentials out.

One exchange per attempt; nothing is shared between connections, so a broken one
disturbs nobody (T62).  The protocols only differ in how they wrap the lines:

    exchange = start("PLAIN", offer)
    step = exchange.respond(initial)       # None: no initial response was given
    while isinstance(step, Challenge):
        step = exchange.respond(<line the client sent for step.line>)

Standards: RFC 4422, RFC 4616 (PLAIN), RFC 4954 section 4, RFC 4959; LOGIN has none
(draft-murchison-sasl-login).
Imports: scram, steps.  No I/O.
"""

from __future__ import annotations

from typing import Final

from mailstack.sasl import scram
from mailstack.sasl.steps import (
    MAX_LINE_OCTETS,
    Challenge,
    Credentials,
    Exchange,
    Offer,
    SaslCancelled,
    SaslError,
    Step,
    decode,
)

__all__ = (
    "MAX_LINE_OCTETS",
    "MECHANISMS",
    "PASSWORDS",
    "Challenge",
    "Credentials",
    "Exchange",
    "Offer",
    "SaslCancelled",
    "SaslError",
    "decode",
    "mechanisms",
    "start",
)

#: Passwords alone.
PASSWORDS: Final = Offer()
#: What everybody may use where passwords are taken.
MECHANISMS: Final = ("PLAIN", "LOGIN")
_FIELDS_OF_PLAIN: Final = 3


def mechanisms(offer: Offer) -> tuple[str, ...]:
    """As announced, the strongest first."""
    if offer.verifier is None:
        return MECHANISMS
    plus = (scram.PLUS,) if offer.bindings else ()
    return (*plus, scram.MECHANISM, *MECHANISMS)


def start(mechanism: str, offer: Offer = PASSWORDS) -> Exchange | None:
    """The exchange of this name, in any case; None for what is not offered."""
    name = mechanism.upper()
    if name not in mechanisms(offer):
        return None
    match name:
        case "PLAIN":
            return Plain()
        case "LOGIN":
            return Login()
        case _:
            return scram.Scram(offer, plus=name == scram.PLUS)


def text_of(octets: bytes) -> str:
    """A name or password.  RFC 4616 asks for UTF-8; old clients send one with umlauts in Latin-1."""
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def _credentials(login: bytes, password: bytes, acting_for: bytes = b"") -> Credentials:
    if not login:
        raise SaslError("the user name is empty")
    if not password:
        raise SaslError("the password is empty")
    other = acting_for if acting_for != login else b""
    return Credentials(text_of(login), text_of(password), text_of(other))


class Plain:
    """RFC 4616: `[authzid] NUL authcid NUL passwd` in one message."""

    mechanism = "PLAIN"

    def respond(self, line: bytes | None) -> Step:
        """See Exchange."""
        if line is None:
            return Challenge(b"")
        fields = decode(line).split(b"\0")
        if len(fields) != _FIELDS_OF_PLAIN:
            raise SaslError("PLAIN wants exactly two NULs")
        acting_for, login, password = fields
        return _credentials(login, password, acting_for)


class Login:
    """The older two-step mechanism most printers speak; a name may come at once."""

    mechanism = "LOGIN"

    def __init__(self) -> None:
        self._login: bytes | None = None
        self._asked = False

    def respond(self, line: bytes | None) -> Step:
        """See Exchange."""
        if line is None:
            if self._asked:
                raise SaslError("nothing was sent")
            self._asked = True
            return Challenge(b"VXNlcm5hbWU6")  # Username:
        octets = decode(line)
        if self._login is not None:
            return _credentials(self._login, octets)
        if not octets:
            raise SaslError("the user name is empty")
        self._login, self._asked = octets, True
        return Challenge(b"UGFzc3dvcmQ6")  # Password:
