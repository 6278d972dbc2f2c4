"""Tells whether a database is as the last to use it has left it, and whether it is still there.

A database whose users were killed has its newest changes in its -wal.  When that file is
gone too, nothing in the database shows it, and numbers given out since would be given out
again; so they would be when an older copy is put back.  And a -wal that was left by
another database than the one beside it destroys that one when it is opened.

So a file says "in use", with the inodes of both, from the first who opens until the last
who closes in order, who writes down how the database looks then; whoever is here holds a
shared lock on it, which ends with the process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

_IN_USE = b"in use\n"
_OCTETS = 200


def boot_id() -> str:
    """What changes when the machine starts; "" where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def is_replaced(path: Path, inode: int) -> bool:
    """True when a file with this inode is no longer what the path leads to."""
    return _inode(path) != inode


def _inode(path: Path) -> int:
    """0: there is no such file."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def forget(home: Path) -> None:
    """Whoever puts another database in place, in order, has the old one forgotten; with the home's lock held.

    Raises:
        OSError.
    """
    fd = os.open(home / "in-use", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if Presence.is_first(fd):
            _say(fd, b"")
    finally:
        os.close(fd)


class Presence:
    """One process's use of the database of one home; not for several threads at a time."""

    def __init__(self, home: Path) -> None:
        self._path = home / "in-use"
        self._database = home / "account.db"
        self._wal = home / "account.db-wal"
        self._shm = home / "account.db-shm"
        self._fd = -1
        self._inode = 0

    def enter(self) -> bool:
        """Begins to use it; to be called with the home's lock held, before it is opened.

        A -wal that belongs to another database is removed.

        Returns:
            False when it is not as it was left: changes are gone, or it was put back.

        Raises:
            OSError.
        """
        self.leave()
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            is_first = self.is_first(fd)
            words = os.pread(fd, _OCTETS, 0).split()
            in_order = not (is_first and (self._was_lost(words) or self._was_changed(words)))
            if self._has_strange_wal(words):
                # Whoever has the other database open still holds these files, without a name.
                for path in (self._wal, self._shm):
                    path.unlink(missing_ok=True)
                in_order = False
            fcntl.flock(fd, fcntl.LOCK_SH)
            if is_first:
                _say(fd, _IN_USE)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return in_order

    def say(self) -> None:
        """Says what is in use; to be called when it is open."""
        # Not synced: after a loss of power everything is counted on anyway.
        self._inode = _inode(self._database)
        _say(self._fd, b"in use %d %d\n" % (self._inode, _inode(self._wal)))

    def leave(self) -> None:
        """Ends to use it; to be called when it is closed."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        with contextlib.suppress(OSError):
            # Closed in order, by the last one: SQLite removed the -wal itself.
            if self.is_first(fd) and not self._wal.exists():
                # Of another one in its place nothing is known but that it is another.
                is_ours = self._inode > 0 and _inode(self._database) == self._inode
                _say(fd, b"closed %d %d %d\n" % self._look() if is_ours else b"")
        os.close(fd)

    def _look(self) -> tuple[int, int, int]:
        found = os.stat(self._database)
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _was_lost(self, words: list[bytes]) -> bool:
        """Everybody before was killed, and what they left is gone."""
        return words[:2] == [b"in", b"use"] and not self._wal.exists()

    def _was_changed(self, words: list[bytes]) -> bool:
        """It does not look as when it was closed."""
        if words[:1] != [b"closed"]:
            return False
        try:
            return words[1:] != [b"%d" % each for each in self._look()]
        except OSError:
            return True

    def _has_strange_wal(self, words: list[bytes]) -> bool:
        """The database was replaced, and the -wal of the other one is still there."""
        if words[:2] != [b"in", b"use"] or len(words) != 4:
            return False
        inode, wal = _inode(self._database), _inode(self._wal)
        return wal > 0 and b"%d" % wal == words[3] and b"%d" % inode != words[2]

    @staticmethod
    def is_first(fd: int) -> bool:
        """True, and locked, when nobody else uses it."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _say(fd: int, text: bytes) -> None:
    os.pwrite(fd, text, 0)
    os.ftruncate(fd, len(text))
