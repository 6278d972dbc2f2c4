"""Symbols between words become blanks, so that most texts are ASCII, where splitting is cheap.

One pound sign or curly quote would else make a message's words three times as dear.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

#: More characters, or different ones, beyond ASCII than this are a language, not symbols.
MOST_OCTETS = 1_200
MOST_KINDS = 16
_BEYOND = re.compile("[^\x00-\x7f]")


def without_symbols(text: str, *, keep: str = "") -> str:
    """The text with a blank for every symbol beyond ASCII that is no part of a word.

    A text in another script than the Latin comes back as it is.

    Args:
        keep: symbols that stay.
    """
    if text.isascii():
        return text
    if len(text.encode("utf-8", "surrogatepass")) - len(text) > MOST_OCTETS:
        return text
    kinds = set(_BEYOND.findall(text))
    if len(kinds) > MOST_KINDS:
        return text
    for character in kinds:
        if character not in keep and _is_symbol(character):
            text = text.replace(character, " ")
    return text


@lru_cache(2_048)
def _is_symbol(character: str) -> bool:
    """Punctuation, a sign or a blank, also when it is taken apart: not "½" or "™"."""
    if unicodedata.category(character)[0] not in "PSZ":
        return False
    plain = unicodedata.normalize("NFKD", character.casefold())
    # An apostrophe may stand within a word.
    return "'" not in plain and not any(one.isalnum() for one in plain)
