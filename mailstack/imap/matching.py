"""Which messages fit SEARCH's criteria.

Flags, dates and sizes come from the view, everything else from the message itself.
Cheap criteria go first and leave less for the dear ones; a message is opened once,
however many criteria look at it.

Texts are compared without case, encoded words and transfer encodings undone (RFC 3501
section 6.4.4 wants substrings; RFC 5051 is approximated by Unicode case folding).

Imports: mime, model, sections.  No I/O of its own: it reads through the store.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import cached_property
from typing import assert_never

from mailstack.imap.search_keys import (
    Comparison,
    Dated,
    Everything,
    Group,
    HasFlag,
    HasKeyword,
    InBody,
    InHeader,
    InSet,
    Key,
    Size,
)
from mailstack.imap.sections import Source
from mailstack.imap.view import View
from mailstack.mime import date
from mailstack.mime.encoding import decode_charset, decode_words
from mailstack.mime.header import Headers
from mailstack.mime.scanner import scan
from mailstack.mime.text import content, parts
from mailstack.model.mailbox import MailboxError, MessageFile

#: Decoded octets of one part that are looked at.
MAX_PART_OCTETS = 4_194_304
#: Octets of one message that are looked at.
MAX_MESSAGE_OCTETS = 67_108_864
_ENCODED = (b"base64", b"quoted-printable", b"=?")


def fold(text: str) -> str:
    """The form in which texts are compared."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text).casefold()


def count(key: Key) -> int:
    """How many criteria there are."""
    return sum(count(child) for child in key.children) if isinstance(key, Group) else 1


def needs_messages(key: Key) -> bool:
    """True when some criterion looks into messages."""
    if isinstance(key, Group):
        return any(needs_messages(child) for child in key.children)
    return isinstance(key, InHeader | InBody) or (isinstance(key, Dated) and key.sent)


def _needs_bodies(key: Key) -> bool:
    if isinstance(key, Group):
        return any(_needs_bodies(child) for child in key.children)
    return isinstance(key, InBody)


def _cost(key: Key) -> int:
    if isinstance(key, Group):
        return max(_cost(child) for child in key.children)
    if isinstance(key, InBody):
        return 2
    return int(needs_messages(key))


class Matcher:
    """Finds the messages of a view that fit; `run` may be called piece by piece."""

    def __init__(self, view: View, key: Key) -> None:
        """Raises Bad for a sequence number no message has."""
        self._view = view
        self._key = key
        self._header_only = not _needs_bodies(key)
        self._sets: dict[InSet, frozenset[int]] = {}
        self._messages: dict[int, _Message | None] = {}
        self._open: Callable[[int], MessageFile] | None = None
        self._resolve(key)

    def _resolve(self, key: Key) -> None:
        if isinstance(key, Group):
            for child in key.children:
                self._resolve(child)
        elif isinstance(key, InSet) and key not in self._sets:
            self._sets[key] = frozenset(self._view.positions(key.numbers, uid=key.uid))

    def run(self, places: list[int], open_message: Callable[[int], MessageFile] | None = None) -> list[int]:
        """Those of `places` that fit, in the same order.

        Args:
            open_message: opens a message by UID; None when no criterion needs it.

        Raises:
            MailboxError, TemporaryFailure: the store is in trouble (a single message that
                cannot be read fits nothing).
        """
        self._open = open_message
        self._messages.clear()
        try:
            return self._fitting(self._key, places)
        finally:
            self._messages.clear()

    def _fitting(self, key: Key, places: list[int]) -> list[int]:
        view = self._view
        match key:
            case Everything():
                return places
            case HasFlag(bit):
                return [at for at in places if view.flags[at] & bit]
            case HasKeyword(name):
                having = {
                    uid for uid, words in view.keywords.items() if name in (word.lower() for word in words)
                }
                return [at for at in places if view.uids[at] in having]
            case Size(larger, octets):
                if larger:
                    return [at for at in places if view.sizes[at] > octets]
                return [at for at in places if view.sizes[at] < octets]
            case InSet():
                wanted = self._sets[key]
                return [at for at in places if at in wanted]
            case Dated(comparison, day, sent):
                return [at for at in places if _compare(self._day(at, sent=sent), comparison, day)]
            case InHeader(name, text):
                needle = fold(text)
                return [at for at in places if (m := self._message(at)) and m.header_holds(name, needle)]
            case InBody(text, with_header):
                needle = fold(text)
                return [
                    at
                    for at in places
                    if (m := self._message(at)) and m.holds(needle, with_header=with_header)
                ]
            case Group():
                return self._fitting_group(key, places)
        assert_never(key)

    def _fitting_group(self, group: Group, places: list[int]) -> list[int]:
        if group.kind == "NOT":
            without = set(self._fitting(group.children[0], places))
            return [at for at in places if at not in without]
        children = sorted(group.children, key=_cost)
        if group.kind == "AND":
            for child in children:
                places = self._fitting(child, places)
            return places
        found: set[int] = set()
        left = places
        for child in children:
            found.update(self._fitting(child, left))
            left = [at for at in left if at not in found]
        return [at for at in places if at in found]

    def _day(self, at: int, *, sent: bool) -> int | None:
        if not sent:
            return self._view.dates[at] // 86_400
        message = self._message(at)
        return message.sent_day if message is not None else None

    def _message(self, at: int) -> _Message | None:
        if at not in self._messages:
            assert self._open is not None
            try:
                self._messages[at] = _Message(self._open(self._view.uids[at]), header_only=self._header_only)
            except MailboxError:
                self._messages[at] = None
        return self._messages[at]


