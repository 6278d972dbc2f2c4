"""A mistake in a script, and where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Position(NamedTuple):
    """A place in a script; both count from 1, columns in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One error or warning.

    Attributes:
        line, column: from 1; columns count characters.
        message: one sentence for the script's owner.
        path: name of the script as given to `compile`; None when it has none.
    """

    line: int
    column: int
    message: str
    path: str | None = None

    def __str__(self) -> str:
        where = f"{self.path}:" if self.path else ""
        return f"{where}{self.line}:{self.column}: {self.message}"


class TooManyErrors(Exception):
    """The compiler has reported as many errors as it may, or one that ends it all; it stops."""


class Diagnostics:
    """Collects errors and warnings of one compilation, included scripts and all."""

    def __init__(self, max_errors: int) -> None:
        self.errors: list[Diagnostic] = []
        self.warnings: list[Diagnostic] = []
        self._max_errors = max_errors

    def error(self, pos: tuple[int, int], message: str, path: str | None) -> None:
        """Adds an error.

        Raises:
            TooManyErrors: this was the last one allowed.
        """
        if len(self.errors) < self._max_errors:
            self.errors.append(Diagnostic(pos[0], pos[1], message, path))
        if len(self.errors) >= self._max_errors:
            raise TooManyErrors

    def warning(self, pos: tuple[int, int], message: str, path: str | None) -> None:
        """Adds a warning; those beyond the number of errors allowed are dropped."""
        if len(self.warnings) < self._max_errors:
            self.warnings.append(Diagnostic(pos[0], pos[1], message, path))
