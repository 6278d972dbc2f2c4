"""What proves that somebody may log in, beside a password: values of SCRAM.

Standards: RFC 5802 section 3 (StoredKey, ServerKey).
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Keys:
    """Of one password: tells it apart from others without giving it away."""

    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Verifier:
    """What an account's passwords are checked with.

    Attributes:
        keys: of every password of the account, all made with this salt and count; none
            for accounts that do not exist or have no such keys.
        why: why there are none, for the log; "" for accounts that do not exist.
    """

    salt: bytes
    iterations: int
    keys: tuple[Keys, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """The client has shown that it knows a password, or has failed to.

    Attributes:
        stored_key: of the password; b"" when it has failed.
        why: why it failed, for the log.
        mark: what tells this attempt from others.
    """

    stored_key: bytes = field(default=b"", repr=False)
    why: str = ""
    mark: bytes = field(default=b"", repr=False)
