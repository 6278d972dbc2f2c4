"""What an account may send and how much of it is used up: frozen values.

Windows slide in steps of a minute; a minute counts in full until it has left the window.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

LimitName: TypeAlias = Literal[
    "messages_per_hour",
    "messages_per_day",
    "recipients_per_hour",
    "recipients_per_day",
    "new_recipients_per_hour",
    "new_recipients_per_day",
]

HOUR_MINUTES = 60
DAY_MINUTES = 1_440


@dataclass(frozen=True, slots=True)
class SendingRules:
    """Where an account differs from its plan: None is the plan's, NO_LIMIT is no limit.

    Attributes:
        is_list: it posts for mailing lists: From of what has a List-Id may be anybody.
        recipients: per message, after duplicates are removed.
        new_recipients_per_hour, new_recipients_per_day: to whom it never wrote before.
    """

    is_list: bool = False
    recipients: int | None = None
    message_octets: int | None = None
    messages_per_hour: int | None = None
    messages_per_day: int | None = None
    recipients_per_hour: int | None = None
    recipients_per_day: int | None = None
    new_recipients_per_hour: int | None = None
    new_recipients_per_day: int | None = None


#: Of an account that has none of its own.
PLAN_RULES = SendingRules()


@dataclass(frozen=True, slots=True)
class Caps:
    """The limits in force for an account; None: no limit."""

    messages_per_hour: int | None = None
    messages_per_day: int | None = None
    recipients_per_hour: int | None = None
    recipients_per_day: int | None = None
    new_recipients_per_hour: int | None = None
    new_recipients_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class Used:
    """What was sent in the last hour and the last 24 hours; the names are those of the limits."""

    messages_per_hour: int = 0
    messages_per_day: int = 0
    recipients_per_hour: int = 0
    recipients_per_day: int = 0
    new_recipients_per_hour: int = 0
    new_recipients_per_day: int = 0


@dataclass(frozen=True, slots=True)
class Over:
    """A limit that stands in the way.

    Attributes:
        wanted: what this message would add; 0: not known yet.
        wait_s: until it could go; None: never, it is larger than the limit.
    """

    name: LimitName
    limit: int
    used: int
    wanted: int
    wait_s: float | None


LIMITS: tuple[LimitName, ...] = tuple(field.name for field in fields(Caps))  # type: ignore[misc]  # its own names


def window_minutes(name: LimitName) -> int:
    """How long what was sent counts."""
    return HOUR_MINUTES if name.endswith("_hour") else DAY_MINUTES


def exceeded(caps: Caps, used: Used, *, messages: int, recipients: int, new: int) -> list[LimitName]:
    """The limits that one more message would break."""
    wanted = {"messages": messages, "recipients": recipients, "new_recipients": new}
    found: list[LimitName] = []
    for name in LIMITS:
        cap: int | None = getattr(caps, name)
        more = wanted[name.partition("_per_")[0]]
        if cap is not None and more and getattr(used, name) + more > cap:
            found.append(name)
    return found
