"""Free TCP ports below the ephemeral range, so that no client socket takes them."""

from __future__ import annotations

import os
import random
import socket
from collections import deque


def _range() -> tuple[int, int]:
    """Linux gives clients ports from 32768 on; test processes beside each other share what is below."""
    lowest, count = 20_000, 12_767
    share = count // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return lowest + number * share, lowest + (number + 1) * share


LOWEST, HIGHEST = _range()
_chance = random.Random(os.getpid())
#: Those given lately: whoever asked may not listen there yet, or may want nobody to.
_given: deque[int] = deque(maxlen=(HIGHEST - LOWEST) // 4)


def is_free(port: int) -> bool:
    """True when the port can be bound on the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """One free port."""
    return free_base((0,))


def free_base(offsets: tuple[int, ...]) -> int:
    """A base so that base + offset is free for every offset."""
    for _ in range(200):
        base = _chance.randrange(LOWEST, HIGHEST - max(offsets))
        ports = [base + offset for offset in offsets]
        if not any(port in _given for port in ports) and all(map(is_free, ports)):
            _given.extend(ports)
            return base
    raise RuntimeError("no free ports")
