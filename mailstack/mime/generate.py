"""The one writer of header fields for mail that mailstack itself composes.

DSNs, vacation replies, notices: whatever text they quote from outside can never
become a second field, because control characters are taken out here, after all
decoding and before encoding (T44).

Standards: RFC 5322 sections 2.2 and 3.4, RFC 2047, RFC 2231, RFC 6532.  No I/O.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote as percent

#: RFC 5322 section 2.1.1: the limit a line should keep, and the one it must.
WANTED_OCTETS = 78
MAX_LINE_OCTETS = 998
#: A value longer than this is cut: no header of ours needs more.
MAX_VALUE_OCTETS = 8 * 1024

_NAME = re.compile(r"[!-9;-~]{1,76}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x80-\x9f\u2028\u2029\ud800-\udfff]+")
_ATOM_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+\Z")
_WORD_OCTETS = 45  # base64 of 45 octets is 60 characters; an encoded word has at most 75


def clean(text: str) -> str:
    """Text on one line: every run of control characters becomes one space."""
    return _CONTROL.sub(" ", text).strip()


def header(name: str, value: str) -> bytes:
    """An unstructured field, such as Subject: cleaned, encoded, folded, with CRLF.

    Text that looks like an encoded word is encoded itself, so that a reader shows it and
    decodes nothing.

    Args:
        value: any text; cut at MAX_VALUE_OCTETS.

    Raises:
        ValueError: `name` is no field name; a mistake of ours.
    """
    return text(name, _cut(clean(value)))


def text(name: str, value: str) -> bytes:
    """As `header`, whatever its length: for a field that is somebody else's.

    Raises:
        ValueError: `name` is no field name.
    """
    value = clean(value)
    return _folded(name, value.split(" ") if _is_plain(value) else _encoded_words(value))


def structured(name: str, value: str) -> bytes:
    """A field whose value is ready: cleaned, folded at spaces, not encoded.

    Non-ASCII stays UTF-8 (RFC 6532), for addresses and ids that have it.

    Raises:
        ValueError: `name` is no field name.
    """
    return _folded(name, _cut(clean(value)).split(" "))


def address_list(name: str, mailboxes: Iterable[tuple[str, str]]) -> bytes:
    """A field of addresses.

    Args:
        mailboxes: (display name or "", addr-spec as `str(Address)` writes it).

    Raises:
        ValueError: an addr-spec holds a space outside quotes, "<", ">" or a control character.
    """
    words: list[str] = []
    for display, spec in mailboxes:
        if words:
            words[-1] += ","
        words += mailbox(display, spec)
    return _folded(name, words)


def mailbox(display: str, spec: str) -> list[str]:
    """The words of one `name <address>`, for folding between them."""
    if _CONTROL.search(spec) or not re.match(r'(?:[^<>"\s]+|"(?:[^"\\]|\\.)*"@[^<>"\s]+)\Z', spec):
        raise ValueError("not an addr-spec")
    display = _cut(clean(display))
    if not display:
        return [f"<{spec}>"]
    if _ATOM_PHRASE.match(display) and "=?" not in display:
        return [*display.split(" "), f"<{spec}>"]
    if _is_plain(display):
        quoted = display.replace("\\", "\\\\").replace('"', '\\"')
        return [f'"{quoted}"', f"<{spec}>"]
    return [*_encoded_words(display), f"<{spec}>"]


def parameter(name: str, value: str) -> str:
    """`name=value` for Content-Type or Content-Disposition, quoted or percent-encoded.

    Source: RFC 2045 section 5.1, RFC 2231 section 4.
    """
    value = clean(value)
    if _TOKEN.match(value):
        return f"{name}={value}"
    if value.isascii():
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{name}="{quoted}"'
    return f"{name}*=utf-8''{percent(value, safe='')}"


def _is_plain(text: str) -> bool:
    return text.isascii() and "=?" not in text and all(len(word) < 900 for word in text.split(" "))


def _cut(text: str) -> str:
    octets = text.encode("utf-8")
    return text if len(octets) <= MAX_VALUE_OCTETS else octets[:MAX_VALUE_OCTETS].decode("utf-8", "ignore")


def _encoded_words(text: str) -> list[str]:
    """RFC 2047 section 2 and 5: whole characters only in each word."""
    words: list[str] = []
    piece = b""
    for character in text:
        octets = character.encode("utf-8")
        if len(piece) + len(octets) > _WORD_OCTETS:
            words.append(_encoded_word(piece))
            piece = b""
        piece += octets
    if piece:
        words.append(_encoded_word(piece))
    return words


def _encoded_word(octets: bytes) -> str:
    return f"=?utf-8?b?{base64.b64encode(octets).decode('ascii')}?="


def _folded(name: str, words: Iterable[str]) -> bytes:
    if not _NAME.match(name):
        raise ValueError(f"{name!r} is not a field name")
    lines: list[bytes] = []
    line = name.encode("ascii") + b":"
    fresh = True
    for word in words:
        # A line may not consist of white space alone, so an empty word goes with the next.
        octets = word.encode("utf-8")[: MAX_LINE_OCTETS - 80]
        if not fresh and len(line) + 1 + len(octets) > WANTED_OCTETS and octets and line.strip():
            lines.append(line)
            line = b""
        line += b" " + octets
        fresh = False
    lines.append(line)
    return b"\r\n".join(lines) + b"\r\n"
