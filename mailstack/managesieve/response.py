"""Responses as octets: strings, and the lines that end a response.

Everything a client or a script can choose goes through `string` (T67).

Standards: RFC 5804 sections 1.3 and 4.
Imports: nothing.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

#: RFC 5804 section 4: octets of a quoted string.
QUOTED_OCTETS = 1_024
_UNQUOTED = re.compile(rb"[\r\n\0]")
_MORE = "; and {} more"

Kind = Literal["OK", "NO", "BYE"]


def string(octets: bytes) -> bytes:
    """A string, quoted where it can be."""
    if len(octets) > QUOTED_OCTETS or _UNQUOTED.search(octets) or not _is_utf8(octets):
        return literal(octets)
    return b'"%b"' % octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def literal(octets: bytes) -> bytes:
    """A string behind its length."""
    return b"{%d}\r\n%b" % (len(octets), octets)


def status(kind: Kind, text: str = "", code: str = "", argument: bytes | None = None) -> bytes:
    """The end of a response.

    Args:
        text: for people.
        code: for programs, without its parentheses; "" for none.
        argument: a string that belongs to the code.
    """
    parts = [kind.encode("ascii")]
    if code:
        data = b"" if argument is None else b" " + string(argument)
        parts.append(b"(%b%b)" % (code.encode("ascii"), data))
    if text:
        parts.append(string(text.encode("utf-8", "replace")))
    return b" ".join(parts) + b"\r\n"


def one_line(sentences: Sequence[str]) -> str:
    """Several sentences in one that can be quoted; the last are only counted where they are too many.

    The widest used client library does not take a literal behind OK.
    """
    kept, octets = 0, len(_MORE)
    for sentence in sentences:
        octets += len(sentence.encode("utf-8", "replace")) + 2
        # A quote takes two octets.
        octets += sentence.count('"') + sentence.count("\\")
        if octets > QUOTED_OCTETS - len(_MORE):
            break
        kept += 1
    text = "; ".join(" ".join(sentence.replace("\0", " ").split()) for sentence in sentences[:kept])
    left = len(sentences) - kept
    if not kept:
        return f"{left} warnings that are too long to be shown"
    return text + (_MORE.format(left) if left else "")


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
