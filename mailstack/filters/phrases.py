"""Many phrases looked for at once, each standing for something.

A phrase is whole words, without regard to capitals and accents.  "*" behind it also takes what
begins so (three letters at least); "~" in front takes it anywhere, also within words, in other
scripts than the Latin; "a + b" is a, and b within 60 characters behind it; "%" is a word.  Phrases
of scripts without blanks are found anywhere.

A word met before costs one look-up, and most say nothing; several words are searched for only
where the three rarest of them stand: seven thousand phrases cost some 0.02 ms.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from mailstack.filters.words import Text, is_cjk, split

T = TypeVar("T")
#: Letters that stems are filed under; they have at least so many.
KEY = 3
#: Short words are in every text: phrases are found by their longest ones, of which so many letters count.
LONG = 6
#: Words known to say nothing or something: a few thousand make most of all texts.
REMEMBERED = 16_384
#: Characters; longer words are not remembered.
MAX_WORD = 60
#: Characters within which the second part of "a + b" begins.
APART = 60


class _Apart(NamedTuple, Generic[T]):
    """`a + b`, as both stand between blanks."""

    second: str
    front: str
    behind: str
    value: T

    def stands_in(self, text: str) -> bool:
        """b begins soon behind a."""
        at = text.find(self.front)
        while at >= 0:
            end = at + len(self.front)
            if text.find(self.behind, end - 1, end + APART + len(self.behind)) >= 0:
                return True
            at = text.find(self.front, end - 1)
        return False


#: A phrase of several words: its third rarest one, if it has as many; all of it but the blank it ends in,
#: as a search is slow that looks for a blank at its end; and itself with its value.
_Several: TypeAlias = tuple[str, str, tuple[str, T]]
#: What is known of a word: what it says, and the phrases that are found by it, by another word.  Plain
#: tuples: those with names take three times as long to be taken apart.
_Known: TypeAlias = tuple[
    tuple[tuple[str, T], ...], tuple[tuple[str, tuple[_Several[T], ...]], ...], tuple[_Apart[T], ...]
]


class Phrases(Generic[T]):
    """Phrases with what each stands for."""

    def __init__(self, phrases: Iterable[tuple[str, T]]) -> None:
        """Raises ValueError: one is empty or its stem too short."""
        self._words: dict[str, list[T]] = defaultdict(list)
        self._stems: dict[str, list[tuple[str, T]]] = defaultdict(list)
        self._anywhere: dict[str, list[tuple[str, T]]] = defaultdict(list)
        several: list[tuple[list[str], str, str, T]] = []
        counts: dict[str, int] = defaultdict(int)
        for source, value in phrases:
            keys, needle, behind = self._add(source.strip(), value)
            if keys:
                several.append((keys, needle, behind, value))
            for key in keys:
                counts[key] += 1
        self._several: dict[str, list[tuple[str, _Several[T]]]] = defaultdict(list)
        self._stems_of_several: dict[str, list[tuple[str, str, _Several[T]]]] = defaultdict(list)
        self._apart: dict[str, list[_Apart[T]]] = defaultdict(list)
        for keys, needle, behind, value in several:
            # Most are told apart by their rarest words, without a search.
            rarity = sorted(dict.fromkeys(keys), key=lambda key: (-min(len(key), LONG), counts[key]))
            if behind:
                self._apart[rarity[0]].append(_Apart(rarity[:2][-1], needle, behind, value))
            else:
                self._file(rarity, needle, value)
        self._silent: set[str] = set()
        self._known: dict[str, _Known[T]] = {}

    def _add(self, source: str, value: T) -> tuple[list[str], str, str]:
        """Files what is one word; of others the words they can be found by, and what to search for.

        Returns:
            Words that stand in it, it as it stands between blanks, and what stands soon behind; nothing of
            what is filed already.
        """
        front, plus, behind = source.partition(" + ")
        if plus:
            keys, needle = _compile(front)
            others, second = _compile(behind)
            if not keys and not others:
                raise ValueError(
                    f"{source!r} is no phrase that can be looked up: end one part in a whole word"
                )
            return [*keys, *others], needle, second
        words = split(source)
        if source.startswith("~") or is_cjk(source):
            needle = "".join(words) if is_cjk(source) else " ".join(words)
            if not needle or needle.isascii():
                raise ValueError(f"{source!r} is no phrase to be found anywhere: end it in * instead")
            self._anywhere[needle[0]].append((needle, value))
            return [], "", ""
        if len(words) > 1:
            return *_compile(source), ""
        is_stem = source.endswith("*")
        if not words or (is_stem and len(words[0]) < KEY):
            raise ValueError(f"{source!r} is no phrase, or too short")
        if is_stem:
            self._stems[words[0][:KEY]].append((words[0], value))
        else:
            self._words[words[0]].append(value)
        return [], "", ""

    def _file(self, rarity: list[str], needle: str, value: T) -> None:
        """Files a phrase under its rarest words, or its rarest one and what its last one begins with."""
        rarest = rarity[0]
        begin = needle.removesuffix(" ")
        stem = begin.rpartition(" ")[2] if begin == needle else ""
        if len(stem) >= max(len(rarest), KEY):
            one = rarity[:2][-1], begin, (needle, value)
            self._stems_of_several[stem[:KEY]].append((stem, rarest, one))
        else:
            one = rarity[:3][-1], begin, (needle, value)
            self._several[rarest].append((rarity[:2][-1], one))

    def _learn(self, word: str) -> _Known[T]:
        """What is known of a word, looked up once."""
        said = [*self._words.get(word, ())]
        said += [value for stem, value in self._stems.get(word[:KEY], ()) if word.startswith(stem)]
        several: dict[str, list[_Several[T]]] = defaultdict(list)
        for second, one in self._several.get(word, ()):
            several[second].append(one)
        for stem, second, one in self._stems_of_several.get(word[:KEY], ()):
            if word.startswith(stem):
                several[second].append(one)
        known = (
            tuple((word, value) for value in dict.fromkeys(said)),
            tuple((second, tuple(phrases)) for second, phrases in several.items()),
            tuple(self._apart.get(word, ())),
        )
        if len(word) <= MAX_WORD:
            if len(self._silent) + len(self._known) >= REMEMBERED:
                self._silent.clear()
                self._known.clear()
            if any(known):
                self._known[word] = known
            else:
                self._silent.add(word)
        return known

    def _found(self, text: Text) -> set[tuple[str, T]]:
        words, spaced, known = text.words, text.spaced, self._known
        found: set[tuple[str, T]] = set()
        for word in words - self._silent:
            said, several, apart = known.get(word) or self._learn(word)
            if said:
                found.update(said)
            for second, phrases in several:
                if second in words:
                    for third, begin, pair in phrases:
                        if third in words and begin in spaced and pair[0] in spaced:
                            found.add(pair)
            for one in apart:
                if one.second in words and one.stands_in(spaced):
                    found.add((one.front + one.behind, one.value))
        if self._anywhere and not spaced.isascii():
            packed = text.packed
            for first in self._anywhere.keys() & set(spaced):
                these = self._anywhere[first]
                found.update([pair for pair in these if pair[0] in spaced or pair[0] in packed])
        return found

    def find(self, text: Text) -> list[T]:
        """What stands for those that are in it; one value as often as different words say it."""
        return [value for _, value in self._found(text)]

    def say(self, text: Text) -> frozenset[T]:
        """What stands for those that are in it, once each."""
        return frozenset([value for _, value in self._found(text)])

    def taken_out(self, text: Text, value: T) -> Text:
        """The same text without the phrases (but "a + b") that stand for a value, the longest first."""
        spaced = text.spaced
        found = {one for one, what in self._found(text) if what == value}
        for one in sorted(found, key=lambda one: (-len(one), one)):
            spaced = spaced.replace(f" {one} " if one in text.words else one, " ")
        return text if spaced == text.spaced else Text(spaced.split())


def _compile(source: str) -> tuple[list[str], str]:
    """Whole words of a phrase, and what to search for: it ends in a blank unless it is open."""
    words = split(source)
    is_open = source.endswith("*")
    if not words or (words == words[:1] and is_open and len(words[0]) < KEY):
        raise ValueError(f"{source!r} is no phrase, or too short")
    return words[:-1] if is_open else words, f" {' '.join(words)}" + ("" if is_open else " ")
