r"""Addresses of type "utf-8" as reports and ORCPT write them: `\x{FC}` for what may not stand there.

Standards: RFC 6533 section 3.  No I/O.
"""

from __future__ import annotations

import re

_ESCAPED = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")


def encode(address: str, *, keep_utf8: bool = False) -> str:
    """The 7-bit form.

    Args:
        keep_utf8: only what ORCPT forbids is escaped, for peers that speak SMTPUTF8.
    """
    return "".join(f"\\x{{{ord(c):02X}}}" if _is_escaped(c, keep_utf8) else c for c in address)


def decode(text: str) -> str:
    """The address behind it; what is no escape of a printable character stays as it is."""
    return _ESCAPED.sub(_character, text)


def _is_escaped(character: str, keep_utf8: bool) -> bool:
    if character.isascii():
        return not "!" <= character <= "~" or character in "\\+="
    return not keep_utf8


def _character(match: re.Match[str]) -> str:
    point = int(match[1], 16)
    is_usable = point <= 0x10FFFF and not 0xD800 <= point < 0xE000 and chr(point).isprintable()
    return chr(point) if is_usable else match[0]
