"""The message ids by which messages refer to each other.

Bounded: of a long References field the first id (the root of the thread) and the last
ones (the nearest ancestors) count.

Standards: RFC 5322 section 3.6.4.
Imports: header.  No I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mailstack.mime.header import find_end

#: Octets of a header block that are looked at.
MAX_BLOCK_OCTETS = 64 * 1024
#: Ancestors that are kept: the root and the nearest.
MAX_ANCESTORS = 20
#: A longer id is no id.
MAX_ID_OCTETS = 998

_FIELD = re.compile(
    rb"^(message-id|references|in-reply-to)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.MULTILINE | re.IGNORECASE
)
_ID = re.compile(rb"<([^<>\s]+)>")


@dataclass(frozen=True, slots=True)
class Links:
    """What a message is called, and what it answers.

    Attributes:
        own: its message id without the angle brackets; b"" when there is none.
        ancestors: of References, else In-Reply-To; the root first.
    """

    own: bytes
    ancestors: tuple[bytes, ...]


def read(data: bytes) -> Links:
    """The links of the message that begins with `data`; of each field the first counts."""
    _, end = find_end(data[:MAX_BLOCK_OCTETS])
    found: dict[bytes, bytes] = {}
    for match in _FIELD.finditer(data, 0, end):
        found.setdefault(match[1].lower(), match[2])
    own = _ids(found.get(b"message-id", b""))
    ancestors = _ids(found.get(b"references", b"")) or _ids(found.get(b"in-reply-to", b""))
    if len(ancestors) > MAX_ANCESTORS:
        ancestors = [ancestors[0], *ancestors[1 - MAX_ANCESTORS :]]
    return Links(own[0] if own else b"", tuple(ancestors))


def _ids(value: bytes) -> list[bytes]:
    return [each for each in _ID.findall(value) if len(each) <= MAX_ID_OCTETS]
