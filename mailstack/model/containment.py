"""An account that is stopped because its mail looks like a thief's: frozen values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Contained:
    """It sends nothing more until somebody releases it.

    Attributes:
        since: Unix seconds.
        why: the signs, in words.
        is_held: what it has in the queue is held.
        is_told: owner and operator know.
    """

    account_id: int
    since: float
    score: float
    why: str
    is_held: bool = False
    is_told: bool = False

    @property
    def is_settled(self) -> bool:
        """True when nothing is left to be done about it."""
        return self.is_held and self.is_told
