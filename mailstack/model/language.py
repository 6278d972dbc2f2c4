"""The languages in which mailstack writes to people, and which of them somebody reads.

Standards: RFC 5646 (tags).
"""

from __future__ import annotations

import re
from typing import Literal, get_args

Language = Literal["en", "fr", "de", "it", "es"]

LANGUAGES: tuple[Language, ...] = get_args(Language)
#: Of a field with wishes only this much is looked at.
_MAX_FIELD = 200
_WEIGHT = re.compile(r"\s*[qQ]\s*=\s*([01](?:\.[0-9]{0,3})?)\s*\Z")


def known(text: str) -> Language | None:
    """The language of a tag such as "de" or "de-CH"; None when we do not write it."""
    primary = text.strip().lower().replace("_", "-").partition("-")[0]
    return next((language for language in LANGUAGES if language == primary), None)


def preferred(field: str) -> Language | None:
    """The best of ours in a field such as "fr-CH, de;q=0.8"; None when there is none.

    Of equal weights the first counts; a weight that cannot be read is 1.
    """
    best: Language | None = None
    most = 0.0
    for part in field[:_MAX_FIELD].split(","):
        tag, _, parameter = part.partition(";")
        weight = _WEIGHT.match(parameter)
        found, value = known(tag), float(weight.group(1)) if weight is not None else 1.0
        if found is not None and value > most:
            best, most = found, value
    return best
