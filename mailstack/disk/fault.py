"""Named places where a test can make the process die, fail or wait.

`MAILSTACK_FAULT=name:action[:occurrence],...` arms places; without the variable
`fault_point` does nothing.  Actions: `exit` (status 137, as kill -9 leaves it), `enospc`,
`eio` (raise that OSError), `sleep` (30 s, or MAILSTACK_FAULT_SLEEP_S).  Occurrence counts
from 1 per process.
`MAILSTACK_FAULT_ONCE=FOLDER`: of all processes together each fault comes once; the folder
then holds a file for each that came.  The places are listed in docs/operations.md.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

SLEEP_S = float(os.environ.get("MAILSTACK_FAULT_SLEEP_S", "30"))
_ACTIONS = ("exit", "enospc", "eio", "sleep")


@dataclass(slots=True)
class _Fault:
    name: str
    action: str
    occurrence: int
    seen: int = 0


def _disarmed(name: str) -> None:
    """Nothing is armed."""


def _parse(setting: str) -> _Fault:
    name, _, rest = setting.partition(":")
    action, _, occurrence = rest.partition(":")
    if action not in _ACTIONS or not (occurrence or "1").isdecimal():
        raise ValueError("MAILSTACK_FAULT wants name:exit|enospc|eio|sleep[:occurrence],...")
    return _Fault(name, action, int(occurrence or "1"))


def _armed(setting: str, once: str = "") -> Callable[[str], None]:
    faults = [_parse(one) for one in setting.split(",")]
    lock = threading.Lock()

    def point(name: str) -> None:
        due = []
        with lock:
            for fault in faults:
                if fault.name == name:
                    fault.seen += 1
                    if fault.seen == fault.occurrence or (once and fault.seen > fault.occurrence):
                        due.append(fault)
        for fault in due:
            if not once or _is_first(once, fault):
                _strike(fault)

    return point


def _is_first(folder: str, fault: _Fault) -> bool:
    with contextlib.suppress(FileExistsError):
        os.close(os.open(f"{folder}/{fault.name}.{fault.action}", os.O_CREAT | os.O_EXCL, 0o600))
        return True
    return False


def _strike(fault: _Fault) -> None:
    os.write(2, f"fault point {fault.name}: {fault.action}\n".encode())
    if fault.action == "exit":
        os._exit(137)
    if fault.action == "sleep":
        time.sleep(SLEEP_S)
        return
    code = errno.ENOSPC if fault.action == "enospc" else errno.EIO
    raise OSError(code, os.strerror(code), f"fault point {fault.name}")


_setting = os.environ.get("MAILSTACK_FAULT", "")
fault_point: Callable[[str], None] = (
    _armed(_setting, os.environ.get("MAILSTACK_FAULT_ONCE", "")) if _setting else _disarmed
)


def is_armed(name: str) -> bool:
    """True when this place is armed: for what only a test needs, such as writing in two halves."""
    return any(one.startswith(f"{name}:") for one in _setting.split(","))
