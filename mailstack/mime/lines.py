"""Line ends: what we store and serve has CRLF and no other CR or LF.

A bare LF becomes CRLF; a bare CR becomes a space, because some readers would begin a
new header line after it.

Standards: RFC 5322 section 2.1, RFC 3501 section 4.3.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_BARE_LF = re.compile(rb"(?<!\r)\n")
_BARE_CR = re.compile(rb"\r(?!\n)")


def is_clean(data: bytes) -> bool:
    """True when every CR and every LF is part of a CRLF."""
    feeds = data.count(b"\n")
    return feeds == data.count(b"\r") == data.count(b"\r\n")


def normalise(data: bytes) -> bytes:
    """The same text with CRLF line ends; `data` itself when there is nothing to do."""
    if is_clean(data):
        return data
    return _BARE_CR.sub(b" ", _BARE_LF.sub(b"\r\n", data))


def normalise_chunks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """As `normalise`, for a message that comes in pieces of any size."""
    held = b""
    for chunk in chunks:
        chunk = held + chunk
        held = b""
        if chunk.endswith(b"\r"):
            chunk, held = chunk[:-1], b"\r"
        if chunk:
            yield normalise(chunk)
    if held:
        yield b" "
