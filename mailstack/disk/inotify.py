"""Linux inotify: which directories changed, without looking at them.

Only names of directories come out, never what happened: whoever is told looks himself,
so a lost, doubled or foreign event costs a look and nothing else.  `libc` is called
directly because the standard library has nothing and the call is five lines.

One event loop or thread at a time; nothing here blocks.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import Final, NamedTuple

_CLOEXEC: Final = 0o2000000
_NONBLOCK: Final = 0o4000
_MOVED_FROM: Final = 0x40
_MOVED_TO: Final = 0x80
_CREATE: Final = 0x100
_DELETE: Final = 0x200
_Q_OVERFLOW: Final = 0x4000
_IGNORED: Final = 0x8000
_ONLYDIR: Final = 0x1000000
_DONT_FOLLOW: Final = 0x2000000
_MASK: Final = _CREATE | _DELETE | _MOVED_FROM | _MOVED_TO | _ONLYDIR | _DONT_FOLLOW
_HEAD: Final = struct.Struct("iIII")
_READ_OCTETS: Final = 65_536


class Events(NamedTuple):
    """What `read` found.

    Attributes:
        changed: watches whose directory got, lost or renamed an entry.
        gone: watches that have ended: the directory was removed or unmounted.
        overflow: events were lost; every directory may have changed.
    """

    changed: frozenset[int]
    gone: frozenset[int]
    overflow: bool


class Inotify:
    """One inotify instance."""

    def __init__(self) -> None:
        """Opens it.

        Raises:
            OSError: there is no inotify, or no instance left for this user.
        """
        libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(libc, "inotify_init1"):
            raise OSError(errno.ENOSYS, "this system has no inotify")
        self._libc = libc
        self.fd: int = libc.inotify_init1(_CLOEXEC | _NONBLOCK)
        if self.fd < 0:
            raise _error("inotify_init1")

    def add(self, directory: str) -> int:
        """Watches a directory; the same directory has the same number.

        Raises:
            OSError: ENOSPC when this user may watch no more; ENOENT, ENOTDIR, EACCES.
        """
        watch: int = self._libc.inotify_add_watch(self.fd, os.fsencode(directory), _MASK)
        if watch < 0:
            raise _error(directory)
        return watch

    def remove(self, watch: int) -> None:
        """Ends a watch; one that has ended is no error."""
        self._libc.inotify_rm_watch(self.fd, watch)

    def read(self) -> Events:
        """What happened since the last call; nothing, when nothing did."""
        changed, gone, overflow = set(), set(), False
        try:
            data = os.read(self.fd, _READ_OCTETS)
        except BlockingIOError:
            data = b""
        at = 0
        while at + _HEAD.size <= len(data):
            watch, mask, _, name_octets = _HEAD.unpack_from(data, at)
            at += _HEAD.size + name_octets
            if mask & _Q_OVERFLOW:
                overflow = True
            elif mask & _IGNORED:
                gone.add(watch)
            else:
                changed.add(watch)
        return Events(frozenset(changed), frozenset(gone), overflow)

    def close(self) -> None:
        """Ends all watches."""
        os.close(self.fd)


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)
