"""STARTTLS ends with close_notify: without it the other side logs an attack (RFC 8446 section 6.1)."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from tests.kit import imap_service, smtp_acceptor
from tests.kit.loops import both_loops
from tests.kit.smtp_talk import client_context


def say_goodbye(port: int, first: tuple[bytes, ...], last: bytes, end: bytes) -> bytes:
    """STARTTLS, goodbye, and what comes behind the answer; an SSLError when it is cut off."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        raw.recv(1000)
        for line in first:
            raw.sendall(line)
            raw.recv(1000)
        with client_context().wrap_socket(raw, suppress_ragged_eofs=False) as secure:
            secure.sendall(last)
            said = b""
            while end not in said:
                said += secure.recv(1000)
            return secure.recv(1000)


@both_loops
async def test_smtp(tmp_path: Path) -> None:
    async with smtp_acceptor.running(tmp_path) as server:
        words = (b"EHLO x\r\n", b"STARTTLS\r\n"), b"QUIT\r\n", b"221 "
        assert await asyncio.to_thread(say_goodbye, server.port, *words) == b""


@both_loops
async def test_imap(tmp_path: Path) -> None:
    async with imap_service.running(tmp_path) as service:
        words = (b"a STARTTLS\r\n",), b"b LOGOUT\r\n", b"b OK"
        assert await asyncio.to_thread(say_goodbye, service.port, *words) == b""
