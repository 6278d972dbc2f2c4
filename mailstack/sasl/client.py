"""The client's side of a login: what we say to a relay that wants to know us.

SCRAM first where it is offered: the password never leaves, and the relay shows that it
knows it too.  Then PLAIN, then LOGIN, both for TLS only, which the caller sees to.

Standards: RFC 4954, RFC 4616 (PLAIN), RFC 5802, RFC 7677 (SCRAM-SHA-256), RFC 5929 section 4.
Imports: model, scram.  No I/O.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Protocol

from mailstack.sasl.scram import MECHANISM, PLUS, prepare

__all__ = ["Failed", "Login", "Mechanism", "choose"]

#: RFC 7677 section 4 wants 4096 at least; fewer make the password easy to guess.
MIN_ITERATIONS: Final = 4_096
#: Some tenths of a second; more would hold up everything else.
MAX_ITERATIONS: Final = 500_000
MAX_CHALLENGE_OCTETS: Final = 2_048

_FIRST = re.compile(
    rb"r=(?P<nonce>[!-+\--~]+),s=(?P<salt>[A-Za-z0-9+/=]+),i=(?P<count>[1-9][0-9]{0,9})(?:,[^\x00]*)?\Z"
)


class Failed(Exception):
    """The server does not do its part.  `why`: a sentence without its subject."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are at a relay.

    Attributes:
        nonce: printable, without commas, never used twice; SCRAM needs it.
        end_point: what tls-server-end-point binds to; b"" where there is nothing.
    """

    name: str
    password: str = field(repr=False)
    nonce: bytes = b""
    end_point: bytes = b""


class Mechanism(Protocol):
    """One attempt with one mechanism."""

    name: str

    @property
    def is_proven(self) -> bool:
        """The server may say that we are in: it has done all it must before."""
        ...

    def first(self) -> bytes | None:
        """The initial response; None: the server speaks first."""
        ...

    def respond(self, challenge: bytes) -> bytes:
        """Our answer to a challenge, both without base64.

        Raises:
            Failed: it must not be answered.
        """
        ...


class _Plain:
    name = "PLAIN"
    is_proven = True

    def __init__(self, login: Login) -> None:
        self._login = login

    def first(self) -> bytes:
        return f"\0{self._login.name}\0{self._login.password}".encode()

    def respond(self, challenge: bytes) -> bytes:
        raise Failed("asks for more than a name and a password")


class _Login:
    """Two questions; what they say differs from server to server, their order does not."""

    name = "LOGIN"
    is_proven = True

    def __init__(self, login: Login) -> None:
        self._answers = [login.name.encode(), login.password.encode()]

    def first(self) -> None:
        return None

    def respond(self, challenge: bytes) -> bytes:
        if not self._answers:
            raise Failed("asks for more than a name and a password")
        return self._answers.pop(0)


class _Scram:
    def __init__(self, login: Login, *, is_plus: bool) -> None:
        self.name = PLUS if is_plus else MECHANISM
        self.is_proven = False
        self._password = prepare(login.password).encode()
        # "y" would say that the server cannot bind; that it offered no PLUS may be somebody else's word.
        flag = b"p=tls-server-end-point" if is_plus else b"y" if login.end_point else b"n"
        self._channel = flag + b",," + (login.end_point if is_plus else b"")
        self._flag = flag
        name = prepare(login.name).encode().replace(b"=", b"=3D").replace(b",", b"=2C")
        self._nonce = login.nonce
        self._bare = b"n=" + name + b",r=" + self._nonce
        self._expected = b""

    def first(self) -> bytes:
        return self._flag + b",," + self._bare

    def respond(self, challenge: bytes) -> bytes:
        if self._expected:
            return self._take_proof(challenge)
        found = _FIRST.match(challenge)
        if found is None:
            raise Failed("speaks no SCRAM")
        nonce, count = found["nonce"], int(found["count"])
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise Failed("changed our nonce")
        if not MIN_ITERATIONS <= count <= MAX_ITERATIONS:
            raise Failed(f"wants {count} rounds of hashing; {MIN_ITERATIONS} to {MAX_ITERATIONS} are sound")
        salted = hashlib.pbkdf2_hmac("sha256", self._password, _octets(found["salt"]), count)
        unproven = b"c=" + _base64(self._channel) + b",r=" + nonce
        messages = b",".join((self._bare, challenge, unproven))
        key = _hmac(salted, b"Client Key")
        signature = _hmac(hashlib.sha256(key).digest(), messages)
        self._expected = b"v=" + _base64(_hmac(_hmac(salted, b"Server Key"), messages))
        proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        return unproven + b",p=" + _base64(proof)

    def _take_proof(self, challenge: bytes) -> bytes:
        if self.is_proven:
            raise Failed("asks for more than a proof")
        if challenge.startswith(b"e="):
            raise Failed(f"refuses our proof: {challenge[2:80].decode('ascii', 'replace')}")
        # Further values may follow the signature (RFC 5802 section 7).
        if not hmac.compare_digest(challenge.partition(b",")[0], self._expected):
            raise Failed("does not know our password itself")
        self.is_proven = True
        return b""


def choose(login: Login, offered: Collection[str]) -> list[Mechanism]:
    """What to try, the best first: SCRAM, and one that shows the password.

    The second is for servers that offer SCRAM and have no keys of this account.

    Args:
        offered: names in upper case.
    """
    found: list[Mechanism] = []
    is_plus = PLUS in offered and bool(login.end_point)
    if login.nonce and (is_plus or MECHANISM in offered):
        found.append(_Scram(login, is_plus=is_plus))
    if "PLAIN" in offered:
        found.append(_Plain(login))
    elif "LOGIN" in offered:
        found.append(_Login(login))
    return found


def decode(text: bytes) -> bytes:
    """A challenge out of its base64.

    Raises:
        Failed: it is too long, or none.
    """
    if len(text) > MAX_CHALLENGE_OCTETS:
        raise Failed("sent a challenge that is too long")
    return _octets(text)


def _octets(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise Failed("sent what is not base64") from None


def _base64(octets: bytes) -> bytes:
    return binascii.b2a_base64(octets, newline=False)


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")
