"""Text made comparable: small letters without accents, words with one blank around each.

No I/O.
"""

from __future__ import annotations

import re
import unicodedata

from mailstack.filters.symbols import without_symbols

_ACCENTS = re.compile("[\u0300-\u036f]+")
_WORD = re.compile(r"[^\W_]+")
#: Small letters and figures stay; everything else of ASCII becomes a blank.
_ASCII = {n: chr(n).lower() if chr(n).isalnum() else " " for n in range(128)}
#: Letters that are not an accented one of another.
_LETTERS = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "þ": "th"})
_CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")


def words(text: str) -> list[str]:
    """The words of a text, folded, in order, with repeats."""
    text = without_symbols(text)
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text.casefold())
        text = _ACCENTS.sub("", text).translate(_LETTERS)
        if not text.isascii():
            return _WORD.findall(text)
    return text.translate(_ASCII).split()


def phrase(text: str) -> str:
    """The same as one string with a blank around each word."""
    return f" {' '.join(words(text))} "


def has_cjk(text: str) -> bool:
    """It holds characters of scripts without blanks between words."""
    return not text.isascii() and _CJK.search(text) is not None


def packed(text: str) -> str:
    """Small letters without any blanks, for scripts that have none."""
    return "".join(text.casefold().split())
