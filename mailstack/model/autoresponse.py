"""A prepared automatic answer: what it says, and when it is given.  Imports nothing.

Times are those of a clock on the owner's wall: who moves to another time zone keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Every day of the week.
EVERY_DAY = 0b1111111
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Autoresponse:
    """What an absent person answers.

    Attributes:
        name: by which its owner knows it.
        text: lines end with a line feed.
        subject: "": the message's own, with "Auto: " before it.
        starts, ends: "2026-12-24" or "2026-12-24T09:00", both included; "": no end on that side.
        weekdays: bits; 1 is Monday, 64 Sunday.
        sender: address of From, with or without a name; "": the address written to.
        excluded: address keys and domains that get no answer.
    """

    name: str
    text: str
    subject: str = ""
    starts: str = ""
    ends: str = ""
    weekdays: int = EVERY_DAY
    sender: str = ""
    excluded: frozenset[str] = frozenset()


def day_names(weekdays: int) -> list[str]:
    """The days whose bits are set, from Monday on."""
    return [name for number, name in enumerate(DAYS) if weekdays >> number & 1]
