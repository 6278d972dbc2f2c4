"""Lists of phrases, found by their first words: many times faster than one large pattern.

A phrase is whole words; "*" behind it also takes what begins so; "~" in front takes it
anywhere, for scripts that put no blanks between words; "a + b" is b soon behind a.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from mailstack.filters.symbols import without_symbols

_WORD = re.compile(r"[^\W_]+|%")
#: For ASCII, where splitting is four times faster than searching.
_ASCII = str.maketrans({chr(n): " % " if chr(n) == "%" else " " for n in range(128) if not chr(n).isalnum()})
_DIVIDE = re.compile(r"[,\n]")
#: Phrases that end in "*" within their first word are looked up by so many letters.
_STEM = 3
#: Characters within which the second part of "a + b" begins.
_APART = 60


class Prepared:
    """A text that phrases are looked for in.

    Attributes:
        text: its words in lower case with one blank around each; "%" counts as a word.
    """

    def __init__(self, text: str) -> None:
        self.is_ascii = text.isascii()
        text = without_symbols(text)
        words = text.lower().translate(_ASCII).split() if text.isascii() else _WORD.findall(text.casefold())
        self.text = f" {' '.join(words)} "
        self.words = frozenset(words)

    @cached_property
    def stems(self) -> frozenset[str]:
        """How its words begin."""
        return frozenset([word[:_STEM] for word in self.words])

    def without(self, phrases: Phrases) -> Prepared:
        """The same text, phrases taken out, the longest first."""
        text = self.text
        for phrase in sorted(phrases.all_in(self), key=lambda one: (-len(one), one)):
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
        apart: dict[str, list[tuple[str, str]]] = defaultdict(list)
        anywhere = []
        for written in filter(None, map(str.strip, _DIVIDE.split(text))):
            if written.startswith("~"):
                anywhere.append(written[1:].casefold())
                continue
            phrase, _, behind = written.partition(" + ")
            first, found = _compile(phrase)
            if behind:
                apart[first].append((found, _compile(behind)[1]))
            elif " " not in found[1:] and len(first) >= _STEM:
                stems[first[:_STEM]].append(found)
            else:
                firsts[first].append(found)
        self._firsts = {first: tuple(found) for first, found in firsts.items()}
        self._stems = {stem: tuple(found) for stem, found in stems.items()}
        self._apart = {first: tuple(pairs) for first, pairs in apart.items()}
        self._anywhere = tuple(anywhere)

    def find(self, prepared: Prepared) -> bool:
        """True when one of them stands in a prepared text."""
        return next(iter(self.all_in(prepared)), None) is not None or self._find_apart(prepared)

    def _find_apart(self, prepared: Prepared) -> bool:
        text = prepared.text
        for first in self._apart.keys() & prepared.words:
            for front, behind in self._apart[first]:
                at = text.find(front)
                while at >= 0:
                    end = at + len(front)
                    if text.find(behind, end - 1, end + _APART + len(behind)) >= 0:
                        return True
                    at = text.find(front, end - 1)
        return False

    def all_in(self, prepared: Prepared) -> Iterable[str]:
        """Those without "+" that stand in a prepared text, as they stand there: blanks around whole words."""
        text = prepared.text
        for first in self._firsts.keys() & prepared.words:
            yield from (phrase for phrase in self._firsts[first] if phrase in text)
        for stem in self._stems.keys() & prepared.stems:
            yield from (phrase for phrase in self._stems[stem] if phrase in text)
        if not prepared.is_ascii:
            yield from (phrase for phrase in self._anywhere if phrase in text)


def _compile(phrase: str) -> tuple[str, str]:
    """The first word of a phrase, and what is looked for; it ends in a blank unless it is open.

    Raises:
        ValueError: an open phrase of one word is too short to be looked up.
    """
    prepared = prepare(phrase.rstrip("*")).text
    first = prepared.split(maxsplit=1)[0]
    if not phrase.endswith("*"):
        return first, prepared
    if len(first) < _STEM and prepared == f" {first} ":
        raise ValueError(f"{phrase!r} is too short")
    return first, prepared[:-1]
