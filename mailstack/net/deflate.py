"""DEFLATE on a connection: small windows, bounded output, nothing kept while idle.

The peer may use any window up to 32 KiB, which costs us as much once it has sent that much.
Our own is 4 KiB (32 KiB with zlib's tables), and it is given up whenever the session waits
for long: a new compressor goes on at the octet boundary a flush leaves behind.

Standards: RFC 1951, RFC 4978.  Threat T70.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from mailstack.model.asking import HangUp

if TYPE_CHECKING:
    from zlib import _Compress

#: 4 KiB of window, hash tables to match: 16 + 16 KiB of memory.
_WINDOW_BITS: Final = -12
_MEMORY_LEVEL: Final = 5
_LEVEL: Final = 3


class Deflate:
    """Both directions of one connection.

    Attributes:
        has_more: `unpack` may give more without being given any.
    """

    __slots__ = ("_inflate", "_left", "_pack", "has_more")

    def __init__(self) -> None:
        self._pack: _Compress | None = None
        self._inflate = zlib.decompressobj(-15)
        self._left = b""
        self.has_more = False

    def pack(self, data: bytes) -> bytes:
        """Compresses all of `data` so that the peer can read all of it at once."""
        if self._pack is None:
            self._pack = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL)
        return self._pack.compress(data) + self._pack.flush(zlib.Z_SYNC_FLUSH)

    def rest(self) -> None:
        """Gives memory back; what comes later is compressed afresh."""
        self._pack = None

    def unpack(self, data: bytes, most: int) -> bytes:
        """Takes what came from the peer.

        Args:
            data: behind what was given before; b"" to get more of that.
            most: octets to give at most, above 0; the others wait, still compressed.

        Raises:
            HangUp: this is no DEFLATE, or it has ended, which IMAP has no use for.
        """
        try:
            found = self._inflate.decompress(self._left + data if self._left else data, most)
        except zlib.error:
            raise HangUp("This is not compressed data") from None
        if self._inflate.eof:
            raise HangUp("The compressed data has ended")
        self._left = self._inflate.unconsumed_tail
        # A full answer may leave the rest of a match inside zlib, with no octet unread.
        self.has_more = bool(self._left) or len(found) == most
        return found
