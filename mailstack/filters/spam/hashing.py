"""The features of one message, and the numbers of their weights.

A word met before costs one look-up; pairs of words are made of the numbers of both, without
being written.  What is remembered is bounded, and costs no more to find anew.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise
from typing import Final
from zlib import crc32

#: Where the features of each kind lie: [start, end) of header, body, words, and pairs of words.
HEADER = 0
BODY = 1 << 16
WORDS = 1 << 17
PAIRS = 1 << 18
SIZE = PAIRS + (1 << 18)
#: Borders of the views: words and pairs are one.
VIEWS: Final = (HEADER, BODY, WORDS, SIZE)

MAX_TOKENS = 2_000
#: Of them, views and words leave room for each other.
MAX_HEADER_TOKENS = 300
MAX_BODY_TOKENS = 400
MAX_WORDS = 700
MAX_PAIRS = MAX_TOKENS - MAX_HEADER_TOKENS - MAX_BODY_TOKENS - MAX_WORDS
#: Words of the text that are looked at in pairs.
MAX_PAIRED = 200
MAX_TOKEN_OCTETS = 40
#: Tokens of each kind that are remembered.
REMEMBERED = 32_768
#: Marks of the words of the subject and of the author's name; what stands before and behind a subject.
SUBJECT, NAME = "s:", "f:"
_BEGIN, _END = "s:^", "s:$"
#: Spreads the numbers of the first words of pairs: odd, and the product stays below 2 ** 30.
_SPREAD = 4_093
_PAIR_MASK = SIZE - PAIRS - 1


class _Memory(dict[str, int]):
    """The numbers of tokens; a new one is worked out when it is first asked for."""

    __slots__ = ()

    def __missing__(self, token: str) -> int:
        n = self.number(token)
        if len(token) <= MAX_TOKEN_OCTETS + 2:
            if len(self) >= REMEMBERED:
                self.clear()
            self[token] = n
        return n

    def number(self, token: str) -> int:
        raise NotImplementedError


class _Header(_Memory):
    __slots__ = ()

    def number(self, token: str) -> int:
        return _hash(token) & (BODY - HEADER - 1)


class _Body(_Memory):
    __slots__ = ()

    def number(self, token: str) -> int:
        return (_hash(token) & (WORDS - BODY - 1)) + BODY


class _Words(_Memory):
    """Words that say nothing alone have numbers below `WORDS`: for pairs only."""

    __slots__ = ()

    def number(self, token: str) -> int:
        word = token[2:] if token[1:2] == ":" else token
        octets = len(word.encode("utf-8", "surrogatepass"))
        if octets > MAX_TOKEN_OCTETS:
            return 0
        if word.isdigit():
            return _hash("0" * octets) & (PAIRS - WORDS - 1)  # how long a number is, not which
        n = _hash(token) & (PAIRS - WORDS - 1)
        return n + WORDS if len(word) > 1 else n


_HEADERS, _BODIES, _SPOKEN = _Header(), _Body(), _Words()


def _hash(token: str) -> int:
    return crc32(token.encode("utf-8", "surrogatepass"))


def _pairs(numbers: Sequence[int]) -> list[int]:
    return [(one * _SPREAD ^ other) & _PAIR_MASK | PAIRS for one, other in pairwise(numbers)]


class Tokens:
    """The features of a message in words.

    Attributes:
        header, body: facts, with their marks.
        subject, name: their words, with their marks.
        text: its words as they follow each other.
        indexes: the numbers of all, region after region, without repeats, at most `MAX_TOKENS`.
    """

    __slots__ = ("_numbers", "body", "header", "indexes", "name", "subject", "text")

    def __init__(
        self,
        header: list[str],
        body: list[str],
        subject: Sequence[str] = (),
        name: Sequence[str] = (),
        text: Sequence[str] = (),
    ) -> None:
        self.header, self.body, self.text = header, body, text
        self.subject = [_BEGIN, *[SUBJECT + word for word in subject], _END]
        self.name = [NAME + word for word in name]
        spoken = _SPOKEN.__getitem__
        titled, said = list(map(spoken, self.subject)), list(map(spoken, text))
        words = list(chain(titled, map(spoken, self.name), said))
        pairs = _pairs(titled) + _pairs(said[:MAX_PAIRED])
        self._numbers = (
            list(map(_HEADERS.__getitem__, header)),
            list(map(_BODIES.__getitem__, body)),
            words,
            pairs,
        )
        useful = [n for n in dict.fromkeys(words) if n >= WORDS]
        self.indexes = [
            *islice(dict.fromkeys(self._numbers[0]), MAX_HEADER_TOKENS),
            *islice(dict.fromkeys(self._numbers[1]), MAX_BODY_TOKENS),
            *useful[:MAX_WORDS],
            *islice(dict.fromkeys(pairs), MAX_PAIRS),
        ]

    def of(self, n: int) -> str:
        """The feature of a number; the first one of several."""
        kind = (n >= BODY) + (n >= WORDS) + (n >= PAIRS)
        at = self._numbers[kind].index(n)
        if kind == 0:
            return self.header[at]
        if kind == 1:
            return self.body[at]
        if kind == 2:
            return [*self.subject, *self.name, *self.text][at]
        titled = len(self.subject) - 1
        if at < titled:
            return f"{self.subject[at]} {self.subject[at + 1].removeprefix(SUBJECT)}"
        return f"{self.text[at - titled]} {self.text[at - titled + 1]}"

    def __iter__(self) -> Iterator[str]:
        return map(self.of, self.indexes)


def indexes(found: Tokens | Iterable[str]) -> list[int]:
    """The numbers of tokens, region after region and without repeats."""
    return found.indexes if isinstance(found, Tokens) else sorted(set(map(index, found)))


def index(token: str) -> int:
    """The number of one token, told by its marks: "h:", "b:", a blank between two words."""
    if token.startswith("h:"):
        return _HEADERS[token]
    if token.startswith("b:"):
        return _BODIES[token]
    one, blank, other = token.partition(" ")
    if not blank:
        return _SPOKEN[token] | WORDS
    if one.startswith(SUBJECT):
        other = SUBJECT + other
    return _pairs([_SPOKEN[one], _SPOKEN[other]])[0]


def cuts(found: Sequence[int]) -> list[int]:
    """Where the views begin in indexes in the order of the regions, and where the last one ends."""
    return [bisect_left(found, border) for border in VIEWS]
