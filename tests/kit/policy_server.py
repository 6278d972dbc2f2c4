"""An HTTPS server on loopback that answers one thing: for MTA-STS policies and what is wrong with them.

with PolicyServer(issued.server_context(tmp_path), policy("enforce", "mx.example.net")) as server:
    server.port, server.asked          # the head of every request
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import Self

HANG = b"HANG"


def policy(mode: str, *mx: str, max_age: int = 86_400) -> bytes:
    """The text of a policy."""
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {one}" for one in mx), f"max_age: {max_age}", ""]
    return "\r\n".join(lines).encode()


def answer(body: bytes, *, status: str = "200 OK", kind: str = "text/plain", more: str = "") -> bytes:
    """An answer with its length."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


class PolicyServer:
    """Starts with the `with` block; `says` may be changed at any time: octets, or HANG."""

    def __init__(self, context: ssl.SSLContext, body: bytes = b"", *, says: bytes = b"") -> None:
        self.says = says or answer(body)
        self.context = context
        self.asked: list[bytes] = []
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), plain:
            plain.settimeout(10)
            with self.context.wrap_socket(plain, server_side=True) as secured:
                held = b""
                while b"\r\n\r\n" not in held and (more := secured.recv(4_096)):
                    held += more
                self.asked.append(held)
                if self.says == HANG:
                    self._stop.wait(30)
                else:
                    secured.sendall(self.says)
