"""Reads ENVELOPE and BODYSTRUCTURE by the grammar, as a strict client would.

Independent of the code that writes them: a cursor and one function for each rule of
RFC 3501 section 9 and RFC 9051 section 9.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_QUOTED = re.compile(rb'"(?:[^"\\\r\n\x00\x80-\xff]|\\["\\])*"')
_LITERAL = re.compile(rb"\{(\d+)\}\r\n")
_NUMBER = re.compile(rb"[0-9]+")


class BadStructure(AssertionError):
    """The octets are not what the grammar says."""


def check_envelope(octets: bytes) -> None:
    """One `envelope`."""
    reader = _Reader(octets)
    reader.envelope()
    reader.end()


def check_body(octets: bytes, *, extended: bool, rev2: bool = False) -> int:
    """One `body`, with extension data or without; gives the number of its leaves."""
    reader = _Reader(octets, extended=extended, rev2=rev2)
    reader.body()
    reader.end()
    return reader.leaves


class _Reader:
    def __init__(self, octets: bytes, *, extended: bool = False, rev2: bool = False) -> None:
        self._data = octets
        self._at = 0
        self._extended = extended
        self._messages = (b"rfc822", b"global") if rev2 else (b"rfc822",)
        self.leaves = 0

    def _fail(self, wanted: str) -> BadStructure:
        return BadStructure(f"wanted {wanted} at {self._at}: {self._data[self._at : self._at + 40]!r}")

    def end(self) -> None:
        if self._at != len(self._data):
            raise self._fail("the end")

    def _take(self, text: bytes) -> bool:
        found = self._data.startswith(text, self._at)
        self._at += len(text) if found else 0
        return found

    def _expect(self, text: bytes) -> None:
        if not self._take(text):
            raise self._fail(repr(text))

    def _sp(self) -> None:
        self._expect(b" ")

    def _number(self) -> None:
        found = _NUMBER.match(self._data, self._at)
        if found is None:
            raise self._fail("a number")
        self._at = found.end()

    def _string(self) -> bytes:
        if found := _QUOTED.match(self._data, self._at):
            self._at = found.end()
            return found[0][1:-1]
        found = _LITERAL.match(self._data, self._at)
        if found is None:
            raise self._fail("a string")
        begin, self._at = found.end(), found.end() + int(found[1])
        text = self._data[begin : self._at]
        if len(text) != int(found[1]) or b"\0" in text:
            raise self._fail("a literal without NUL")
        return text

    def _nstring(self) -> None:
        if not self._take(b"NIL"):
            self._string()

    def _list_or_nil(self, one: Callable[[], None], separator: bytes) -> None:
        """At least one between parentheses, or NIL."""
        if self._take(b"NIL"):
            return
        self._expect(b"(")
        one()
        while not self._take(b")"):
            self._expect(separator)
            one()

    # -- envelope --------------------------------------------------------------------

    def envelope(self) -> None:
        self._expect(b"(")
        for rule in (self._nstring, self._nstring, *[self._addresses] * 6, self._nstring):
            rule()
            self._sp()
        self._nstring()
        self._expect(b")")

    def _addresses(self) -> None:
        self._list_or_nil(self._address, b"")

    def _address(self) -> None:
        self._expect(b"(")
        for _ in range(3):
            self._nstring()
            self._sp()
        self._nstring()
        self._expect(b")")

    # -- body ------------------------------------------------------------------------

    def body(self) -> None:
        self._expect(b"(")
        if self._data.startswith(b"(", self._at):
            self._multipart()
        else:
            self._single()
        self._expect(b")")

    def _multipart(self) -> None:
        while self._data.startswith(b"(", self._at):
            self.body()
        self._sp()
        self._string()
        if self._extended:
            self._sp()
            self._parameters()
            self._tail()

    def _single(self) -> None:
        self.leaves += 1
        kind = self._string().lower()
        self._sp()
        subtype = self._string().lower()
        self._sp()
        self._parameters()
        for _ in range(2):
            self._sp()
            self._nstring()
        self._sp()
        self._string()
        self._sp()
        self._number()
        if kind == b"message" and subtype in self._messages:
            self._sp()
            self.envelope()
            self._sp()
            self.body()
            self._sp()
            self._number()
        elif kind == b"text":
            self._sp()
            self._number()
        if self._extended:
            self._sp()
            self._nstring()
            self._tail()

    def _parameters(self) -> None:
        self._list_or_nil(self._pair, b" ")

    def _pair(self) -> None:
        self._string()
        self._sp()
        self._string()

    def _tail(self) -> None:
        """Disposition, language, location."""
        self._sp()
        if not self._take(b"NIL"):
            self._expect(b"(")
            self._string()
            self._sp()
            self._parameters()
            self._expect(b")")
        self._sp()
        if self._data.startswith(b"(", self._at):
            self._list_or_nil(lambda: void(self._string()), b" ")
        else:
            self._nstring()
        self._sp()
        self._nstring()


def void(_: object) -> None:
    """Makes a rule of one that gives something."""
