"""How many sessions an account has, counted over all workers of a machine.

Each session holds a lock on one octet of a shared file; the octets of an account stand
side by side.  The system gives the locks of a process back when it dies, however it does.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

#: Octets of the file for one account; with 40 bits of its name's hash below 2^63.
MAX_SLOTS = 1_000_000


class LoginSlots:
    """So many slots for each account.  One per process: locks belong to the process."""

    def __init__(self, path: Path, most: int) -> None:
        """Opens the file, made when it is missing.

        Args:
            most: slots of one account, at most MAX_SLOTS.

        Raises:
            OSError: it cannot be opened.
        """
        self._most = most
        self._taken: set[int] = set()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def take(self, key: str) -> int | None:
        """A free slot of this account; None: there is none.

        Raises:
            OSError: the system has no locks left.
        """
        digest = hashlib.blake2b(key.encode(), digest_size=5).digest()
        first = int.from_bytes(digest, "big") * MAX_SLOTS
        for slot in range(first, first + self._most):
            if slot in self._taken:
                continue
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
            except (BlockingIOError, PermissionError):
                continue
            self._taken.add(slot)
            return slot
        return None

    def release(self, slot: int) -> None:
        """Gives a slot back."""
        self._taken.discard(slot)
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, slot)

    def close(self) -> None:
        """Gives everything back."""
        os.close(self._fd)
