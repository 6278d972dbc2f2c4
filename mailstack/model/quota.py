"""What a mailbox may hold, and what it holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What an account may hold; None: no limit of its own."""

    octets: int | None = None
    messages: int | None = None
    folders: int | None = None


@dataclass(frozen=True, slots=True)
class QuotaState:
    """What an account holds and may hold (RFC 9208: STORAGE and MESSAGE).

    Attributes:
        used_octets, used_messages: outside Spam and Trash, which have a bound of their own.
        limit_octets, limit_messages: None: no limit.
    """

    used_octets: int
    limit_octets: int | None
    used_messages: int
    limit_messages: int | None

    @property
    def is_full(self) -> bool:
        """True when nothing more is delivered."""
        return self.percent >= 100

    @property
    def percent(self) -> int:
        """How full it is, by whichever limit is nearer; 0 without limits, above 100 when crossed."""
        pairs = ((self.used_octets, self.limit_octets), (self.used_messages, self.limit_messages))
        shares = [used * 100 // limit if limit else 100 for used, limit in pairs if limit is not None]
        return max(shares, default=0)
