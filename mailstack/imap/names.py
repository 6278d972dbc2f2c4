"""Mailbox names on the wire, and patterns of LIST.

Inside, a name is Unicode (NFC) with "/"; on the wire it is modified UTF-7.  One name
has one encoding; INBOX is INBOX in any case, also as a parent.

Standards: RFC 3501 sections 5.1 and 6.3.8.  Numbers: limits, section 6.
Imports: mime, errors.  No I/O.
"""

from __future__ import annotations

import unicodedata
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


def decode_pattern(wire: bytes) -> str:
    """Reference or pattern of LIST, in Unicode.

    Raises:
        Bad: longer than any name.
    """
    if len(wire) > MAX_PATTERN:
        raise Bad("The mailbox pattern is too long")
    try:
        return unicodedata.normalize("NFC", utf7.decode(wire))
    except utf7.Utf7Error:
        # It can match nothing; RFC 3501 has no error for it.
        return "\0"


class Pattern:
    """`*` is anything, `%` anything without a separator; matching is linear in the name.

    All positions of the pattern that are possible are followed at once (I23).
    """

    def __init__(self, text: str) -> None:
        self._text = _collapse(text)
        # INBOX and what lies below it match in any case.
        self._for_inbox = "INBOX" + self._text[5:] if text[:5].upper() == "INBOX" else self._text

    def matches(self, name: str) -> bool:
        """True when the whole name fits."""
        is_inbox = name == "INBOX" or name.startswith("INBOX" + SEPARATOR)
        return _fits(self._for_inbox if is_inbox else self._text, name)


def _fits(pattern: str, name: str) -> bool:
    if pattern == "*":
        return True
    places = _skip(pattern, {0})
    for character in name:
        places = _skip(pattern, _step(pattern, places, character))
        if not places:
            return False
    return len(pattern) in places


def _step(pattern: str, places: set[int], character: str) -> set[int]:
    out = set()
    for at in places:
        if at == len(pattern):
            continue
        wanted = pattern[at]
        if wanted == "*" or (wanted == "%" and character != SEPARATOR):
            out.add(at)
        elif wanted == character:
            out.add(at + 1)
    return out


def _skip(pattern: str, places: set[int]) -> set[int]:
    # A wildcard may also stand for nothing.
    out = set(places)
    for at in places:
        while at < len(pattern) and pattern[at] in "*%":
            at += 1
            out.add(at)
    return out


def _collapse(text: str) -> str:
    out: list[str] = []
    for character in text:
        if out and character in "*%" and out[-1] in "*%":
            # "%*", "*%" and "**" say no more than "*".
            out[-1] = "%" if out[-1] == character == "%" else "*"
        else:
            out.append(character)
    return "".join(out)
