"""Extension "encoded-character": `${hex:...}` and `${unicode:...}` in strings.

Standards: RFC 5228 section 2.4.2.4.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from mailstack.sieve.definition import Extension

_BLANK = r"(?:[ \t]|\r\n)"
_SEQUENCE = re.compile(
    rf"\$\{{(?:hex:({_BLANK}*[0-9A-F]{{1,2}}(?:{_BLANK}+[0-9A-F]{{1,2}})*{_BLANK}*)"
    rf"|unicode:({_BLANK}*[0-9A-F]+(?:{_BLANK}+[0-9A-F]+)*{_BLANK}*))\}}",
    re.IGNORECASE,
)


def decode(text: str, error: Callable[[str], object]) -> str:
    """Replaces the sequences; octets that are no UTF-8 become lone surrogates.

    Args:
        error: told of code points that do not exist.
    """
    out = bytearray()
    end = 0
    for found in _SEQUENCE.finditer(text):
        out += text[end : found.start()].encode("utf-8", "surrogateescape")
        end = found.end()
        if found[1] is not None:
            out += bytes(int(pair, 16) for pair in found[1].split())
        else:
            out += "".join(_character(digits, error) for digits in found[2].split()).encode("utf-8")
    if not end:
        return text
    out += text[end:].encode("utf-8", "surrogateescape")
    return out.decode("utf-8", "surrogateescape")


def _character(digits: str, error: Callable[[str], object]) -> str:
    digits = digits.lstrip("0") or "0"
    code = int(digits, 16) if len(digits) <= 6 else 0x110000
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        error(f"there is no Unicode character U+{digits[:20].upper()}")
        return ""
    return chr(code)


ENCODED_CHARACTER = Extension("encoded-character", string_filter=decode)
