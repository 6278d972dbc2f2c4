"""Lists of phrases, found by their first words: many times faster than one large pattern.

A phrase is whole words; "*" behind it also takes what begins so; "~" in front takes it
anywhere, for scripts that put no blanks between words.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

_WORD = re.compile(r"[^\W_]+|%")
#: For ASCII, where splitting is four times faster than searching.
_ASCII = str.maketrans({chr(n): " % " if chr(n) == "%" else " " for n in range(128) if not chr(n).isalnum()})
_DIVIDE = re.compile(r"[,\n]")
#: Phrases that end in "*" within their first word are looked up by so many letters.
_STEM = 3


class Prepared:
    """A text that phrases are looked for in.

    Attributes:
        text: its words in lower case with one blank around each; "%" counts as a word.
    """

    def __init__(self, text: str) -> None:
        self.is_ascii = text.isascii()
        words = text.lower().translate(_ASCII).split() if self.is_ascii else _WORD.findall(text.casefold())
        self.text = f" {' '.join(words)} "
        self.words = frozenset(words)

    @cached_property
    def stems(self) -> frozenset[str]:
        """How its words begin."""
        return frozenset([word[:_STEM] for word in self.words])

    def without(self, phrases: Phrases) -> Prepared:
        """The same text, phrases taken out."""
        text = self.text
        for phrase in phrases.all_in(self):
            text = text.replace(phrase, " ")
        return self if text == self.text else Prepared(text)


def prepare(text: str) -> Prepared:
    """Makes a text ready for `Phrases.find`."""
    return Prepared(text)


class Phrases:
    """A fixed list."""

    def __init__(self, text: str) -> None:
        """`text`: phrases divided by commas and line ends."""
        firsts, stems = defaultdict(list), defaultdict(list)
        anywhere = []
        for written in _DIVIDE.split(text):
            phrase = written.strip()
            if phrase.startswith("~"):
                anywhere.append(phrase[1:].casefold())
                continue
            prepared = prepare(phrase.rstrip("*"))
            if not prepared.words:
                continue
            is_open = phrase.endswith("*")
            first = prepared.text.split(maxsplit=1)[0]
            if is_open and len(prepared.words) == 1:
                stems[first[:_STEM]].append(prepared.text[:-1])
            else:
                firsts[first].append(prepared.text[:-1] if is_open else prepared.text)
        self._firsts = {first: tuple(found) for first, found in firsts.items()}
        self._stems = {stem: tuple(found) for stem, found in stems.items()}
        self._short = tuple(f for stem, found in stems.items() if len(stem) < _STEM for f in found)
        self._anywhere = tuple(anywhere)

    def find(self, prepared: Prepared) -> bool:
        """True when one of them stands in a prepared text."""
        return next(iter(self.all_in(prepared)), None) is not None

    def all_in(self, prepared: Prepared) -> Iterable[str]:
        """Those that stand in a prepared text, as they stand there: blanks around whole words."""
        text = prepared.text
        for first in self._firsts.keys() & prepared.words:
            yield from (phrase for phrase in self._firsts[first] if phrase in text)
        for stem in self._stems.keys() & prepared.stems:
            yield from (phrase for phrase in self._stems[stem] if phrase in text)
        yield from (phrase for phrase in self._short if phrase in text)
        if not prepared.is_ascii:
            yield from (phrase for phrase in self._anywhere if phrase in text)
