"""What an exchange takes and gives, whatever the mechanism.

Standards: RFC 4422, RFC 4648 section 4 (strict base64), RFC 4954 section 4.
Imports: model.  No I/O.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from mailstack.model.secret import Proof, Verifier

#: RFC 4954 section 4: the longest base64 line, in octets, that has to be taken.
MAX_LINE_OCTETS: Final = 12_288


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
        password: as given; or what stands for it where it was not told.
        acting_for: authorisation identity when it differs from `login`; "" else.
    """

    login: str
    password: str | Proof = field(repr=False)
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


@dataclass(frozen=True, slots=True)
class Offer:
    """What a connection may log in with, beside passwords.

    Attributes:
        verifier: looks up what a login's passwords are checked with, also for logins that
            do not exist; None: SCRAM is not offered.
        nonce: gives 18 random octets.
        bindings: names and data of this connection's channel bindings; none without TLS.
    """

    verifier: Callable[[str], Verifier] | None = None
    nonce: Callable[[], bytes] = bytes
    bindings: tuple[tuple[str, bytes], ...] = ()


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
