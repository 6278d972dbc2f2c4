"""What a message wants: several kinds of words together, never a single one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mailstack.filters.signs.knowledge import Intent
from mailstack.filters.signs.look import Found, Look

#: How many of the kinds that make an intent plainer count.
MAX_MORE = 4


def find(look: Look) -> Iterator[tuple[Intent, Found]]:
    """The wishes, each with how plain it is."""
    kinds = look.kinds
    for intent in look.knowledge.begun_by(kinds):
        if all(_has(kinds, need) for need in intent.needs):
            more = sum(kinds.get(kind, 0) >= count for kind, count in intent.more)
            share = (2 + min(more, MAX_MORE)) / (2 + MAX_MORE)
            yield intent, Found(f"wants_{intent.name}", "", share)


def _has(kinds: Mapping[str, int], need: tuple[tuple[str, int], ...]) -> bool:
    return any(kinds.get(kind, 0) >= count for kind, count in need)
