"""Who holds a claim, and whether that process is still alive.

A process that claims has a lock file of its own, locked as long as it lives: the kernel
unlocks it at its death, whatever the cause, and process ids that were used again cannot
deceive.  A claim whose holder is dead is released when the next process starts; one whose
holder cannot be checked (another machine) when the lease runs out (Q21).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from mailstack.delivery.spool import QueuePaths
from mailstack.disk.durable import guarded, make_folder

#: Nobody takes longer to make his lock file.
_BEGINNING_S = 600.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def folder_of(paths: QueuePaths) -> Path:
    """Where the lock files lie."""
    return paths.queue_db.parent / "leases"


class Lease:
    """One process's right to claim.

    Attributes:
        owner: its name in the database: process id, boot id, chance.
    """

    def __init__(self, paths: QueuePaths, *, random_bytes: Callable[[int], bytes]) -> None:
        """Makes and locks the file.

        Raises:
            TemporaryFailure: the file cannot be made.
        """
        folder = folder_of(paths)
        self.owner = f"{os.getpid()}-{_boot_id()}-{random_bytes(4).hex()}"
        self._path = folder / self.owner
        with guarded("making a lease"):
            make_folder(folder)
            # Locked before it has its name: nobody ever sees it unlocked while we live.
            temporary = folder / f".{self.owner}"
            self._fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(temporary, self._path)

    def close(self) -> None:
        """Gives the right up."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        os.close(self._fd)


def is_alive(paths: QueuePaths, owner: str) -> bool | None:
    """True while the holder lives, False after its death, None when it left no lock file."""
    try:
        fd = os.open(folder_of(paths) / owner, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def sweep(paths: QueuePaths) -> None:
    """Removes the lock files of the dead; only after their claims were released."""
    with contextlib.suppress(OSError):
        for path in folder_of(paths).iterdir():
            if path.name.startswith(".") and time.time() - path.stat().st_mtime < _BEGINNING_S:
                continue  # whoever starts beside us makes it just now, and has not locked it yet
            if is_alive(paths, path.name) is False:
                with contextlib.suppress(OSError):
                    path.unlink()


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().replace("-", "")[:12]
    except OSError:
        return "unknown"
