"""Virus scanners for tests: Debian's clamd with one signature of our own, and one that lies.

with real_clamd(folder) as address: ...       # skips the test when clamd is not there
async with FakeClamd(folder, answer) as fake: ...
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.debian import need_unpacked

#: What the signature finds, also inside attachments.
VIRUS = b"mailstack-virus-test-string"
#: The name under which clamd tells of it.
NAME = "Own.Test.Signature.UNOFFICIAL"
START_S = 30.0


@contextlib.contextmanager
def real_clamd(folder: Path, *, stream_octets: int = 26_214_400) -> Iterator[str]:
    """Runs clamd; gives its address for the configuration."""
    program = need_unpacked("clamav", "usr/sbin/clamd")
    (library,) = program.parents[2].glob("usr/lib/*/libclamav.so.12")
    database = folder / "signatures"
    database.mkdir(mode=0o755)
    (database / "own.ndb").write_text(f"Own.Test.Signature:0:*:{VIRUS.hex()}\n")
    socket_path = folder / "clamd.ctl"
    (folder / "clamd.conf").write_text(
        f"LocalSocket {socket_path}\nDatabaseDirectory {database}\nForeground yes\n"
        f"StreamMaxLength {stream_octets}\nUser root\n"
    )
    process = subprocess.Popen(
        [program, "-c", folder / "clamd.conf"],
        env={"LD_LIBRARY_PATH": str(library.parent), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + START_S
        while not socket_path.exists():
            if process.poll() == 127:
                pytest.skip("clamd lacks libraries; 'make test' as root installs them")
            assert process.poll() is None and time.monotonic() < until, "clamd does not start"
            time.sleep(0.02)
        yield f"unix:{socket_path}"
    finally:
        process.kill()
        process.wait()


class FakeClamd:
    """Reads a stream as clamd does, and answers what it is told to.

    Attributes:
        asked: connections so far.
        got: the message of the last one.
    """

    def __init__(
        self, folder: Path, answer: bytes = b"stream: OK\0", *, wait_s: float = 0.0, hangs_up: bool = False
    ) -> None:
        """
        Args:
            wait_s: seconds before it answers.
            hangs_up: it answers before it has read anything, and closes.
        """
        self.path = folder / "fake.ctl"
        self.answer, self.wait_s, self.hangs_up = answer, wait_s, hangs_up
        self.asked = 0
        self.got = b""

    @property
    def address(self) -> str:
        """For the configuration."""
        return f"unix:{self.path}"

    async def __aenter__(self) -> FakeClamd:
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if not self.hangs_up:
                assert await reader.readexactly(10) == b"zINSTREAM\0"
                self.got = b""
                while length := int.from_bytes(await reader.readexactly(4), "big"):
                    self.got += await reader.readexactly(length)
            await asyncio.sleep(self.wait_s)
            writer.write(self.answer)
            await writer.drain()
        writer.close()
