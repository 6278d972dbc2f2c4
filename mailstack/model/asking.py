"""How a session asks its shell, whatever the protocol.

A session is one generator.  It never blocks and does no I/O: it yields a request, the
shell carries it out and sends the answer back in (or throws the error that happened
in).  While a question is open no further command is read, so pipelining cannot run
ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeAlias, TypeVar, cast

from mailstack.model.directory import Account
from mailstack.model.mailbox import AccountStore
from mailstack.model.secret import Proof

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class HangUp(Exception):
    """The session cannot go on: it says why, as its protocol does, and closes.

    Attributes:
        code: response code without brackets; "" for none.
    """

    def __init__(self, text: str, *, code: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class Request(Generic[T_co]):
    """A question whose answer has the type `T_co`."""

    __slots__ = ()


#: The type of a generator function that asks on its way to a `T`.
Steps: TypeAlias = Generator[Request[object], object, T]


def ask(request: Request[T]) -> Steps[T]:
    """Asks the shell: `value = yield from ask(Request(...))`."""
    return cast("T", (yield request))


# Read and OnStore are not frozen: they are made for every command, which takes half the time so.
@dataclass(slots=True)
class Read(Request[bytes | None]):
    """More octets from the client; b"" when it is gone, None when `until` has passed.

    Attributes:
        until: on the session's monotonic clock, seconds.
        most: octets at a time; few for commands, so that a long batch is worked on in turns.
    """

    until: float
    most: int


@dataclass(frozen=True, slots=True)
class Flush(Request[None]):
    """Send what is held; answered when the client has taken enough of it."""


#: What ends a wait.
Woken: TypeAlias = Literal["input", "changed", "time"]


@dataclass(frozen=True, slots=True)
class StartTls(Request[None]):
    """The reply is held as output: send it in clear, then shake hands."""


@dataclass(frozen=True, slots=True)
class LoginRefused:
    """Why a login failed.

    Attributes:
        code: RFC 5530 response code, such as AUTHENTICATIONFAILED, UNAVAILABLE, LIMIT.
        text: for the person; the same for an unknown user and a wrong password.
        hang_up: close the connection after saying so.
    """

    code: str
    text: str
    hang_up: bool = False


@dataclass(frozen=True, slots=True)
class Login(Request[Account | LoginRefused]):
    """Check a password, or what a mechanism found out, and open the account's mailbox.

    Attributes:
        acting_for: another user it is to act for; nobody may, but whoever asks gave a password
            that counts.
    """

    login: str
    password: str | Proof
    mechanism: str
    acting_for: str = ""


@dataclass(frozen=True, slots=True)
class Unauthenticate(Request[None]):
    """Let go of the account; where there is compression, send what is held first and end it (RFC 8437)."""


@dataclass(slots=True)
class OnStore(Request[T_co]):
    """Work on the account's mailbox.

    Attributes:
        work: what to do.
        slow: it may write, sync or read much: not on the loop's thread.
    """

    work: Callable[[AccountStore], T_co]
    slow: bool


@dataclass(frozen=True, slots=True)
class Announce(Request[None]):
    """This folder has changed: wake the other sessions of the account."""

    folder: str


class Conversation(Protocol):
    """A pure session, as its shell sees it."""

    def start(self) -> Request[object] | None:
        """Greets and asks the first question; None: over."""
        ...

    def send(self, answer: object, /) -> Request[object] | None:
        """Answers the last question; gives the next, or None: send the output and close."""
        ...

    def throw(self, error: BaseException, /) -> Request[object] | None:
        """The last question ended in this error; as `send`."""
        ...

    def close(self) -> None:
        """The connection is gone: let go of everything."""
        ...

    def take_output(self) -> bytes:
        """Octets for the client."""
        ...


def quick(work: Callable[[AccountStore], T]) -> Steps[T]:
    """A look that takes microseconds and never syncs."""
    return ask(OnStore(work, slow=False))


def slow(work: Callable[[AccountStore], T]) -> Steps[T]:
    """Whatever else is done to the mailbox."""
    return ask(OnStore(work, slow=True))
