"""What the table knows of a command, and how a command answers.

Imports: cursor and requests.  No I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeAlias

from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps

if TYPE_CHECKING:
    from mailstack.imap.session import Session


class State(Enum):
    """RFC 3501 section 3; what comes after logout needs no name."""

    STRANGER = auto()
    USER = auto()
    SELECTED = auto()


@dataclass(frozen=True, slots=True)
class Ok:
    """The tagged OK of a command.

    Attributes:
        text: for people.
        code: response code without brackets; "" for none.
    """

    text: str
    code: str = ""


Run: TypeAlias = "Callable[[Session, Cursor], Steps[Ok | None]]"


def at_once(answer: Callable[[Session, Cursor], Ok]) -> Run:
    """A command that asks nothing, as one that could."""

    def run(session: Session, cursor: Cursor) -> Steps[Ok | None]:
        yield from ()
        return answer(session, cursor)

    return run


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the table.

    Attributes:
        run: carries the command out; None: it has answered by itself.  Raises Bad, No,
            MailboxError, TemporaryFailure, HangUp.
        states: where it is allowed.
        syncs: the client is told of changes before the tagged OK.
        expunge: EXPUNGE may be among them (RFC 3501 section 7.4.1).
        relists: folders or subscriptions come, go or change their names.
    """

    run: Run
    states: frozenset[State]
    syncs: bool = True
    expunge: bool = True
    relists: bool = False
