"""Octets or text of a script into tokens, each with its place.

Deviates from RFC 5228 section 8.1: a bare LF ends a line too, because scripts are edited
on Unix; inside strings it becomes CRLF, as the RFC's grammar would have it.  A bare CR,
a NUL, a byte order mark and invalid UTF-8 are errors.

Standards: RFC 5228 sections 2.3, 2.4 and 8.1.  Imports: nothing.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import NamedTuple

from mailstack.sieve.diagnostic import Position

#: RFC 5228 section 2.4.1 asks for 2^31 - 1 at least; scripts in the wild go up to this.
MAX_NUMBER = 2**64 - 1

Report = Callable[[tuple[int, int], str], None]


class Kind(Enum):
    """What a token is; PUNCTUATION is one of `; , { } ( ) [ ]`."""

    IDENTIFIER = auto()
    TAG = auto()
    NUMBER = auto()
    STRING = auto()
    PUNCTUATION = auto()
    GARBAGE = auto()
    END = auto()


class Token(NamedTuple):
    """One token.

    Attributes:
        value: lower-case name without colon, text of a string, the punctuation, the garbage.
        number: value of a NUMBER.
        pos: of its first character.
        end: just behind its last character.
    """

    kind: Kind
    value: str
    number: int
    pos: Position
    end: Position


_SCAN = re.compile(
    r"""(?P<space>[ \t\r\n]++)
      | (?P<hash>\#[^\n]*+)
      | (?P<bracket>/\*)
      | (?P<text>text:)
      | (?P<identifier>[a-z_][a-z0-9_]*+)
      | (?P<tag>:[a-z_][a-z0-9_]*+)
      | (?P<number>[0-9]++[kmg]?(?![a-z0-9_]))
      | (?P<badnumber>[0-9][a-z0-9_]*+)
      | (?P<quote>")
      | (?P<punctuation>[;,{}()\[\]])
      | (?P<garbage>[^\sa-z0-9_;,{}()\[\]"\#:/]++ | .)""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL | re.ASCII,
)
_QUOTED = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_TEXT_START = re.compile(r"text:[ \t]*+(?:\#[^\n]*+)?\r?\n", re.IGNORECASE)
_TEXT_END = re.compile(r"^\.\r?$", re.MULTILINE)
_DOT_STUFFED = re.compile(r"^\.\.", re.MULTILINE)
_BARE_CR = re.compile(r"\r(?!\n)")
_SCALE = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def decode(source: bytes | str, report: Report) -> str:
    """The script as text; what may never stand in one is reported and taken out."""
    if isinstance(source, bytes):
        try:
            text = source.decode("utf-8")
        except UnicodeDecodeError as error:
            report(place(source[: error.start].decode("utf-8"), error.start), "the script is not valid UTF-8")
            text = source.decode("utf-8", "replace")
    else:
        text = source
        if any("\ud800" <= c <= "\udfff" for c in text):
            report((1, 1), "the script is not valid UTF-8")
            text = text.encode("utf-8", "replace").decode("utf-8")
    if text.startswith("\ufeff"):
        report((1, 1), "the script begins with a byte order mark; save it as UTF-8 without one")
        text = text[1:]
    if "\0" in text:
        report(place(text, text.index("\0")), "NUL characters are not allowed in a script")
        text = text.replace("\0", " ")
    bare = _BARE_CR.search(text)
    if bare is not None:
        report(place(text, bare.start()), "a carriage return without line feed is not allowed in a script")
        text = _BARE_CR.sub(" ", text)
    return text


def place(text: str, offset: int) -> Position:
    """Line and column of a character."""
    return Position(text.count("\n", 0, offset) + 1, min(offset, len(text)) - text.rfind("\n", 0, offset))


def first_mixed_line_end(text: str) -> Position | None:
    """Where CRLF and LF first disagree; None when all line ends are alike."""
    lines = text.count("\n")
    if text.count("\r\n") in (0, lines):
        return None
    first_is_crlf = text[text.index("\n") - 1 : text.index("\n")] == "\r"
    other = re.search(r"(?<!\r)\n" if first_is_crlf else r"\r\n", text)
    return place(text, other.start()) if other is not None else None


class Lexer:
    """Tokens of one script, in order; ends with one END token."""

    def __init__(self, text: str, report: Report, max_string_octets: int) -> None:
        self._text = text
        self._report = report
        self._max_string_octets = max_string_octets
        self._offset = 0
        self._line = 1
        self._line_start = 0

    def __iter__(self) -> Iterator[Token]:
        while self._offset < len(self._text):
            found = _SCAN.match(self._text, self._offset)
            assert found is not None and found.lastgroup is not None  # the last branch takes anything
            token = self._read(found.lastgroup, found)
            if token is not None:
                yield token
        end = self._here()
        yield Token(Kind.END, "", 0, end, end)

    def _here(self) -> Position:
        return Position(self._line, self._offset - self._line_start + 1)

    def _advance(self, end: int) -> None:
        """Moves to `end`, counting lines."""
        newlines = self._text.count("\n", self._offset, end)
        if newlines:
            self._line += newlines
            self._line_start = self._text.rfind("\n", self._offset, end) + 1
        self._offset = end

    def _read(self, group: str, found: re.Match[str]) -> Token | None:
        if group in ("space", "hash"):
            self._advance(found.end())
            return None
        if group == "bracket":
            return self._comment()
        if group == "quote":
            return self._quoted()
        if group == "text":
            return self._multi_line()
        pos, word = self._here(), found.group()
        self._offset = found.end()
        end = self._here()
        if group in ("number", "badnumber"):
            return Token(Kind.NUMBER, word, self._number(word, pos), pos, end)
        if group == "tag":
            return Token(Kind.TAG, word[1:].lower(), 0, pos, end)
        if group == "identifier":
            return Token(Kind.IDENTIFIER, word.lower(), 0, pos, end)
        return Token(Kind.PUNCTUATION if group == "punctuation" else Kind.GARBAGE, word, 0, pos, end)

    def _comment(self) -> Token | None:
        end = self._text.find("*/", self._offset + 2)
        if end < 0:
            return self._unclosed(self._here(), "the comment that begins here is never closed by */")
        self._advance(end + 2)
        return None

    def _quoted(self) -> Token | None:
        pos = self._here()
        found = _QUOTED.match(self._text, self._offset)
        if found is None:
            return self._unclosed(pos, 'the string that begins here is never closed by "')
        value = found.group(1)
        if "\\" in value:
            value = _ESCAPE.sub(r"\1", value)
        return self._string(value, pos, found.end())

    def _multi_line(self) -> Token | None:
        # RFC 5228 section 2.4.2: "text:" and a line end, then lines up to a lone dot.
        pos = self._here()
        start = _TEXT_START.match(self._text, self._offset)
        if start is None:
            self._offset += len("text:")
            return Token(Kind.GARBAGE, "text:", 0, pos, self._here())
        end = _TEXT_END.search(self._text, start.end())
        if end is None:
            return self._unclosed(pos, "the multi-line string that begins here is never ended by a lone dot")
        value = _DOT_STUFFED.sub(".", self._text[start.end() : end.start()])
        after = min(end.end() + 1, len(self._text))
        return self._string(value, pos, after)

    def _string(self, value: str, pos: Position, end: int) -> Token:
        if "\n" in value:
            value = value.replace("\r\n", "\n").replace("\n", "\r\n")
        if len(value.encode("utf-8", "surrogatepass")) > self._max_string_octets:
            self._report(pos, f"the string is longer than {self._max_string_octets} octets")
            value = ""
        self._advance(end)
        return Token(Kind.STRING, value, 0, pos, self._here())

    def _unclosed(self, pos: Position, message: str) -> Token | None:
        # Where it should have ended nobody knows: the rest of the script is inside it.
        self._report(pos, message)
        self._advance(len(self._text))
        return Token(Kind.GARBAGE, "", 0, pos, self._here())

    def _number(self, word: str, pos: Position) -> int:
        scale = _SCALE.get(word[-1].lower(), 1)
        digits = word[:-1] if scale > 1 else word
        if not digits.isdigit():
            self._report(pos, f"'{word[:40]}' is not a number")
            return 0
        number = int(digits) * scale if len(digits) <= 20 else MAX_NUMBER + 1
        if number > MAX_NUMBER:
            self._report(pos, f"the number {word[:40]} is larger than {MAX_NUMBER}")
            return MAX_NUMBER
        return number