def _compare(day: int | None, comparison: Comparison, wanted: int) -> bool:
    if day is None:
        return False
    if comparison == "=":
        return day == wanted
    return day < wanted if comparison == "<" else day >= wanted


class _Message:
    """One message's texts, each made when first asked for."""

    def __init__(self, file: MessageFile, *, header_only: bool) -> None:
        try:
            source = Source(file, header_only=header_only)
            self._head_end = source.head_end
            wanted = self._head_end if header_only or source.size > MAX_MESSAGE_OCTETS else source.size
            self._data = source.read(0, wanted)
        finally:
            file.close()

    @cached_property
    def _headers(self) -> Headers:
        return Headers.parse(self._data, 0, self._head_end)

    @property
    def sent_day(self) -> int | None:
        """The day in the Date field, in the sender's zone."""
        value = self._headers.first("date")
        found = date.parse(value) if value is not None else None
        return (found.at + found.offset_s) // 86_400 if found is not None else None

    def header_holds(self, name: str, needle: str) -> bool:
        """A field of that name holds the text."""
        return any(needle in fold(decode_words(value)) for value in self._headers.all(name))

    def holds(self, needle: str, with_header: bool) -> bool:
        """The body, or the body and the header, hold the text."""
        if not self._is_encoded and needle.isascii():
            begin = 0 if with_header else self._head_end
            return self._lower.find(needle.encode(), begin) >= 0
        return needle in self._body_text or (with_header and needle in self._header_text)

    @cached_property
    def _lower(self) -> bytes:
        return self._data.lower()

    @cached_property
    def _is_encoded(self) -> bool:
        return any(mark in self._lower for mark in _ENCODED)

    @cached_property
    def _header_text(self) -> str:
        return self._text_of(self._headers)

    def _text_of(self, headers: Headers) -> str:
        lines = [
            field.name.decode("ascii", "replace") + ": " + decode_words(headers.value(field))
            for field in headers.fields
        ]
        return fold("\n".join(lines))

    @cached_property
    def _body_text(self) -> str:
        texts: list[str] = []
        for part in parts(scan(self._data)):
            if part.message_depth and part.depth and part.start != part.header_end:
                texts.append(self._text_of(Headers.parse(self._data, part.start, part.header_end)))
            if part.type.lower() == b"text" and not part.opaque:
                octets = content(self._data, part, MAX_PART_OCTETS)
                texts.append(fold(decode_charset(octets, part.parameter("charset") or "")))
        return "\n".join(texts)
