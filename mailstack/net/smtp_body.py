"""Where a message lies between DATA or BDAT and its reply: in memory, or in a spool file.

Small messages stay in memory.  A larger one goes block by block to a file on the mail
file system, written by a thread so that a slow disk stops nobody else.  The file is
gone when its session is done with it, however that ends; what a crash leaves behind is
swept at the next start (promise P1 begins with the 250, not here).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from concurrent.futures import Executor
from pathlib import Path
from typing import Final

from mailstack.disk.durable import failure, write_all
from mailstack.model.envelope import Body
from mailstack.model.errors import TemporaryFailure
from mailstack.model.reply import Reply
from mailstack.smtp.options import SmtpOptions
from mailstack.smtp.policy import headers
from mailstack.smtp.text import Text

#: A spool file older than this belongs to nobody, in seconds.
ORPHAN_S: Final = 36 * 3600.0


class SpoolFile:
    """A message too large for memory.  `write` and `head` block for the disk in a thread."""

    def __init__(self, folder: str, name: str, executor: Executor | None) -> None:
        """Nothing is opened yet.

        Args:
            folder: exists, on the same file system as the mail.
            name: unique.
            executor: threads for the disk; None: the loop's own.
        """
        self.name = name
        self.path = f"{folder}/{name}"
        self._executor = executor
        self._fd = -1
        self._was_opened = False

    async def write(self, block: bytes) -> None:
        """Appends.

        Raises:
            TemporaryFailure: disk full or broken; call `remove`.
        """
        await asyncio.get_running_loop().run_in_executor(self._executor, self._write, block)

    def close(self) -> None:
        """No more is written; the file stays."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    async def head(self, octets: int) -> bytes:
        """The first octets."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._head, octets)

    def remove(self) -> None:
        """Closes and removes it; nothing happens when somebody took the file away."""
        if not self._was_opened:
            return
        self.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def _write(self, block: bytes) -> None:
        try:
            if self._fd < 0:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
                self._fd = os.open(self.path, flags, 0o600)
                self._was_opened = True
            write_all(self._fd, block)
        except OSError as error:
            raise failure(error, "writing the spool file") from error

    def _head(self, octets: int) -> bytes:
        try:
            with open(self.path, "rb") as file:
                return file.read(octets)
        except OSError as error:
            raise failure(error, "reading the spool file") from error


class Incoming:
    """One message on its way in: its reader, and the file when it grows."""

    def __init__(self, spool: SpoolFile, options: SmtpOptions, reader: Text, *, one_from: bool) -> None:
        """Takes the limits.

        Args:
            reader: of DATA or BDAT.
            one_from: refuse a second From field.
        """
        self.accept_id = spool.name
        self._reader = reader
        self._spool = spool
        self._options = options
        self._one_from = one_from
        self._fault: Reply | None = None

    def feed(self, block: bytes) -> bytes | None:
        """See Text.feed."""
        return self._reader.feed(block)

    def end(self) -> None:
        """See Text.end."""
        self._reader.end()

    @property
    def must_spill(self) -> bool:
        """True when there is something for `spill` to do."""
        return self._reader.held_octets > self._options.memory_octets or self._reader.is_dropping

    async def spill(self) -> None:
        """Moves to the file what is too much for memory."""
        if self._reader.is_dropping:
            self._spool.remove()
        elif self._reader.held_octets > self._options.memory_octets:
            await self._write()

    def judge_held(self) -> Body | Reply | None:
        """The whole message, or why it is refused before anybody is asked; None: ask `judge`."""
        reader = self._reader
        refusal = reader.fault() or self._fault
        if refusal is not None:
            return refusal
        if reader.size_octets > self._options.memory_octets:
            return None
        data = reader.take()
        refusal = headers.check(
            data[: self._options.header_octets + 4], self._options, one_from=self._one_from
        )
        return refusal or self._body(data, "")

    async def judge(self) -> Body | Reply:
        """As `judge_held`, for a message in a file."""
        await self._write()
        self._spool.close()
        if self._fault is not None:
            return self._fault
        try:
            head = await self._spool.head(self._options.header_octets + 4)
        except TemporaryFailure as error:
            return _not_now(error)
        refusal = headers.check(head, self._options, one_from=self._one_from)
        return refusal or self._body(None, self._spool.path)

    def _body(self, data: bytes | None, path: str) -> Body:
        reader = self._reader
        return Body(data, path, reader.size_octets, reader.had_bare_lf, reader.had_bare_cr, reader.is_binary)

    def remove(self) -> None:
        """Nothing of it stays with us."""
        self._spool.remove()

    async def _write(self) -> None:
        block = self._reader.take()
        if self._fault is not None:
            return  # the disk failed: the rest is read and thrown away
        try:
            await self._spool.write(block)
        except TemporaryFailure as error:
            self._spool.remove()
            self._fault = _not_now(error)


def _not_now(error: TemporaryFailure) -> Reply:
    text = "The message cannot be stored at the moment, try again later"
    return Reply(452, error.status, text, "local_error")


def sweep(folder: Path, *, now: float) -> int:
    """Removes what crashed sessions left behind; gives how many files."""
    removed = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.is_file(follow_symlinks=False) and now - entry.stat().st_mtime > ORPHAN_S:
                    os.unlink(entry.path)
                    removed += 1
    return removed


def has_room(folder: Path, *, needed_octets: int, percent: float, inodes: int) -> bool:
    """Whether the disk can take more mail (limits, section 2); True when it cannot be asked."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return True
    wanted = max(float(needed_octets), found.f_blocks * found.f_frsize * percent / 100)
    # A file system without an inode table (btrfs) says 0 of 0.
    has_inodes = not found.f_files or found.f_favail > inodes
    return found.f_bavail * found.f_frsize > wanted and has_inodes
