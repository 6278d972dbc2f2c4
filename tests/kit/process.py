"""Processes of a test: started, watched and stopped by their own pid, never by name."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Nothing takes so long but on a machine that has much else to do.
WAIT_S = 60.0


class Process:
    """A subprocess whose output is collected from the first octet on."""

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        environ: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        stdin: bytes | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Starts it.

        Args:
            arguments: the command; `sys.executable` is the right Python.
            environ: variables added to ours.
        """
        self._popen = subprocess.Popen(
            [str(argument) for argument in arguments],
            cwd=cwd,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
        )
        if stdin is not None:
            assert self._popen.stdin is not None
            self._popen.stdin.write(stdin)
            self._popen.stdin.close()
        self.pid = self._popen.pid
        self._lines: list[bytes] = []
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()

    def _collect(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as stream:
            for line in stream:
                self._lines.append(line)

    @property
    def output(self) -> str:
        """What it printed so far, on stdout and stderr."""
        return b"".join(self._lines).decode("utf-8", "replace")

    @property
    def running(self) -> bool:
        """False once it has ended."""
        return self._popen.poll() is None

    def wait(self, timeout_s: float = WAIT_S) -> int:
        """Its exit status; minus the signal that killed it."""
        status = self._popen.wait(timeout_s)
        self._reader.join(1)
        return status

    def wait_for(self, text: str, timeout_s: float = WAIT_S) -> str:
        """Returns its output once `text` is in it; fails when it ends before."""
        eventually(lambda: text in self.output or not self.running, timeout_s, lambda: self.output)
        self._reader.join(0.2)
        assert text in self.output, f"ended without {text!r}:\n{self.output}"
        return self.output

    def signal(self, number: int) -> None:
        """Sends a signal, to this process alone."""
        self._popen.send_signal(number)

    def stop(self, timeout_s: float = 30.0) -> int:
        """SIGTERM, then SIGKILL; gives the exit status."""
        if self.running:
            self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            return self.wait()


@contextlib.contextmanager
def started(arguments: Sequence[str | Path], **options: object) -> Iterator[Process]:
    """A process for the length of a block; whatever it left behind is killed with it."""
    process = Process(arguments, **options)  # type: ignore[arg-type]
    try:
        yield process
    finally:
        family = descendants(process.pid)
        process.stop()
        for left in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()


def python(*arguments: str | Path) -> list[str | Path]:
    """A command line for this Python; warnings off, as a user's would be."""
    return [sys.executable, *arguments]


def open_python(*arguments: str | Path) -> tuple[list[str | Path], dict[str, str]]:
    """A command line, and variables for it, of a Python that a user who is not root may read too.

    A Python below /root is closed to everybody else: the system's own of the same version stands
    in for it, with the same packages.  Skips the test when there is none.
    """
    site = sysconfig.get_path("purelib")
    if _open_to_all(Path(os.__file__).resolve()) and _open_to_all(Path(sys.executable).resolve()):
        return python(*arguments), {}
    other = Path(f"/usr/bin/python3.{sys.version_info[1]}")
    if not other.exists() or not _open_to_all(Path(site)) or not _open_to_all(ROOT):
        pytest.skip(f"nobody but root may read {os.__file__} or {ROOT}, and no system Python stands in")
    return [other, *arguments], {"PYTHONPATH": f"{ROOT}:{site}"}


def _open_to_all(path: Path) -> bool:
    return all(step.stat().st_mode & 0o001 or step == path for step in (path, *path.parents)) and bool(
        path.stat().st_mode & 0o004
    )


def mailstack(*arguments: str | Path) -> list[str | Path]:
    """A `mailstack ...` command line of this tree."""
    return python("-m", "mailstack.cli.main", *arguments)


def descendants(pid: int) -> list[psutil.Process]:
    """All processes below `pid`, itself left out."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def alive(pid: int) -> bool:
    """True while the process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def eventually(
    holds: Callable[[], bool],
    timeout_s: float = WAIT_S,
    explain: Callable[[], object] = lambda: "",
    every_s: float = 0.02,
) -> None:
    """Waits until `holds()`; fails with `explain()` after the time."""
    until = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < until, f"not within {timeout_s} s: {explain()}"
        time.sleep(every_s)


def wait_for_port(port: int, host: str = "127.0.0.1", timeout_s: float = WAIT_S) -> None:
    """Returns once somebody listens."""

    def open_() -> bool:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            return probe.connect_ex((host, port)) == 0

    eventually(open_, timeout_s, lambda: f"nobody listens on port {port}")
