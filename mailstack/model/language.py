"""The languages in which mailstack writes to people, and which of them somebody reads.

Standards: RFC 5646 (tags).
"""

from __future__ import annotations

from typing import Literal, get_args

Language = Literal["en", "fr", "de", "it", "es"]

LANGUAGES: tuple[Language, ...] = get_args(Language)
#: Of a field with wishes only this much is looked at.
_MAX_FIELD = 200


def known(text: str) -> Language | None:
    """The language of a tag such as "de" or "de-CH"; None when we do not write it."""
    primary = text.strip().lower().replace("_", "-").partition("-")[0]
    return next((language for language in LANGUAGES if language == primary), None)


def preferred(field: str) -> Language | None:
    """The first of ours in a field such as "fr-CH, de;q=0.8"; None when there is none.

    Mail programs write the best first; their weights are not looked at but for a zero.
    """
    for part in field[:_MAX_FIELD].split(","):
        tag, _, weight = part.partition(";")
        found = known(tag)
        if found is not None and weight.replace(" ", "").lower() not in ("q=0", "q=0.0"):
            return found
    return None
