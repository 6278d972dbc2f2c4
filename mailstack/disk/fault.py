"""Named places where a test can make the process die, fail or wait.

`MAILSTACK_FAULT=name:action[:occurrence]` arms one place; without the variable
`fault_point` does nothing.  Actions: `exit` (status 137, as kill -9 leaves it),
`enospc`, `eio` (raise that OSError), `sleep` (30 s).  Occurrence counts from 1 per
process.  The places are listed in docs/operations.md.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable

SLEEP_S = 30.0


def _disarmed(name: str) -> None:
    """Nothing is armed."""


def _armed(setting: str) -> Callable[[str], None]:
    parts = setting.split(":")
    if len(parts) not in (2, 3) or parts[1] not in ("exit", "enospc", "eio", "sleep"):
        raise ValueError("MAILSTACK_FAULT wants name:exit|enospc|eio|sleep[:occurrence]")
    wanted, action = parts[0], parts[1]
    occurrence = int(parts[2]) if len(parts) == 3 else 1
    lock = threading.Lock()
    seen = 0

    def fault(name: str) -> None:
        nonlocal seen
        if name != wanted:
            return
        with lock:
            seen += 1
            due = seen == occurrence
        if not due:
            return
        if action == "exit":
            os._exit(137)
        if action == "sleep":
            time.sleep(SLEEP_S)
            return
        code = errno.ENOSPC if action == "enospc" else errno.EIO
        raise OSError(code, os.strerror(code), f"fault point {name}")

    return fault


_setting = os.environ.get("MAILSTACK_FAULT", "")
fault_point: Callable[[str], None] = _armed(_setting) if _setting else _disarmed


def is_armed(name: str) -> bool:
    """True when this place is armed: for what only a test needs, such as writing in two halves."""
    return _setting.startswith(f"{name}:")
