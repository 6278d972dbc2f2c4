"""Sends N messages to an SMTP server over C connections and says how fast it took them.

Works against any server: `--host --port --to`.  Prints one JSON document:

    {"messages", "octets", "connections", "wall_s", "per_s", "p50_ms", "p99_ms", "failed",
     "cpu_s", "cpu_ms_per_message"}

`--pids` (or `--demo DIR`) adds the CPU time these processes and their children used.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from pathlib import Path

import psutil
import uvloop

LINE = b"The quick brown fox jumps over the lazy dog, and then it rests a while.\r\n"


def message(number: int, size_octets: int, sender: str, to: str) -> bytes:
    """A plain message of about that size, dot-stuffed by construction."""
    head = (
        f"From: Bench <{sender}>\r\nTo: <{to}>\r\nSubject: Bench message {number}\r\n"
        f"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <bench-{number}-{time.time_ns()}@x.example>"
        "\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    ).encode()
    lines = max(1, (size_octets - len(head)) // len(LINE))
    return head + LINE * lines


class Client:
    """One connection; `transaction` sends one message and waits for its reply."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, host: str, port: int) -> Client:
        client = cls(*await asyncio.open_connection(host, port))
        await client.reply()
        await client.command(b"EHLO client.example\r\n")
        return client

    async def reply(self) -> bytes:
        while True:
            line = await self.reader.readline()
            if not line:
                raise ConnectionError("closed")
            if line[3:4] != b"-":
                return line

    async def command(self, line: bytes) -> bytes:
        self.writer.write(line)
        return await self.reply()

    async def transaction(self, sender: str, to: str, data: bytes) -> bool:
        self.writer.write(f"MAIL FROM:<{sender}>\r\nRCPT TO:<{to}>\r\nDATA\r\n".encode())
        replies = [await self.reply() for _ in range(3)]
        if not replies[2].startswith(b"354"):
            return False
        self.writer.write(data + b".\r\n")
        return (await self.reply()).startswith(b"250")

    async def close(self) -> None:
        try:
            await self.command(b"QUIT\r\n")
        except (ConnectionError, OSError):
            pass
        self.writer.close()


async def worker(options: argparse.Namespace, todo: list[int], waits: list[float], failed: list[int]) -> None:
    client = None
    while todo:
        number = todo.pop()
        to = options.to[number % len(options.to)]
        data = message(number, options.size, options.sender, to)
        began = time.perf_counter()
        try:
            if client is None:
                client = await Client.connect(options.host, options.port)
            if not await client.transaction(options.sender, to, data):
                failed.append(number)
                await client.command(b"RSET\r\n")
        except (ConnectionError, OSError):
            failed.append(number)
            client = None
        waits.append(time.perf_counter() - began)
        if client is not None and options.per_connection and len(waits) % options.per_connection == 0:
            await client.close()
            client = None
    if client is not None:
        await client.close()


def cpu_s(pids: list[int]) -> float:
    """CPU seconds of these processes and all their children."""
    total, seen = 0.0, set()
    for pid in pids:
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            if process.pid not in seen:
                seen.add(process.pid)
                times = process.cpu_times()
                total += times.user + times.system
    return total


async def main(options: argparse.Namespace) -> dict[str, float]:
    warm: list[float] = []
    await worker(options, list(range(min(50, options.messages))), warm, [])
    before = cpu_s(options.pids) if options.pids else 0.0
    todo, waits, failed = list(range(options.messages)), [], []
    began = time.perf_counter()
    await asyncio.gather(*(worker(options, todo, waits, failed) for _ in range(options.connections)))
    wall = time.perf_counter() - began
    spent = cpu_s(options.pids) - before if options.pids else 0.0
    waits.sort()
    return {
        "messages": options.messages,
        "octets": options.size,
        "connections": options.connections,
        "wall_s": round(wall, 3),
        "per_s": round(options.messages / wall, 1),
        "p50_ms": round(statistics.median(waits) * 1000, 2),
        "p99_ms": round(waits[int(len(waits) * 0.99)] * 1000, 2),
        "failed": len(failed),
        "cpu_s": round(spent, 3),
        "cpu_ms_per_message": round(spent * 1000 / options.messages, 3),
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=25)
    parser.add_argument("--to", action="append", default=[], help="recipient; several are taken in turn")
    parser.add_argument("--sender", default="sender@client.example")
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--size", type=int, default=4096, help="octets of a message")
    parser.add_argument("--per-connection", type=int, default=0, help="messages per connection; 0: all")
    parser.add_argument("--pids", type=int, nargs="*", default=[])
    parser.add_argument("--demo", type=Path, help="folder of a running demo instance")
    options = parser.parse_args()
    if options.demo is not None:
        demo = json.loads((options.demo / "demo.json").read_text())
        options.host, options.port = demo["host"], demo["ports"]["mx"]
        options.pids = [pids[0] for pids in demo["pids"].values()]
        options.to = options.to or [name for name in demo["users"] if name.startswith(("alice@", "bob@"))]
    options.to = options.to or ["alice@example.test"]
    return options


if __name__ == "__main__":
    result = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    with result as runner:
        print(json.dumps(runner.run(main(parse()))))
