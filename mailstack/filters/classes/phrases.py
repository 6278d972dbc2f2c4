"""Lists of phrases, found by plain substring search: many times faster than one large pattern.

A phrase is whole words; "*" behind it also takes what begins so; "~" in front takes it
anywhere, for scripts that put no blanks between words.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+|%|[#$€£](?=\d)")


def prepare(text: str) -> str:
    """Words in lower case with one blank around each; "%" counts as a word."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "


class Phrases:
    """A fixed list.  `text` of the constructor holds phrases divided by commas and line ends."""

    def __init__(self, text: str) -> None:
        found = []
        for phrase in re.split(r"[,\n]", text):
            phrase = phrase.strip()
            if phrase.startswith("~"):
                found.append(phrase[1:].casefold())
            elif phrase:
                found.append(prepare(phrase.rstrip("*"))[: -1 if phrase.endswith("*") else None])
        self._phrases = tuple(found)

    def find(self, prepared: str) -> bool:
        """True when one of them stands in a prepared text."""
        return any(phrase in prepared for phrase in self._phrases)
