"""PLAIN and LOGIN: base64 lines in, a challenge or credentials out.

One exchange per attempt; nothing is shared between connections, so a broken one
disturbs nobody (T62).  The protocols only differ in how they wrap the lines:

    exchange = start("PLAIN")
    step = exchange.respond(initial)       # None: no initial response was given
    while isinstance(step, Challenge):
        step = exchange.respond(<line the client sent for step.line>)

Standards: RFC 4422, RFC 4616 (PLAIN), RFC 4648 section 4 (strict base64), RFC 4954
section 4, RFC 4959; LOGIN has none (draft-murchison-sasl-login).
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

#: RFC 4954 section 4: the longest base64 line, in octets, that has to be taken.
MAX_LINE_OCTETS: Final = 12_288
_FIELDS_OF_PLAIN: Final = 3


class SaslError(Exception):
    """The exchange is over without credentials; `why` is a sentence for the client."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class SaslCancelled(SaslError):
    """The client sent `*` (RFC 4954 section 4)."""

    def __init__(self) -> None:
        super().__init__("authentication cancelled")


@dataclass(frozen=True, slots=True)
class Challenge:
    """The server's turn.

    Attributes:
        line: base64, ready to stand behind `334 ` or `+ `; may be empty.
    """

    line: bytes


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the client claims; not yet checked.

    Attributes:
        login: the name to check the password of; may hold anything, also NUL.
        acting_for: authorisation identity when it differs from `login`; "" else.
    """

    login: str
    password: str = field(repr=False)
    acting_for: str = ""


Step: TypeAlias = Challenge | Credentials


class Exchange(Protocol):
    """One attempt with one mechanism."""

    @property
    def mechanism(self) -> str:
        """Upper-case name."""
        ...

    def respond(self, line: bytes | None) -> Step:
        """Takes a line of the client.

        Args:
            line: base64 as received, without line end; None at the start when there
                was no initial response.

        Raises:
            SaslError: malformed, too long or cancelled; the exchange is over.
        """
        ...


def start(mechanism: str) -> Exchange | None:
    """The exchange of this name, in any case; None for what we do not have."""
    match mechanism.upper():
        case "PLAIN":
            return Plain()
        case "LOGIN":
            return Login()
        case _:
            return None


#: As announced.
MECHANISMS: Final = ("PLAIN", "LOGIN")


def decode(line: bytes) -> bytes:
    """Strict base64: no white space, no trailing garbage, canonical padding.

    A lone `=` is the empty response (RFC 4954 section 4).

    Raises:
        SaslError: anything else.
    """
    if line == b"*":
        raise SaslCancelled
    if len(line) > MAX_LINE_OCTETS:
        raise SaslError("the response is too long")
    if line == b"=":
        return b""
    try:
        octets = binascii.a2b_base64(line, strict_mode=True)
    except ValueError:
        raise SaslError("the response is not base64") from None
    # strict_mode lets unused bits be set: two texts for one password help only an attacker.
    if binascii.b2a_base64(octets, newline=False) != line:
        raise SaslError("the response is not base64")
    return octets


def _text(octets: bytes) -> str:
    # RFC 4616 asks for UTF-8; old clients send a password with umlauts in Latin-1.
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
    return Credentials(_text(login), _text(password), _text(other))


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
