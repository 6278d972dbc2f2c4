"""Asks clamd whether a message holds a virus: the whole message, over its socket, at most so long.

One connection for each message, as clamd closes it after its answer.  Whatever goes wrong
is an answer too, "unscanned" and why: mail never waits for a virus scanner, or gets lost
by it (it fails open).  The one line of an answer is read strictly; an answer with more in
it, or with anything that is not text, counts as none (M22).

Source: clamd(8), INSTREAM; product page, section 2.7.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import re
import socket
from pathlib import Path
from typing import BinaryIO

from mailstack.model.verdict import VirusScan
from mailstack.net.clamd_options import ClamdOptions, parse_address

CHUNK_OCTETS = 65_536
#: An answer is one line, and this is a long one.
MAX_ANSWER_OCTETS = 1_024
_CLEAN = b"stream: OK"
_FOUND = re.compile(rb"stream: ([!-~]{1,200}) FOUND")
_ERROR = re.compile(rb"([ -~]{1,200}) ERROR")

_log = logging.getLogger(__name__)


class Clamd:
    """One clamd.  Belongs to one event loop."""

    def __init__(self, options: ClamdOptions) -> None:
        self._options = options
        self._where = parse_address(options.address)
        self._free = asyncio.Semaphore(options.connections)
        self._failures = 0
        self._rests_until = float("-inf")

    async def scan(self, message: bytes | None, path: str, size_octets: int, *, budget_s: float) -> VirusScan:
        """What clamd says; never raises but when it is cancelled.

        Args:
            path: of the file, when the message is not in memory.
            budget_s: seconds it may take, however many the options allow.
        """
        options = self._options
        if size_octets > options.max_octets:
            return _unscanned("larger than clamd.max_octets")
        loop = asyncio.get_running_loop()
        if self._rests_until > loop.time():
            return _unscanned("clamd is left alone after failures")
        try:
            file = _open(message, path)
        except OSError as error:
            return _unscanned(f"the message cannot be read: {error.strerror}")
        is_asked = False
        try:
            with file:
                async with asyncio.timeout(min(options.budget_s, budget_s)), self._free:
                    is_asked = True
                    answer = await self._ask(file)
        except TimeoutError:
            if not is_asked:
                # Much mail at once is no failure of clamd's.
                return _unscanned("too many messages wait for clamd")
            self._failed("clamd does not answer in time", loop.time())
            return _unscanned("clamd does not answer in time")
        except OSError as error:
            why = f"clamd cannot be reached: {error.strerror or error}"
            self._failed(why, loop.time())
            return _unscanned(why)
        return self._read(answer, loop.time())

    async def _ask(self, message: BinaryIO) -> bytes:
        """Raises OSError."""
        # Plain sockets: a stream loses what was said before the other side hung up.
        loop = asyncio.get_running_loop()
        with _socket_for(self._where) as sock:
            await loop.sock_connect(sock, self._where)
            # What it says before it hangs up tells why, such as that the message is too large.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                await loop.sock_sendall(sock, b"zINSTREAM\0")
                while chunk := message.read(CHUNK_OCTETS):
                    await loop.sock_sendall(sock, len(chunk).to_bytes(4, "big") + chunk)
                await loop.sock_sendall(sock, b"\0\0\0\0")
            return await _answer(sock)

    def _read(self, answer: bytes, now: float) -> VirusScan:
        found = parse(answer)
        if found is None:
            self._failed("clamd answers nonsense", now)
            return _unscanned("clamd answers nonsense")
        if found.result == "unscanned":
            # Its own limits are no reason to leave it alone: the next message may be a small one.
            _log.warning("clamd has not scanned a message: %s", found.why)
            return found
        if self._failures >= self._options.failures:
            _log.info("clamd answers again")
        self._failures = 0
        return found

    def _failed(self, why: str, now: float) -> None:
        self._failures += 1
        _log.warning("a message is not scanned for viruses: %s", why)
        if self._failures >= self._options.failures:
            self._rests_until = now + self._options.rest_s
            _log.error("clamd is left alone for %g s: %s", self._options.rest_s, why)


def parse(answer: bytes) -> VirusScan | None:
    """What an answer says; None when it is none."""
    line, end, more = answer.partition(b"\0")
    if not end or more:
        return None
    if line == _CLEAN:
        return VirusScan("clean")
    if (found := _FOUND.fullmatch(line)) is not None:
        return VirusScan("found", found[1].decode("ascii"))
    if (error := _ERROR.fullmatch(line)) is not None:
        return _unscanned(f"clamd: {error[1].decode('ascii')}")
    return None


def _socket_for(where: str | tuple[str, int]) -> socket.socket:
    family = socket.AF_UNIX
    if not isinstance(where, str):
        family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    return sock


def _open(message: bytes | None, path: str) -> BinaryIO:
    return io.BytesIO(message) if message is not None else Path(path).open("rb")


async def _answer(sock: socket.socket) -> bytes:
    """All it says until it hangs up, or more than it may say."""
    answer = b""
    while len(answer) <= MAX_ANSWER_OCTETS:
        try:
            more = await asyncio.get_running_loop().sock_recv(sock, MAX_ANSWER_OCTETS)
        except ConnectionResetError:
            break
        if not more:
            break
        answer += more
    return answer


def _unscanned(why: str) -> VirusScan:
    return VirusScan("unscanned", why=why)
