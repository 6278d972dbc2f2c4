"""How many there are of something, by key: in this process, or in all that share a file.

`SharedCounts` is a table in mapped memory with a row for each process: everybody writes
only its own row and reads the sum, without locks or system calls.  A row belongs to whoever
holds the lock on its octet; the system takes the lock from a process that dies, and the next
one that looks clears what it left.  Keys are hashed to two cells and the smaller sum counts,
so that two keys that share one cell do not add up.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import time
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol

#: Processes that can share a file; two generations of workers overlap when the configuration changes.
ROWS: Final = 64
#: Cells of a row; a process has some hundred connections.
CELLS: Final = 16_384
#: Looking for the dead costs 0.2 ms; a flood of clients above their limits asks for it each time.
REAP_S: Final = 1.0
#: A cell holds no more.
MOST: Final = 65_535
_ROW_OCTETS: Final = CELLS * 2
_EMPTY: Final = bytes(_ROW_OCTETS)
#: The cell behind the table counts how often a row was taken, so that others look anew.
_CLAIMS: Final = ROWS * CELLS
_OCTETS: Final = (_CLAIMS + 1) * 2
#: Octets whose locks are the rows'; the last guards the claiming.
_LOCKS: Final = _OCTETS
_GUARD: Final = _LOCKS + ROWS


class Counts(Protocol):
    """Counts by key."""

    def add(self, key: str, change: int) -> int:
        """Adds; gives the new count of all processes."""
        ...

    def reap(self) -> None:
        """Forgets what processes that died had counted."""
        ...


class LocalCounts:
    """Of this process."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, key: str, change: int) -> int:
        """Adds; gives the new count."""
        count = self._counts.get(key, 0) + change
        if count:
            self._counts[key] = count
        else:
            self._counts.pop(key, None)
        return count

    def reap(self) -> None:
        """Nobody else is here."""


class SharedCounts:
    """Of all processes that share a file."""

    def __init__(self, path: Path) -> None:
        """Opens the file, made when it is missing, and takes a row.

        Raises:
            OSError: it cannot be opened, or has no row left.
        """
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.ftruncate(self._fd, _GUARD + 1)
            self._map = mmap.mmap(self._fd, _OCTETS)
            self._cells = memoryview(self._map).cast("H")
            self._row = self._claim()
        except BaseException:
            os.close(self._fd)
            raise
        self._start = self._row * CELLS
        self._others: list[int] = []
        self._seen = -1
        self._reaped_at = float("-inf")
        self._reap()

    def add(self, key: str, change: int) -> int:
        """Adds; gives the new count of all processes."""
        cells = self._cells
        if cells[_CLAIMS] != self._seen:
            self._reap()
        first, second = _cells_of(key)
        one = self._change(first, change)
        other = self._change(second, change) if second != first else one
        for start in self._others:
            one += cells[start + first]
            other += cells[start + second]
        return min(one, other)

    def _change(self, cell: int, change: int) -> int:
        at = self._start + cell
        count = self._cells[at]
        if change:
            count = min(max(count + change, 0), MOST)
            self._cells[at] = count
        return count

    def reap(self) -> None:
        """Clears rows of processes that died; looks which rows are in use.  Once a second at most."""
        now = time.monotonic()
        if now - self._reaped_at >= REAP_S:
            self._reaped_at = now
            self._reap()

    def _reap(self) -> None:
        self._seen = self._cells[_CLAIMS]
        others = []
        for row in range(ROWS):
            if row == self._row:
                continue
            if not self._lock(_LOCKS + row):
                others.append(row * CELLS)
                continue
            start = row * _ROW_OCTETS
            if self._map[start : start + _ROW_OCTETS] != _EMPTY:
                self._clear(row)
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, _LOCKS + row)
        self._others = others

    def close(self) -> None:
        """Gives the row back."""
        self._clear(self._row)
        self._cells.release()
        self._map.close()
        os.close(self._fd)

    def _claim(self) -> int:
        fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, _GUARD)
        try:
            for row in range(ROWS):
                if self._lock(_LOCKS + row):
                    self._clear(row)
                    self._cells[_CLAIMS] = (self._cells[_CLAIMS] + 1) % (MOST + 1)
                    return row
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, _GUARD)
        raise OSError(f"more than {ROWS} processes share the file")

    def _lock(self, octet: int) -> bool:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, octet)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _clear(self, row: int) -> None:
        start = row * _ROW_OCTETS
        self._map[start : start + _ROW_OCTETS] = _EMPTY


@lru_cache(maxsize=4096)
def _cells_of(key: str) -> tuple[int, int]:
    digest = hashlib.blake2b(key.encode(), digest_size=4).digest()
    return int.from_bytes(digest[:2], "big") % CELLS, int.from_bytes(digest[2:], "big") % CELLS


class Prefixed:
    """Counts of one thing beside those of others, in the same place."""

    def __init__(self, counts: Counts, prefix: str) -> None:
        """`prefix`: of its keys."""
        self._counts = counts
        self._prefix = prefix

    def add(self, key: str, change: int) -> int:
        """Adds; gives the new count."""
        return self._counts.add(self._prefix + key, change)

    def reap(self) -> None:
        """Forgets what processes that died had counted."""
        self._counts.reap()
