"""What glibc's malloc keeps and what it gives back; elsewhere nothing is done.

A password hash takes 19 MiB for a moment.  After the first, malloc would take such blocks
from a heap that never shrinks, one for each thread that hashes.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Final

_M_ARENA_MAX: Final = -8
_M_MMAP_THRESHOLD: Final = -3
_M_TRIM_THRESHOLD: Final = -1
#: Blocks from this size on are mapped, and unmapped when freed: also the 256 KiB uvloop
#: sets aside for each TLS connection and hardly touches.
_LARGE_OCTETS: Final = 131_072
#: Where connections come and go by the hundred a second they come from the heap instead:
#: mapping and unmapping them takes a tenth of a handshake.  The heap keeps that much at its end.
_LARGE_IN_PASSING_OCTETS: Final = 524_288
_KEPT_OCTETS: Final = 4_194_304
#: Heaps: threads mostly wait for the interpreter's lock, so that more would only be spread out.
_ARENAS: Final = 2


def be_lean(*, in_passing: bool = False) -> None:
    """Large blocks go back when they are freed, and threads share heaps.

    Args:
        in_passing: TLS connections last for a moment each.
    """
    libc = _libc()
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_IN_PASSING_OCTETS if in_passing else _LARGE_OCTETS)
        libc.mallopt(_M_ARENA_MAX, _ARENAS)
        if in_passing:
            libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_OCTETS)


def give_back() -> None:
    """Returns what is free to the system.  Takes milliseconds; not on the event loop."""
    libc = _libc()
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
