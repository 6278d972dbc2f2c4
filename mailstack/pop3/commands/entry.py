"""What the table knows of a command.

Imports: model.  No I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeAlias

from mailstack.model.asking import Steps

if TYPE_CHECKING:
    from mailstack.pop3.session import Session


class State(Enum):
    """RFC 1939 section 3; nothing is said in the UPDATE state."""

    AUTHORIZATION = auto()
    TRANSACTION = auto()


#: Gets what stands behind the command and its space; gives the text behind +OK, or None:
#: it has answered by itself.  Raises Bad, Refused, MailboxError, TemporaryFailure, HangUp.
Run: TypeAlias = "Callable[[Session, bytes], Steps[str | None]]"


def at_once(answer: Callable[[Session, bytes], str | None]) -> Run:
    """A command that asks nothing, as one that could."""

    def run(session: Session, argument: bytes) -> Steps[str | None]:
        yield from ()
        return answer(session, argument)

    return run


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the table.

    Attributes:
        states: where it is allowed.
        takes_argument: False: an argument is an error.
    """

    run: Run
    states: frozenset[State]
    takes_argument: bool = False
