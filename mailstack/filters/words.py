"""The words of a message: one splitting and one folding, made once for classifier, signs and classes.

A word is small letters without accents, and digits; "%" is one too.  Runs of Chinese, Japanese
and Korean, which put no blanks between words, are one each.

Source: Unicode NFKD and case folding.  No I/O.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from mailstack.filters.once import once

#: Characters of the text in which phrases are looked for.
HEAD = 3_000
#: Characters of its end, where it says how to leave a list.
TAIL = 1_200
#: Characters of a title and of what stands in for pictures.
ASIDE = 600
#: Characters that are made words at all, and at a time.
MAX_CHARACTERS = 65_536
PIECE = 6_144
#: Different characters that are replaced one after the other; of more, all in one go.
MOST_KINDS = 64

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_HAS_CJK = re.compile(f"[{_CJK}]")
_SPACED_CJK = re.compile(f"[{_CJK}]+|[^\\W_{_CJK}]+|%")
_WORD = re.compile(r"[^\W_]+|%")
_ACCENTS = re.compile("[\u0300-\u036f]+")
#: Letters that are not an accented one of another.
_LETTERS = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "þ": "th"})
#: Small letters and digits stay; all else of ASCII becomes a blank.  Splitting at blanks is three
#: times faster than searching for words.
_ASCII = {n: chr(n).lower() if chr(n).isalnum() or chr(n) == "%" else " " for n in range(128)}
_ASCII_OCTETS = bytes(range(128))


def fold(text: str) -> str:
    """Beyond ASCII: small letters without accents, a blank for what is no part of a word.

    Character by character, so that a few ones cost little however long the text is.
    """
    if text.isascii():
        return text
    beyond = text.encode("utf-8", "surrogatepass").translate(None, _ASCII_OCTETS)
    kinds = [one for one in set(beyond.decode("utf-8", "surrogatepass")) if _folded(one) != one]
    if len(kinds) > MOST_KINDS:
        return "".join([one if one < "\x80" else _folded(one) for one in text])
    for one in kinds:
        text = text.replace(one, _folded(one))
    return text


@lru_cache(8_192)
def _folded(character: str) -> str:
    if _HAS_CJK.match(character) is not None:
        return character  # taken apart, kana and Hangul would be other letters
    plain = unicodedata.normalize("NFKC", character)
    if _HAS_CJK.search(plain) is not None:
        return plain
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", plain.casefold()).casefold())
    return "".join(map(_part, _ACCENTS.sub("", plain).translate(_LETTERS)))


def _part(character: str) -> str:
    """What is no part of a word becomes a blank."""
    return " " if unicodedata.category(character)[0] in "PSZ" and character != "%" else character


def split(text: str) -> list[str]:
    """The words of a text, in order, with repeats."""
    text = fold(text)
    if "%" in text:
        text = text.replace("%", " % ")
    if text.isascii():
        return text.translate(_ASCII).split()
    pattern = _WORD if _HAS_CJK.search(text) is None else _SPACED_CJK
    return pattern.findall(text.lower())


def is_cjk(text: str) -> bool:
    """It holds characters of scripts without blanks between words."""
    return not text.isascii() and _HAS_CJK.search(text) is not None


def without_addresses(text: str) -> str:
    """The text without web addresses: what stands in them is not said."""
    first, *others = text.split("://")
    if not others:
        return text
    pieces = [first]
    for other in others:
        rest = other.split(None, 1)[1:]
        pieces += rest
    return " ".join(pieces)


class Text:
    """The words of some text, ready to look for phrases in.

    Attributes:
        sequence: its words as they follow each other, with repeats.
    """

    def __init__(self, sequence: list[str]) -> None:
        self.sequence = sequence

    @once
    def words(self) -> frozenset[str]:
        """Its words without repeats."""
        return frozenset(self.sequence)

    @once
    def spaced(self) -> str:
        """All of them, a blank around each."""
        return f" {' '.join(self.sequence)} "

    @once
    def packed(self) -> str:
        """Without any blanks where a script has none; else ""."""
        return "".join(self.sequence) if is_cjk(self.spaced) else ""


def prepare(text: str) -> Text:
    """A text to look for phrases in."""
    return Text(split(text))


class Words:
    """The words of one message; each part is split when it is first asked for."""

    def __init__(self, subject: str, name: str, text: str, alt_text: str, title: str) -> None:
        """`name`: of the author; `alt_text`: what stands in for pictures; `title`: of the HTML."""
        self._subject, self._name, self._text = subject, name, text
        self._alt_text, self._title = alt_text[:ASIDE], title[:ASIDE]
        self._head_ends = _end(text, 0, HEAD)

    @once
    def subject(self) -> Text:
        """The subject."""
        return prepare(self._subject)

    @once
    def name(self) -> Text:
        """The author's name."""
        return prepare(self._name)

    @once
    def head(self) -> Text:
        """The beginning of the text."""
        return prepare(without_addresses(self._text[: self._head_ends]))

    @once
    def tail(self) -> Text:
        """The end of the text."""
        return prepare(self._text[-TAIL:])

    @once
    def said(self) -> Text:
        """The beginning of the text, and what stands in for pictures."""
        return Text([*self.head.sequence, *self._pictured]) if self._pictured else self.head

    @once
    def seen(self) -> Text:
        """Subject, the beginning of the text, the pictures' words and the title."""
        return Text([*self.subject.sequence, *self.head.sequence, *self._pictured, *split(self._title)])

    @once
    def _pictured(self) -> list[str]:
        return split(self._alt_text)

    def more(self) -> Iterator[list[str]]:
        """What follows the head, piece after piece: of a long text the first have all words that count."""
        at, last = self._head_ends, min(len(self._text), MAX_CHARACTERS)
        while at < last:
            end = _end(self._text, at, min(at + PIECE, last))
            yield split(without_addresses(self._text[at:end]))
            at = end


def _end(text: str, at: int, end: int) -> int:
    """Where a piece of a text ends: between words if it can."""
    if end >= len(text):
        return len(text)
    last = max(text.rfind("\n", at, end), text.rfind(" ", at, end))
    return last if last > at else end
