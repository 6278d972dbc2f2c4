"""One process at a time, where a second one has nothing to wait for."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from mailstack.disk.durable import guarded


@contextlib.contextmanager
def alone(path: Path, doing: str) -> Iterator[bool]:
    """Gives True, and holds the lock, unless somebody else holds it.  Ends with the process, too.

    Args:
        doing: what was being done, for the words of an error.

    Raises:
        TemporaryFailure: the lock's file cannot be opened.
    """
    with guarded(doing):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)
