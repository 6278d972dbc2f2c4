"""What a domain has shown of TLS, and whether it falls below that.

A domain holds a level when every session for so many days, and so many of them, was at least
that good.  A session below it is a fall: it is told, never punished, because only MTA-STS and
DANE are a promise; and the days are counted anew.

Imports: nothing.  Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DAY_S = 86_400.0

#: In clear; TLS below 1.2; TLS 1.2 and above with whatever certificate; with a good one.
CLEAR, OLD, MODERN, VERIFIED = range(4)
LEVELS = (OLD, MODERN, VERIFIED)
WORDS = {
    CLEAR: "no TLS",
    OLD: "TLS older than 1.2",
    MODERN: "TLS 1.2 or newer, with a certificate that proves nothing",
    VERIFIED: "TLS 1.2 or newer, with a good certificate",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Since when every session was at least of a level, and how many there were."""

    since: float
    last_at: float
    sessions: int


@dataclass(frozen=True, slots=True)
class Hold:
    """How long, and how often, a level is shown before it is held."""

    days: int
    sessions: int


def held(standings: Mapping[int, Standing], hold: Hold, *, now: float) -> int:
    """The best level that is held; CLEAR when none is."""
    if not hold.days:
        return CLEAR
    good = [
        level
        for level, standing in standings.items()
        if now - standing.since >= hold.days * DAY_S and standing.sessions >= hold.sessions
    ]
    return max(good, default=CLEAR)


def after(standings: Mapping[int, Standing], level: int, *, now: float) -> dict[int, Standing]:
    """The standings after a session of a level."""
    found = {}
    for one in LEVELS:
        if one > level:
            continue
        old = standings.get(one)
        # A clock that was ahead must not leave a domain unwatched for years.
        since = min(old.since, now) if old is not None else now
        found[one] = Standing(since, now, old.sessions + 1 if old is not None else 1)
    return found


def level_of(tls: str, *, is_verified: bool) -> int:
    """The level of a session.

    Args:
        tls: version and cipher, such as "TLSv1.3 TLS_AES_256_GCM_SHA384"; "" in clear.
        is_verified: its certificate is good and that of the host we meant.
    """
    if not tls:
        return CLEAR
    if not tls.startswith(("TLSv1.2", "TLSv1.3")):
        return OLD
    return VERIFIED if is_verified else MODERN
