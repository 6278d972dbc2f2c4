"""The rest of the world, for the demo: an SMTP server that keeps what it gets.

    python -m mailstack.app.sink HOST:PORT FOLDER

Each message becomes FOLDER/<n>.eml (the octets) and FOLDER/<n>.json (sender, recipients
and what else the envelope said); the .json comes last, so whoever sees it has both.
Takes everything from everybody: only for loopback.

Standards: RFC 5321, leniently.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from mailstack.app.options import parse_endpoint
from mailstack.app.workers import LIFELINE
from mailstack.disk.durable import make_folder, replace_text, store

MAX_MESSAGE_OCTETS = 104_857_600
MAX_RECIPIENTS = 10_000
IDLE_S = 600.0
EXTENSIONS = (
    "PIPELINING",
    f"SIZE {MAX_MESSAGE_OCTETS}",
    "8BITMIME",
    "SMTPUTF8",
    "DSN",
    "ENHANCEDSTATUSCODES",
)


class Mailroom:
    """Writes messages under ascending numbers."""

    def __init__(self, folder: Path) -> None:
        """Goes on after the highest number that is there."""
        make_folder(folder)
        self.folder = folder
        self._last = max((int(p.stem) for p in folder.glob("*.eml") if p.stem.isdigit()), default=0)

    def take(self, number: int, envelope: dict[str, object], message: bytes) -> None:
        """Keeps one message; blocking.

        Raises:
            OSError: it is not kept.
        """
        store(
            self.folder / f"{number}.eml", [message], temporary=self.folder / f".{number}.eml.tmp", mode=0o644
        )
        replace_text(self.folder / f"{number}.json", json.dumps(envelope, indent=2) + "\n", mode=0o644)

    def next_number(self) -> int:
        """A number nobody has yet."""
        self._last += 1
        return self._last


@dataclass
class _Session:
    """One connection; a command of at most a line, an answer of one or more."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    mailroom: Mailroom
    helo: str = ""
    sender: str | None = None
    mail_parameters: str = ""
    recipients: list[str] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)

    async def run(self) -> None:
        self.writer.write(b"220 outside.invalid ESMTP sink\r\n")
        while True:
            async with asyncio.timeout(IDLE_S):
                line = (await self.reader.readuntil(b"\n")).decode("utf-8", "replace").rstrip("\r\n")
            verb, _, rest = line.partition(" ")
            if verb.upper() == "QUIT":
                self.writer.write(b"221 2.0.0 bye\r\n")
                return
            answer = await self._data() if verb.upper() == "DATA" else self._answer(verb.upper(), rest)
            self.writer.write(answer.encode() + b"\r\n")
            await self.writer.drain()

    def _answer(self, verb: str, rest: str) -> str:
        match verb:
            case "EHLO" | "HELO":
                self._reset()
                self.helo = rest
                lines = ["outside.invalid", *(EXTENSIONS if verb == "EHLO" else ())]
                return "\r\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"])
            case "MAIL" if self.sender is None:
                self.sender, self.mail_parameters = _path(rest)
                return "250 2.1.0 ok"
            case "RCPT" if self.sender is not None and len(self.recipients) < MAX_RECIPIENTS:
                address, parameters = _path(rest)
                self.recipients.append(address)
                self.parameters[address] = parameters
                return "250 2.1.5 ok"
            case "RSET":
                self._reset()
                return "250 2.0.0 ok"
            case "NOOP":
                return "250 2.0.0 ok"
            case "MAIL" | "RCPT":
                return "503 5.5.1 out of order"
            case _:
                return "500 5.5.2 unknown command"

    def _reset(self) -> None:
        self.sender, self.mail_parameters = None, ""
        self.recipients, self.parameters = [], {}

    async def _data(self) -> str:
        if not self.recipients:
            return "503 5.5.1 nobody to send to"
        self.writer.write(b"354 go ahead\r\n")
        message = await self._message()
        envelope: dict[str, object] = {
            "sender": self.sender,
            "recipients": self.recipients,
            "helo": self.helo,
            "mail_parameters": self.mail_parameters,
            "recipient_parameters": self.parameters,
            "size_octets": len(message),
            "received_at": time.time(),
        }
        self._reset()
        number = self.mailroom.next_number()
        try:
            await asyncio.to_thread(self.mailroom.take, number, envelope, message)
        except OSError as error:
            return f"452 4.3.1 not kept: {error.strerror}"
        return f"250 2.0.0 kept as {number}.eml"

    async def _message(self) -> bytes:
        lines = bytearray()
        while True:
            async with asyncio.timeout(IDLE_S):
                line = await self.reader.readuntil(b"\r\n")
            if line == b".\r\n":
                return bytes(lines)
            lines += line[1:] if line.startswith(b".") else line
            if len(lines) > MAX_MESSAGE_OCTETS:
                raise ConnectionError("too large")


def _path(text: str) -> tuple[str, str]:
    """Address and parameters of `FROM:<a@b> X=Y`."""
    path, _, parameters = text.partition(":")[2].strip().partition(">")
    return path.removeprefix("<"), parameters.strip()


async def talk(mailroom: Mailroom, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, to its end."""
    try:
        await _Session(reader, writer, mailroom).run()
    except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
        pass
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def serve(host: str, port: int, folder: Path, stop: asyncio.Event) -> None:
    """Takes mail until `stop` is set.

    Raises:
        OSError: the port is taken, or the folder cannot be made.
    """
    mailroom = Mailroom(folder)
    server = await asyncio.start_server(
        functools.partial(talk, mailroom), host, port, limit=MAX_MESSAGE_OCTETS
    )
    try:
        await stop.wait()
    finally:
        # Not waited for: a client may keep its connection for minutes.
        server.close()


async def _main(host: str, port: int, folder: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    lifeline = os.environ.get(LIFELINE, "")
    if lifeline:
        # End of file: who started us was killed.
        loop.add_reader(int(lifeline), stop.set)
    await serve(host, port, folder, stop)


def main(arguments: list[str]) -> int:
    """Runs until SIGTERM; gives the exit status."""
    if len(arguments) != 2:
        print("usage: python -m mailstack.app.sink HOST:PORT FOLDER", file=sys.stderr)  # noqa: T201
        return 64
    host, port = parse_endpoint(arguments[0])
    asyncio.run(_main(host, port, Path(arguments[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
