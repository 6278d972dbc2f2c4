"""Extensions "comparator-i;ascii-numeric" and "comparator-i;unicode-casemap".

Standards: RFC 4790 section 9.1, RFC 5051.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from mailstack.sieve.definition import Extension
from mailstack.sieve.match import FILLER, Comparator

_DIGITS = re.compile(r"[0-9]+")
#: What does not begin with a digit: equal among themselves, above all numbers.
_INFINITY = "infinity"
#: Characters whose folds are remembered.
_MAX_CHARACTERS = 65_536


def _number(text: str) -> str:
    found = _DIGITS.match(text)
    return found[0].lstrip("0") or "0" if found is not None else _INFINITY


def _number_order(text: str) -> tuple[int, int, str]:
    # By length, then digit by digit: numbers may have a million digits.
    number = _number(text)
    return (1, 0, "") if number == _INFINITY else (0, len(number), number)


def _character(character: str) -> str:
    """One character in title case, compatibility forms as their plain ones."""
    title = character.title()
    # RFC 5051 section 2: the simple mapping, which is one character long.
    return unicodedata.normalize("NFKC", title if len(title) == 1 else character)


class _Table(dict[int, str]):
    """A table for `str.translate` that is filled as characters come, up to a size."""

    def __init__(self, change: Callable[[str], str]) -> None:
        super().__init__()
        self._change = change

    def __missing__(self, code: int) -> str:
        changed = self._change(chr(code))
        if len(self) < _MAX_CHARACTERS:
            self[code] = changed
        return changed


_FOLDED = _Table(_character)
_FILLED = _Table(lambda character: character + FILLER * (len(_character(character)) - 1))


def _fold(text: str) -> str:
    if text.isascii():
        return text.upper()
    return unicodedata.normalize("NFC", text).translate(_FOLDED)


def _spread(text: str) -> tuple[str, str]:
    if text.isascii():
        return text.upper(), text
    text = unicodedata.normalize("NFC", text)
    return text.translate(_FOLDED), text.translate(_FILLED)


_NUMERIC = Comparator("i;ascii-numeric", _number, substring=False, sort_key=_number_order)
_UNICODE = Comparator("i;unicode-casemap", _fold, spread=_spread)

ASCII_NUMERIC = Extension("comparator-i;ascii-numeric", comparators=[_NUMERIC])
UNICODE_CASEMAP = Extension("comparator-i;unicode-casemap", comparators=[_UNICODE])
