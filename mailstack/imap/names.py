"""Mailbox names on the wire, and patterns of LIST.

Inside, a name is Unicode (NFC) with "/"; on the wire it is modified UTF-7.  One name
has one encoding; INBOX is INBOX in any case, also as a parent.

Standards: RFC 3501 sections 5.1 and 6.3.8.  Numbers: limits, section 6.
Imports: mime, errors.  No I/O.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from mailstack.imap.errors import Bad, No
from mailstack.imap.response import quote
from mailstack.mime import utf7

SEPARATOR = "/"
MAX_NAME_OCTETS = 255
MAX_PATTERN = 512


def decode_name(wire: bytes) -> str:
    """A mailbox name as sent.

    Raises:
        No: CANNOT, no name or not its one right encoding.
    """
    if len(wire) > 4 * MAX_NAME_OCTETS:
        raise No(f"A mailbox name is longer than {MAX_NAME_OCTETS} octets", code="CANNOT")
    try:
        name = utf7.decode(wire)
    except utf7.Utf7Error as error:
        raise No(f"Not a mailbox name: {error}", code="CANNOT") from None
    return fold_inbox(unicodedata.normalize("NFC", name))


def decode_utf8_name(wire: bytes) -> str:
    """A mailbox name as sent by a client that has enabled UTF-8 names.

    Raises:
        No: CANNOT, not UTF-8.

    Source: RFC 6855 section 3, RFC 9051 section 5.1.
    """
    if len(wire) > 4 * MAX_NAME_OCTETS:
        raise No(f"A mailbox name is longer than {MAX_NAME_OCTETS} octets", code="CANNOT")
    try:
        name = wire.decode("utf-8")
    except UnicodeDecodeError:
        raise No("Not a mailbox name: not UTF-8", code="CANNOT") from None
    return fold_inbox(unicodedata.normalize("NFC", name))


def fold_inbox(name: str) -> str:
    """INBOX, and INBOX/..., in the case we store."""
    if name[:5].upper() == "INBOX" and name[5:6] in ("", SEPARATOR):
        return "INBOX" + name[5:]
    return name


def check_new_name(name: str) -> str:
    """The name for CREATE and RENAME, without the one trailing separator it may have.

    Raises:
        No: CANNOT; the store checks the rest (length, depth, count).
    """
    name = name.removesuffix(SEPARATOR)
    parts = name.split(SEPARATOR)
    if not all(parts):
        raise No("A part of the name is empty", code="CANNOT")
    if any(part in (".", "..") for part in parts):
        raise No("A part of the name is . or ..", code="CANNOT")
    if any(unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn") or c in "%*\u2028\u2029" for c in name):
        raise No("A character may not stand in a mailbox name", code="CANNOT")
    if len(name.encode()) > MAX_NAME_OCTETS:
        raise No(f"The name is longer than {MAX_NAME_OCTETS} octets", code="CANNOT")
    return name


@lru_cache(maxsize=4096)
def wire_name(name: str) -> bytes:
    """A name as sent, quoted."""
    return quote(utf7.encode(name))


def decode_pattern(wire: bytes, *, utf8: bool = False) -> str:
    """Reference or pattern of LIST, in Unicode.

    Args:
        utf8: it is UTF-8, not modified UTF-7.

    Raises:
        Bad: longer than any name.
    """
    if len(wire) > MAX_PATTERN:
        raise Bad("The mailbox pattern is too long")
    try:
        return unicodedata.normalize("NFC", wire.decode("utf-8") if utf8 else utf7.decode(wire))
    except (utf7.Utf7Error, UnicodeDecodeError):
        # It can match nothing; RFC 3501 has no error for it.
        return "\0"


class Pattern:
    """Patterns of LIST: `*` is anything, `%` anything without a separator.

    A name matches when any of the texts fits.  All places of all texts that are possible
    are followed at once, one bit each, so that no pattern can make it slow (I23).

    Source: RFC 3501 section 6.3.8, RFC 5258 section 3.
    """

    def __init__(self, *texts: str) -> None:
        #: The empty name matches nothing (RFC 5258 section 3).
        kept = [_collapse(text) for text in texts if text]
        # INBOX and what lies below it match in any case.
        folded = ["INBOX" + text[5:] if text[:5].upper() == "INBOX" else text for text in kept]
        self._machine = _Machine(kept)
        self._for_inbox = self._machine if folded == kept else _Machine(folded)

    def matches(self, name: str) -> bool:
        """True when the whole name fits."""
        is_inbox = name == "INBOX" or name.startswith("INBOX" + SEPARATOR)
        return (self._for_inbox if is_inbox else self._machine).fits(name)


class _Machine:
    """Bit n is the place in front of the n-th character of all patterns, one behind the other."""

    __slots__ = ("_anything", "_begin", "_characters", "_end", "_level", "_wild")

    def __init__(self, texts: Sequence[str]) -> None:
        self._characters: dict[str, int] = {}
        self._begin = self._end = self._level = self._anything = 0
        bit = 1
        for text in texts:
            self._begin |= bit
            for character in text:
                if character == "*":
                    self._anything |= bit
                elif character == "%":
                    self._level |= bit
                else:
                    self._characters[character] = self._characters.get(character, 0) | bit
                bit <<= 1
            self._end |= bit
            bit <<= 1
        self._wild = self._anything | self._level

    def fits(self, name: str) -> bool:
        """True when one of the patterns takes the whole name."""
        # Two wildcards never stand side by side, so skipping one is enough.
        places = self._begin | (self._begin & self._wild) << 1
        for character in name:
            stays = self._anything if character == SEPARATOR else self._wild
            places = (places & self._characters.get(character, 0)) << 1 | places & stays
            if not places:
                return False
            places |= (places & self._wild) << 1
        return bool(places & self._end)


def _collapse(text: str) -> str:
    out: list[str] = []
    for character in text:
        if out and character in "*%" and out[-1] in "*%":
            # "%*", "*%" and "**" say no more than "*".
            out[-1] = "%" if out[-1] == character == "%" else "*"
        else:
            out.append(character)
    return "".join(out)
