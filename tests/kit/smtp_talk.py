"""An SMTP client of few words for socket tests: sends what it is given, reads replies."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import warnings
from base64 import b64encode
from types import TracebackType
from typing import Self

WAIT_S = 60.0


def client_context() -> ssl.SSLContext:
    """Trusts anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def old_context(newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1) -> ssl.SSLContext:
    """A device that knows nothing newer."""
    context = client_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = newest
    return context


class Talk:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int, *, tls: bool = False) -> Self:
        """Connects; reads nothing."""
        context = client_context() if tls else None
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=context))

    @classmethod
    async def hello(cls, port: int, *, tls: bool = False, login: str = "", password: str = "") -> Self:
        """Connects, greets, logs in when asked to."""
        talk = await cls.open(port, tls=tls)
        assert (await talk.reply())[:3] == "220"
        assert (await talk.ask("EHLO client.example"))[:3] == "250"
        if login:
            line = b64encode(f"\0{login}\0{password}".encode()).decode()
            assert (await talk.ask(f"AUTH PLAIN {line}"))[:3] == "235"
        return talk

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
            await asyncio.wait_for(self.writer.wait_closed(), WAIT_S)

    async def reply(self) -> str:
        """One whole reply, lines by newline; "" at the end."""
        lines = []
        while True:
            try:
                line = await asyncio.wait_for(self.reader.readline(), WAIT_S)
            except (ConnectionError, ssl.SSLError):
                line = b""
            if not line:
                return "\n".join(lines)
            lines.append(line.decode().rstrip("\r\n"))
            if line[3:4] != b"-":
                return "\n".join(lines)

    def send(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def ask(self, line: str | bytes) -> str:
        self.send((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return await self.reply()

    async def start_tls(self) -> None:
        """STARTTLS, with the handshake."""
        assert (await self.ask("STARTTLS"))[:3] == "220"
        await self.writer.start_tls(client_context())

    async def begin(self, to: str = "bob@example.test", sender: str = "a@b.test", more: str = "") -> None:
        """Up to the 354."""
        assert (await self.ask(f"MAIL FROM:<{sender}>{more}"))[:3] == "250"
        assert (await self.ask(f"RCPT TO:<{to}>"))[:3] == "250"
        assert (await self.ask("DATA"))[:3] == "354"

    async def rest(self) -> str:
        """Everything up to the end of the connection."""
        try:
            return (await asyncio.wait_for(self.reader.read(), WAIT_S)).decode()
        except (ConnectionError, ssl.SSLError):
            return ""
