"""What a ManageSieve session asks of its shell, beyond what every session asks.

Imports: model.  No I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from mailstack.model.asking import Request
from mailstack.model.scripts import Checked, ScriptStore

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class OnScripts(Request[T_co]):
    """Work on the account's scripts; may end in ScriptRefused."""

    work: Callable[[ScriptStore], T_co]


@dataclass(frozen=True, slots=True)
class Check(Request[Checked | None]):
    """Whether a script may be stored; None: the account has had too many checked (G7)."""

    source: bytes
