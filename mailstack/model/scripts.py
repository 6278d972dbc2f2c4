"""Sieve scripts of an account, as those see them who manage them.

Source: RFC 5804 sections 1.3 to 1.7.
Imports: errors.  No I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mailstack.model.errors import PermanentFailure

#: Why a change of scripts is refused, in the words of RFC 5804 section 1.3; "" for another reason.
ScriptCode = Literal["", "ACTIVE", "ALREADYEXISTS", "NONEXISTENT", "QUOTA/MAXSCRIPTS", "QUOTA/MAXSIZE"]


class ScriptRefused(PermanentFailure):
    """A change of scripts that is not allowed.

    Attributes:
        code: the reason for programs.
    """

    def __init__(self, why: str, *, code: ScriptCode = "") -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True, slots=True)
class Terms:
    """What scripts of an account may use.

    Attributes:
        extensions: what a script may require.
        max_octets: of one script.
        max_redirects: in one run.
        notify: URI schemes of notification methods; empty: there are no notifications.
    """

    extensions: tuple[str, ...]
    max_octets: int
    max_redirects: int
    notify: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """What is wrong with a source: one sentence each, with its line and column.

    Attributes:
        errors: why it may not be stored; empty: it may.
        warnings: what its writer should look at.
    """

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class ListedScript(Protocol):
    """A line of a script list."""

    @property
    def name(self) -> str: ...

    @property
    def active(self) -> bool: ...


class ScriptStore(Protocol):
    """The scripts of one account.  Blocking; everything may raise TemporaryFailure."""

    def listed(self) -> Sequence[ListedScript]:
        """All of them, by name."""
        ...

    def source(self, name: str) -> bytes | None:
        """One script; None: there is none of this name."""
        ...

    def check_room(self, name: str, octets: int) -> None:
        """Raises ScriptRefused when a script of this name and size could not be stored."""
        ...

    def put(self, name: str, source: bytes) -> None:
        """Stores a script that was checked; replaces the one of this name; or ScriptRefused."""
        ...

    def activate(self, name: str) -> None:
        """Makes it the only active script; "" makes none active; or ScriptRefused."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Gives a script another name; or ScriptRefused."""
        ...

    def remove(self, name: str) -> None:
        """Removes a script that is not active; or ScriptRefused."""
        ...
