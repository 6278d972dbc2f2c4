"""Tells whether the last to use a database left it in order, and whether it is still there.

A database whose users were killed has its newest changes in its -wal.  When that file is
gone too, nothing in the database shows it, and numbers given out since would be given out
again.  So a file says "in use" from the first who opens until the last who closes in
order; whoever is here holds a shared lock on it, which ends with the process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

_IN_USE = b"in use\n"


def boot_id() -> str:
    """What changes when the machine starts; "" where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def is_replaced(path: Path, inode: int) -> bool:
    """True when a file with this inode is no longer what the path leads to."""
    try:
        return os.stat(path).st_ino != inode
    except OSError:
        return True


class Presence:
    """One process's use of the database of one home; not for several threads at a time."""

    def __init__(self, home: Path) -> None:
        self._path = home / "in-use"
        self._wal = home / "account.db-wal"
        self._fd = -1

    def enter(self) -> bool:
        """Begins to use it; to be called with the home's lock held, before it is opened.

        Returns:
            False when everybody before was killed and what they left is gone.

        Raises:
            OSError.
        """
        self.leave()
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            in_order = not (self._is_first(fd) and os.pread(fd, 1, 0) and not self._wal.exists())
            fcntl.flock(fd, fcntl.LOCK_SH)
            # Not synced: after a loss of power everything is counted on anyway.
            os.pwrite(fd, _IN_USE, 0)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return in_order

    def leave(self) -> None:
        """Ends to use it; to be called when it is closed."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        with contextlib.suppress(OSError):
            # Closed in order, by the last one: SQLite removed the -wal itself.
            if self._is_first(fd) and not self._wal.exists():
                os.ftruncate(fd, 0)
        os.close(fd)

    @staticmethod
    def _is_first(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
