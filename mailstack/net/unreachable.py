"""Addresses that gave no connection a moment ago: the next message tries them last.

Without it each message to a host with a broken IPv6 address, or a dead first MX host, waits the
whole connection time-out again (Q12).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable

from mailstack.delivery.remote import Host

MAX_ADDRESSES = 1_000


class Unreachable:
    """Belongs to one event loop."""

    def __init__(self, hold_s: float) -> None:
        """`hold_s`: how long an address counts as unreachable, in seconds; 0: not at all."""
        self._hold_s = hold_s
        self._until: OrderedDict[tuple[str, int], float] = OrderedDict()

    def last(self, hosts: Iterable[Host]) -> list[Host]:
        """Who is not known to be unreachable comes first; else the order stays."""
        now = asyncio.get_running_loop().time()
        return sorted(hosts, key=lambda host: self._until.get((host.ip, host.port), 0.0) > now)

    def note(self, host: Host) -> None:
        """It gave no connection."""
        self._until.pop((host.ip, host.port), None)
        if self._hold_s:
            self._until[(host.ip, host.port)] = asyncio.get_running_loop().time() + self._hold_s
        while len(self._until) > MAX_ADDRESSES:
            self._until.popitem(last=False)

    def forget(self, host: Host) -> None:
        """It gave one."""
        self._until.pop((host.ip, host.port), None)
