"""One process at a time: a second one has nothing to wait for, or waits, but not for ever."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from mailstack.disk.durable import guarded
from mailstack.model.errors import TemporaryFailure


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


def lock_within(fd: int, wait_s: float, why: str, *, nap_s: float) -> None:
    """Locks an open file for this process alone; its holder may be stopped, and is not waited for for ever.

    Args:
        why: what is said when somebody holds it for longer.
        nap_s: between two tries.

    Raises:
        TemporaryFailure: somebody did.
        OSError: the disk is in trouble.
    """
    until = 0.0
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            now = time.monotonic()
            until = until or now + wait_s
            if now > until:
                raise TemporaryFailure(why) from None
            time.sleep(nap_s)
        else:
            return
