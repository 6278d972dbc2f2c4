r"""Whole sessions as a person can read them: `*.dialog` files.

    # what the dialog shows
    S: * OK ...              the server says this line; `...` at its end: the rest is free
    C: a1 NOOP               the client sends this line and CRLF
    R: a2 NOOP\r\na3 NOOP\r\n    the client sends exactly these octets (Python escapes)
    S: ...                   any number of lines, up to the next that is written down
    CLOSED                   the server has closed the connection

A dialog runs against anything that takes octets and gives lines: the bare session in
milliseconds, a socket to a real daemon, with TLS or without.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Kind = Literal["C", "R", "S", "CLOSED"]
#: Lines that `S: ...` may skip.
MAX_SKIPPED = 1_000


class Peer(Protocol):
    """The server, as a dialog sees it."""

    def send(self, data: bytes, /) -> None:
        """Octets for the server."""
        ...

    def line(self) -> bytes | None:
        """Its next line without CRLF; None: it says no more for now, or has closed."""
        ...

    def is_closed(self) -> bool:
        """True when it has closed the connection, and all its lines were read."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a dialog.  `number`: of the line in the file."""

    kind: Kind
    data: bytes
    number: int


def read(path: Path) -> list[Step]:
    """The steps of a file."""
    steps = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.strip() == "CLOSED":
            steps.append(Step("CLOSED", b"", number))
            continue
        kind, colon, text = line.partition(":")
        if kind not in ("C", "R", "S") or not colon:
            raise ValueError(f"{path.name}:{number}: want C:, R:, S: or CLOSED")
        data = text.removeprefix(" ").encode()
        if kind == "R":
            data = data.decode("unicode_escape").encode("latin-1")
        steps.append(Step(kind, data, number))  # type: ignore[arg-type]
    return steps


def play(steps: Sequence[Step], peer: Peer, *, name: str = "dialog") -> None:
    """Plays the client and checks the server; AssertionError names the line that differs."""
    skipping = False
    for step in steps:
        where = f"{name}:{step.number}"
        match step.kind:
            case "C":
                peer.send(step.data + b"\r\n")
            case "R":
                peer.send(step.data)
            case "CLOSED":
                while (line := peer.line()) is not None:
                    assert skipping, f"{where}: wanted the end, got {line!r}"
                assert peer.is_closed(), f"{where}: the connection is still open"
            case "S" if step.data == b"...":
                skipping = True
                continue
            case "S":
                _expect(step, peer, where, skipping=skipping)
        skipping = False


def _expect(step: Step, peer: Peer, where: str, *, skipping: bool) -> None:
    for _ in range(MAX_SKIPPED if skipping else 1):
        line = peer.line()
        assert line is not None, f"{where}: wanted {step.data!r}, got nothing"
        if _fits(step.data, line):
            return
        assert skipping, f"{where}: wanted {step.data!r}, got {line!r}"
    raise AssertionError(f"{where}: {step.data!r} did not come")


def _fits(wanted: bytes, line: bytes) -> bool:
    if wanted.endswith(b"..."):
        return line.startswith(wanted.removesuffix(b"..."))
    return line == wanted


class SocketPeer:
    """A server behind a TCP port; blocking: run it in a thread beside a loop."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        context: ssl.SSLContext | None = None,
        server_name: str = "localhost",
        wait_s: float = 5.0,
    ) -> None:
        sock = socket.create_connection((host, port), timeout=wait_s)
        self._sock = context.wrap_socket(sock, server_hostname=server_name) if context is not None else sock
        self._held = b""
        self._at_end = False

    def send(self, data: bytes, /) -> None:
        """See Peer."""
        self._sock.sendall(data)

    def line(self) -> bytes | None:
        """See Peer."""
        while b"\r\n" not in self._held and not self._at_end:
            try:
                data = self._sock.recv(65_536)
            except (ConnectionError, ssl.SSLError):
                data = b""
            except TimeoutError:
                return None
            self._at_end = not data
            self._held += data
        if b"\r\n" not in self._held:
            return None
        line, _, self._held = self._held.partition(b"\r\n")
        return line

    def is_closed(self) -> bool:
        """See Peer."""
        return self._at_end and not self._held

    def close(self) -> None:
        """Hangs up."""
        self._sock.close()


def play_over_tcp(path: Path, port: int, context: ssl.SSLContext | None) -> None:
    """Plays a file with a server on the loopback address; blocking.

    Args:
        context: for TLS from the first octet; None: without.
    """
    peer = SocketPeer("127.0.0.1", port, context=context)
    try:
        play(read(path), peer, name=path.name)
    finally:
        peer.close()
