"""Many phrases looked for at once.

A single word is looked up, a stem compared with the words that begin like it, a phrase of
several words searched for only where its rarest word stands: six thousand of them cost a
tenth of a millisecond.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar

from mailstack.filters.signs import fold

T = TypeVar("T")
#: Letters that stems are filed under; they have at least so many.
KEY = 4
#: Words known to say nothing or something: a few thousand make most of all texts.
REMEMBERED = 16_384
#: Characters; longer words are none (and would be kept).
MAX_WORD = 60


class Text(NamedTuple):
    """A text prepared for searching.

    Attributes:
        words: its folded words, without repeats.
        spaced: all of them, a blank around each.
        packed: for scripts without blanks; "" when there is nothing of them in it.
    """

    words: frozenset[str]
    spaced: str
    packed: str


def prepare(text: str) -> Text:
    """A text to search in."""
    words = fold.words(text)
    if words and max(map(len, words)) > MAX_WORD:
        words = [word for word in words if len(word) <= MAX_WORD]
    packed = fold.packed(text) if fold.has_cjk(text) else ""
    return Text(frozenset(words), f" {' '.join(words)} ", packed)


class Phrases(Generic[T]):
    """Phrases with what each stands for."""

    def __init__(self, phrases: Iterable[tuple[str, T]]) -> None:
        """`phrases`: as in data/phrases.toml.

        Raises:
            ValueError: one is empty or its stem too short.
        """
        self._words: dict[str, list[T]] = {}
        self._stems: dict[str, list[tuple[str, T]]] = {}
        self._several: dict[str, dict[str, list[tuple[str, T]]]] = {}
        self._packed: dict[str, list[tuple[str, T]]] = {}
        several: list[tuple[list[str], str, T]] = []
        counts: dict[str, int] = {}
        for source, value in phrases:
            keys, needle = self._add(source.strip(), value)
            if keys:
                several.append((keys, needle, value))
            for key in keys:
                counts[key] = counts.get(key, 0) + 1
        for keys, needle, value in several:
            rarest = min(keys, key=lambda key: counts[key])
            # Most are told apart by their second rarest word, without a search.
            others = sorted((key for key in keys if key != rarest), key=lambda key: counts[key])
            second = others[0] if others else rarest
            self._several.setdefault(rarest, {}).setdefault(second, []).append((needle, value))
        self._silent: set[str] = set()
        self._said: dict[str, list[tuple[str, T]]] = {}
        self._keys = frozenset(self._several)

    def _add(self, source: str, value: T) -> tuple[list[str], str]:
        """Files what is one word; of several words those it can be found by, and what to search for."""
        if fold.has_cjk(source):
            needle = fold.packed(source)
            self._packed.setdefault(needle[0], []).append((needle, value))
            return [], ""
        words = fold.words(source)
        is_stem = source.endswith("*")
        if not words or (len(words) == 1 and is_stem and len(words[0]) < KEY):
            raise ValueError(f"{source!r} is no phrase")
        if len(words) > 1:
            return words[:-1] if is_stem else words, f" {' '.join(words)}" + ("" if is_stem else " ")
        if is_stem:
            self._stems.setdefault(words[0][:KEY], []).append((words[0], value))
        else:
            self._words.setdefault(words[0], []).append(value)
        return [], ""

    def _look_up(self, word: str) -> tuple[T, ...]:
        """What one word says, by itself and by how it begins."""
        found = [*self._words.get(word, ())]
        found += [value for stem, value in self._stems.get(word[:KEY], ()) if word.startswith(stem)]
        return tuple(dict.fromkeys(found))

    def _learn(self, word: str) -> list[tuple[str, T]]:
        """What a word says, looked up once; most say nothing."""
        if len(self._silent) + len(self._said) >= REMEMBERED:
            self._silent.clear()
            self._said.clear()
        said = [(word, value) for value in self._look_up(word)]
        if said:
            self._said[word] = said
        else:
            self._silent.add(word)
        return said

    def find(self, text: Text) -> list[T]:
        """What stands for those that are in it; one value as often as different words say it."""
        words, spaced = text.words, text.spaced
        found: set[tuple[str, T]] = set()
        said = self._said
        for word in words - self._silent:
            found.update(said[word] if word in said else self._learn(word))
        several = self._several
        for word in words & self._keys:
            for second, pairs in several[word].items():
                if second in words:
                    found.update([pair for pair in pairs if pair[0] in spaced])
        if text.packed:
            for first in self._packed.keys() & set(text.packed):
                found.update([pair for pair in self._packed[first] if pair[0] in text.packed])
        return [value for _, value in found]
