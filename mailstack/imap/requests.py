"""What an IMAP session asks of its shell, beyond what every session asks.

Imports: model.  No I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from mailstack.model.asking import (
    Announce,
    Flush,
    Login,
    LoginRefused,
    OnStore,
    Read,
    Request,
    StartTls,
    Steps,
    Unauthenticate,
    Woken,
    ask,
    quick,
    slow,
)

__all__ = [
    "Announce",
    "Changed",
    "Compress",
    "Discard",
    "Flush",
    "Identified",
    "Login",
    "LoginRefused",
    "OnStore",
    "Read",
    "Request",
    "Spill",
    "Spool",
    "StartTls",
    "Steps",
    "Unauthenticate",
    "Wait",
    "Woken",
    "ask",
    "quick",
    "slow",
]


@dataclass(frozen=True, slots=True)
class Wait(Request[Woken]):
    """IDLE: wait for octets from the client, a change of the mailbox, or `until`.

    Attributes:
        until: on the session's monotonic clock, seconds.
        changes: False: a change does not end the wait (it is remembered for the next).
    """

    until: float
    changes: bool = True


#: As many names `Changed` gives at most: then there may be more.
MAX_CHANGED = 2_000


@dataclass(frozen=True, slots=True)
class Changed(Request[frozenset[str]]):
    """Folders of the account that others changed since the last time this was asked.

    By name; "" stands for the list of folders itself: one was made, removed, renamed,
    or another program may have done so.
    """


@dataclass(frozen=True, slots=True)
class Compress(Request[None]):
    """The reply is held as output: send it as it is; from then on everything is DEFLATE (RFC 4978).

    Octets the session was given before are taken to be compressed: none may be held.
    """


@dataclass(frozen=True, slots=True)
class Identified(Request[None]):
    """The client has said what it is; `text`: short, printable ASCII, for the log."""

    text: str


class Spool(Protocol):
    """A temporary file that holds a message on its way in."""

    @property
    def path(self) -> str:
        """Where it lies, on the mail file system."""
        ...


@dataclass(frozen=True, slots=True)
class Spill(Request[Spool]):
    """Append octets to a temporary file; None: to a new one."""

    spool: Spool | None
    data: bytes


@dataclass(frozen=True, slots=True)
class Discard(Request[None]):
    """Remove these temporary files."""

    spools: tuple[Spool, ...]
