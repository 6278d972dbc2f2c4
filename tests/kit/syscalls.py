"""Reads an strace log into events in the order they began and ended."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_LINE = re.compile(r"^(?:\[pid\s+)?(\d+)\]?\s+(.*)$")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)$")
_CALL = re.compile(r"(\w+)\((.*)$")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call.  `began` and `ended` are line numbers of the log."""

    pid: int
    name: str
    text: str
    began: int
    ended: int

    @property
    def ok(self) -> bool:
        """False when it failed."""
        return not re.search(r"= -1 E[A-Z]+", self.text)


def parse(lines: Sequence[str]) -> Iterator[Call]:
    """The calls of an `strace -f -y` log."""
    open_: dict[int, tuple[str, str, int]] = {}
    for number, line in enumerate(lines):
        match = _LINE.match(line)
        if match is None:
            continue
        pid, text = int(match.group(1)), match.group(2)
        resumed = _RESUMED.match(text)
        if resumed is not None:
            begun = open_.pop(pid, None)
            if begun is not None:
                yield Call(pid, begun[0], begun[1] + resumed.group(2), begun[2], number)
            continue
        call = _CALL.match(text)
        if call is None:
            continue
        if "<unfinished ...>" in text:
            open_[pid] = (call.group(1), call.group(2), number)
        else:
            yield Call(pid, call.group(1), call.group(2), number, number)
