"""Clients that take something wrong, known by what they say in ID.

RFC 2971 section 3 wants nobody to look at ID for such things.  It is done where a client is
known to fail without it, and only by not offering what it gets wrong: a client that lies
about its name loses an extension, never a safeguard.  Each row is in docs/quirks.md.

Imports: nothing.  No I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Quirk:
    """One kind of client.

    Attributes:
        name: how its `name` in ID begins, in lower case.
        hidden: capabilities it is not offered, in upper case.
        why: what it does wrong.
    """

    name: str
    hidden: frozenset[str]
    why: str


QUIRKS = (
    Quirk(
        "microsoft office 365",
        frozenset(("UIDONLY",)),
        "enables UIDONLY, then fetches by message number and shows no mail"
        " (github.com/modern-email/defects/issues/49)",
    ),
)


def hidden(client_id: Mapping[str, str]) -> frozenset[str]:
    """Capabilities not to offer to the client that has sent these fields of ID."""
    name = client_id.get("name", "").lower()
    if not name:
        return _NOTHING
    return next((quirk.hidden for quirk in QUIRKS if name.startswith(quirk.name)), _NOTHING)
