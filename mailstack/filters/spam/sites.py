"""The site of a host name: what one owner registered, nearly enough for comparing."""

from __future__ import annotations

_SECOND = frozenset({"ac", "co", "com", "edu", "gob", "gov", "gouv", "ne", "net", "or", "org"})


def site(host: str) -> str:
    """The last two labels; three below such as co.uk."""
    labels = host.rstrip(".").split(".")
    if len(labels) >= 3 and len(labels[-1]) == 2 and labels[-2] in _SECOND:
        return ".".join(labels[-3:])
    return ".".join(labels[-2:])
