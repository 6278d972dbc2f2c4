"""When to try again, and when to give up.

A recipient's age is the sum of the waits between attempts, each capped: a clock that
jumps, or a machine that was off, never makes mail old before we have tried (F28, Q23).

Standards: RFC 5321 section 4.5.4.1.
Imports: model.  No I/O.
"""

from __future__ import annotations

from mailstack.delivery.entry import Kind
from mailstack.delivery.options import QueueOptions

#: Sums of waits are compared with this tolerance.
_ROUNDING_S = 0.5
#: Kinds that we composed ourselves: nobody waits five days for them.
_COMPOSED: tuple[Kind, ...] = ("dsn", "vacation")


def give_up_after_s(kind: Kind, options: QueueOptions) -> float:
    """How long a message of this kind is tried, in seconds."""
    return options.bounce_give_up_after_s if kind in _COMPOSED else options.give_up_after_s


def next_wait_s(tries: int, *, waited_s: float, kind: Kind, chance: float, options: QueueOptions) -> float:
    """The wait between attempt `tries` and the next, in seconds.

    It doubles from `first_wait_s` up to `max_wait_s`, longer or shorter by the jitter; the
    last one ends exactly at the give-up time.

    Args:
        tries: attempts made, at least 1.
        waited_s: waits so far.
        chance: 0 to 1, from a random source.

    Returns:
        Seconds, above 0; meaningless when `is_over` says so.

    Raises:
        ValueError: `tries` below 1.

    Source: RFC 5321 section 4.5.4.1.
    """
    if tries < 1:
        raise ValueError("an attempt has been made before there is a next")
    doubled = options.first_wait_s * 2.0 ** min(tries - 1, 40)
    wait_s = min(doubled, options.max_wait_s) * (1 + options.jitter_percent / 100 * (2 * chance - 1))
    left_s = give_up_after_s(kind, options) - waited_s
    return min(wait_s, left_s) if left_s > _ROUNDING_S else wait_s


def waited_more_s(last_at: float, now: float, options: QueueOptions) -> float:
    """What the time between two attempts adds to the age, in seconds; never negative.

    No planned wait and no attempt takes longer than the cap: more means that the clock was
    set forward or that nobody was there to try.
    """
    cap_s = options.max_wait_s * (1 + options.jitter_percent / 100) + options.lease_s
    return min(max(0.0, now - last_at), cap_s)


def is_over(waited_s: float, kind: Kind, options: QueueOptions) -> bool:
    """True when an attempt made now is the last one."""
    return waited_s >= give_up_after_s(kind, options) - _ROUNDING_S


def is_late(waited_s: float, options: QueueOptions) -> bool:
    """True when a local sender should be told that the message is still here."""
    return waited_s >= options.delay_notice_after_s


def furthest_s(options: QueueOptions) -> float:
    """No next attempt lies further ahead, in seconds; one that does was made by another clock."""
    return options.max_wait_s * (1 + options.jitter_percent / 100) + 1.0
