"""A plain SMTP client for tests: octets out as they are given, replies back as they come."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Self


class Wire:
    """One connection.  Nothing is escaped, checked or repaired."""

    def __init__(self, host: str, port: int, *, timeout_s: float = 60.0) -> None:
        self.socket = socket.create_connection((host, port), timeout=timeout_s)
        self._reader = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._reader.close()
        self.socket.close()

    def send(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def reply(self) -> str:
        """One whole reply; lines split by newline; "" at the end of the connection."""
        lines = []
        while True:
            line = self._reader.readline()
            if not line:
                return "\n".join(lines)
            lines.append(line.rstrip(b"\r\n").decode("utf-8", "replace"))
            if line[3:4] != b"-":
                return "\n".join(lines)

    def command(self, line: str) -> str:
        self.send(line.encode() + b"\r\n")
        return self.reply()

    def start(self, helo: str = "client.outside.test") -> Self:
        """Greeting and EHLO."""
        assert self.reply().startswith("220")
        assert self.command(f"EHLO {helo}").startswith("250")
        return self

    def mail(self, sender: str, recipients: list[str], message: bytes) -> str:
        """One transaction; `message` has CRLF lines and is dot-stuffed here.  Gives the last reply."""
        for line in (f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{r}>" for r in recipients)):
            answer = self.command(line)
            if not answer.startswith("250"):
                self.command("RSET")
                return answer
        answer = self.command("DATA")
        if not answer.startswith("354"):
            return answer
        stuffed = message.replace(b"\r\n.", b"\r\n..")
        if stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        self.send(stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        return self.reply()
