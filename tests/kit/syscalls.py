"""System calls of running processes: read from an strace log in their order, or made to fail."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.kit import debian
from tests.kit.process import eventually

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


def is_traced(pid: int) -> bool:
    """True once strace holds it."""
    return "TracerPid:\t0" not in Path(f"/proc/{pid}/status").read_text()


@contextlib.contextmanager
def failing(
    pids: Sequence[int], calls: str, path: Path, *, error: str = "EIO"
) -> Iterator[subprocess.Popen[bytes]]:
    """Lets these calls (`fsync,fdatasync`) of running processes fail while they are about one path."""
    words = [word for pid in pids for word in ("-p", str(pid))]
    inject = ["-e", f"trace={calls}", "-e", f"inject={calls}:error={error}"]
    tracer = subprocess.Popen(
        [debian.need("strace"), "-f", "-q", "-P", str(path), *inject, "-o", "/dev/null", *words]
    )
    try:
        eventually(lambda: all(is_traced(pid) for pid in pids))
        yield tracer
    finally:
        tracer.terminate()
        tracer.wait(20)
