"""What the table knows of a command.

Imports: model.  No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeAlias, cast

from mailstack.managesieve.errors import Bad, Refused
from mailstack.managesieve.framing import Dropped, Token
from mailstack.model.asking import Steps

if TYPE_CHECKING:
    from mailstack.managesieve.session import Session


class State(Enum):
    """RFC 5804 section 2."""

    STRANGER = auto()
    USER = auto()


class Args:
    """The arguments of one command, of the kinds its entry wants."""

    def __init__(self, values: Sequence[Token]) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def string(self, at: int) -> bytes:
        """The octets of a string."""
        return cast("bytes", self._values[at])

    def number(self, at: int) -> int:
        """A number."""
        return cast("int", self._values[at])


#: Gives the whole response.  Raises Bad, Refused, ScriptRefused, TemporaryFailure, HangUp.
Run: TypeAlias = "Callable[[Session, Args], Steps[bytes]]"


def at_once(answer: Callable[[Session, Args], bytes]) -> Run:
    """A command that asks nothing, as one that could."""

    def run(session: Session, args: Args) -> Steps[bytes]:
        yield from ()
        return answer(session, args)

    return run


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the table.

    Attributes:
        states: where it is allowed.
        takes: kinds of its arguments, `bytes` for a string and `int` for a number.
        optional: how many of the last may be missing.
        too_big: response code for a string that is too long.
    """

    run: Run
    states: frozenset[State]
    takes: tuple[type[bytes] | type[int], ...] = ()
    optional: int = 0
    too_big: str = ""

    def check(self, values: Sequence[Token]) -> Args:
        """The arguments.

        Raises:
            Bad: too many, too few, or of other kinds.
            Refused: a string is too long.
        """
        if not len(self.takes) - self.optional <= len(values) <= len(self.takes):
            raise Bad(self._usage())
        for value, kind in zip(values, self.takes, strict=False):
            if isinstance(value, Dropped) and kind is bytes:
                raise Refused(f"The string has {value.octets} octets, which is too long", code=self.too_big)
            if not isinstance(value, kind):
                raise Bad(self._usage())
        return Args(values)

    def _usage(self) -> str:
        if not self.takes:
            return "This command has no arguments"
        words = ["a number" if kind is int else "a string" for kind in self.takes]
        last = f" (the last {self.optional} may be missing)" if self.optional else ""
        return f"The arguments of this command: {', '.join(words)}{last}"
