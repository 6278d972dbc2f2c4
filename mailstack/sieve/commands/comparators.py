"""Extensions "comparator-i;ascii-numeric" and "comparator-i;unicode-casemap".

Standards: RFC 4790 section 9.1, RFC 5051.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from mailstack.sieve.definition import Extension
from mailstack.sieve.match import FILLER, Comparator

_DIGITS = re.compile(r"[0-9]+")
#: What does not begin with a digit: equal among themselves, above all numbers.
_INFINITY = "infinity"


def _number(text: str) -> str:
    found = _DIGITS.match(text)
    return found[0].lstrip("0") or "0" if found is not None else _INFINITY


def _number_order(text: str) -> tuple[int, int, str]:
    # By length, then digit by digit: numbers may have a million digits.
    number = _number(text)
    return (1, 0, "") if number == _INFINITY else (0, len(number), number)


@lru_cache(maxsize=4_096)
def _character(character: str) -> str:
    """One character in title case, compatibility forms as their plain ones."""
    title = character.title()
    # RFC 5051 section 2: the simple mapping, which is one character long.
    return unicodedata.normalize("NFKC", title if len(title) == 1 else character)


def _fold(text: str) -> str:
    if text.isascii():
        return text.upper()
    return "".join(map(_character, unicodedata.normalize("NFC", text)))


def _spread(text: str) -> tuple[str, str]:
    text = unicodedata.normalize("NFC", text)
    folded = [_character(character) for character in text]
    filled = (c + FILLER * (len(f) - 1) for c, f in zip(text, folded, strict=True))
    return "".join(folded), "".join(filled)


_NUMERIC = Comparator("i;ascii-numeric", _number, substring=False, sort_key=_number_order)
_UNICODE = Comparator("i;unicode-casemap", _fold, spread=_spread)

ASCII_NUMERIC = Extension("comparator-i;ascii-numeric", comparators=[_NUMERIC])
UNICODE_CASEMAP = Extension("comparator-i;unicode-casemap", comparators=[_UNICODE])
