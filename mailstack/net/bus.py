"""Wake-ups between the daemons: Unix datagrams, one socket per process.

A message is a hint ("this mailbox changed", "something was queued"), never the only
carrier of a fact: whoever misses one finds the fact in a database.  Publishing never
waits and never raises.  On a loop's thread the first message leaves at once and what
follows within a moment leaves together, one message a line.  A receiver's queue is short
(net.unix.max_dgram_qlen, often 10), so what does not fit is kept and sent again by a thread
for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

Message = dict[str, str | int]

_encode = msgspec.json.Encoder().encode

#: Datagrams kept for one receiver that is busy; equal ones are kept once, the oldest go first.
MAX_PENDING = 10_000
#: A receiver that takes nothing for so long has lost what was kept for it.
PENDING_S = 10.0
RETRY_S = 0.003
MAX_DATAGRAM_OCTETS = 8_192
#: What follows a message within this time leaves together; equal messages once.
GATHER_S = 0.01
#: Receivers are looked up anew when their folder changed; one that changed just now may change again
#: without its time stamp showing it.
SETTLED_NS = 50_000_000
_DEAD = (errno.ECONNREFUSED, errno.ENOENT, errno.ENOTSOCK)
_BUSY = (errno.EAGAIN, errno.ENOBUFS)

_log = logging.getLogger(__name__)


class Bus:
    """One process's place on the bus.  `publish` may be called from any thread."""

    def __init__(self, run_dir: Path, role: str) -> None:
        """Opens the bus for publishing.

        Args:
            run_dir: the instance's run directory; sockets lie in `bus/` below it.
            role: smtp, filter, queue, imap or cli.
        """
        self._folder = run_dir / "bus"
        self._role = role
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._sender.setblocking(False)
        self._receiver: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._own = self._folder / f"{role}-{os.getpid()}.sock"
        self._lock = threading.Lock()
        self._pending: dict[str, dict[bytes, None]] = {}
        self._since: dict[str, float] = {}
        self._gathered: dict[str, dict[bytes, None]] = {}
        self._names: list[str] = []
        self._listed_ns = 0
        self._closed = False

    def publish(self, role: str, message: Message) -> None:
        """Tells every process of `role`; never blocks, never raises."""
        data = _encode(message)
        if len(data) > MAX_DATAGRAM_OCTETS:
            _log.error("bus: a message of %d octets is not sent", len(data))
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._tell(role, data)
            return
        gathered = self._gathered.get(role)
        if gathered is None:
            self._gather(loop, role)
            self._tell(role, data)
        else:
            gathered[data] = None

    def _gather(self, loop: asyncio.AbstractEventLoop, role: str) -> None:
        self._gathered[role] = {}
        loop.call_later(GATHER_S, self._leave, loop, role)

    def _leave(self, loop: asyncio.AbstractEventLoop, role: str) -> None:
        """What was gathered leaves; a while without a message ends the gathering."""
        gathered = self._gathered.pop(role, None)
        if gathered and not self._closed:
            self._gather(loop, role)
            self._tell_all(role, gathered)

    def _tell_all(self, role: str, messages: Iterable[bytes]) -> None:
        held: list[bytes] = []
        octets = 0
        for data in messages:
            if held and octets + len(data) > MAX_DATAGRAM_OCTETS:
                self._tell(role, b"\n".join(held))
                held, octets = [], 0
            held.append(data)
            octets += len(data) + 1
        self._tell(role, b"\n".join(held))

    def _tell(self, role: str, datagram: bytes) -> None:
        for path in self._receivers(role):
            if path in self._pending or not self._send(path, datagram):
                self._postpone(path, datagram)

    def listen(self, loop: asyncio.AbstractEventLoop, callback: Callable[[Message], None]) -> None:
        """Receives what others publish to our role; `callback` runs on the loop.

        Equal messages that arrive together are given once.

        Raises:
            OSError: the socket cannot be made.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self._own.unlink()
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        receiver.setblocking(False)
        receiver.bind(str(self._own))
        self._receiver, self._loop = receiver, loop
        loop.add_reader(receiver.fileno(), self._receive, callback)

    def close(self) -> None:
        """Leaves the bus; gives what is still pending a last short chance."""
        for role, gathered in self._gathered.items():
            if gathered:
                self._tell_all(role, gathered)
        self._gathered.clear()
        until = time.monotonic() + 0.2
        while self._pending and time.monotonic() < until:
            time.sleep(RETRY_S)
        self._closed = True
        if self._receiver is not None and self._loop is not None:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._receiver.fileno())
            self._receiver.close()
            self._receiver = None
            with contextlib.suppress(OSError):
                self._own.unlink()
        self._sender.close()

    def _receivers(self, role: str) -> list[str]:
        try:
            changed_ns = os.stat(self._folder).st_mtime_ns
            if changed_ns != self._listed_ns:
                self._names = os.listdir(self._folder)
                self._listed_ns = changed_ns if time.time_ns() - changed_ns > SETTLED_NS else 0
        except OSError:
            return []
        return [f"{self._folder}/{name}" for name in self._names if name.startswith(f"{role}-")]

    def _send(self, path: str, data: bytes) -> bool:
        """True when nothing is left to do: it was sent, or there is nobody."""
        try:
            self._sender.sendto(data, path)
        except OSError as error:
            if error.errno in _BUSY:
                return False
            if error.errno in _DEAD:
                with contextlib.suppress(OSError):
                    os.unlink(path)
        return True

    def _postpone(self, path: str, data: bytes) -> None:
        with self._lock:
            idle = not self._pending
            kept = self._pending.setdefault(path, {})
            self._since.setdefault(path, time.monotonic())
            kept[data] = None
            if len(kept) > MAX_PENDING:
                del kept[next(iter(kept))]
            if idle:
                threading.Thread(target=self._retry, name="bus", daemon=True).start()

    def _retry(self) -> None:
        while not self._closed:
            time.sleep(RETRY_S)
            with self._lock:
                for path in list(self._pending):
                    self._send_kept(path)
                if not self._pending:
                    return

    def _send_kept(self, path: str) -> None:
        kept = self._pending[path]
        while kept:
            data = next(iter(kept))
            if not self._send(path, data):
                break
            del kept[data]
            self._since[path] = time.monotonic()
        if not kept or time.monotonic() - self._since[path] > PENDING_S:
            del self._pending[path], self._since[path]

    def _receive(self, callback: Callable[[Message], None]) -> None:
        assert self._receiver is not None
        arrived: dict[bytes, None] = {}
        while len(arrived) < MAX_PENDING:
            try:
                datagram = self._receiver.recv(MAX_DATAGRAM_OCTETS)
            except OSError:
                break
            arrived.update(dict.fromkeys(datagram.split(b"\n")))
        for data in arrived:
            message = _parse(data)
            if message is not None:
                callback(message)


def _parse(data: bytes) -> Message | None:
    try:
        message = json.loads(data)
    except ValueError:
        message = None
    if not isinstance(message, dict) or not all(isinstance(v, str | int) for v in message.values()):
        _log.error("bus: a datagram of %d octets is not a message", len(data))
        return None
    return message
