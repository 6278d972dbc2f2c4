"""Sends N messages to an SMTP server over C connections and says how fast it took them.

Works against any server: `--host --port --to`; `--login ADDRESS:PASSWORD --tls` for
submission on 465.  Prints one JSON document:

    {"messages", "octets", "connections", "wall_s", "per_s", "p50_ms", "p99_ms", "failed",
     "cpu_s", "cpu_ms_per_message", "cpu_ms_by_daemon", "peak_mib", "peak_anonymous_mib"}

`--pids` (or `--demo DIR`) adds the CPU time these processes and their children used, and
the most memory they had at once (the sum of their proportional set sizes, and of these what
is no file's: a file that is read through a mapping counts in the first only).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import ssl
import statistics
import time
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path

import psutil
import uvloop

LINE = b"The quick brown fox jumps over the lazy dog, and then it rests a while.\r\n"
#: How often memory is looked at.
LOOK_S = 0.25


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
    async def connect(
        cls, host: str, port: int, *, tls: ssl.SSLContext | None = None, login: str = ""
    ) -> Client:
        """Greeting, EHLO and, with `login` as `address:password`, AUTH PLAIN."""
        name = "localhost" if tls is not None else None
        client = cls(*await asyncio.open_connection(host, port, ssl=tls, server_hostname=name))
        await client.reply()
        await client.command(b"EHLO client.example\r\n")
        if login:
            address, _, password = login.partition(":")
            given = b64encode(f"\0{address}\0{password}".encode())
            said = await client.command(b"AUTH PLAIN " + given + b"\r\n")
            if not said.startswith(b"235"):
                raise ConnectionError(said.decode())
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
        self.writer.write(data)
        self.writer.write(b".\r\n")
        return (await self.reply()).startswith(b"250")

    async def close(self) -> None:
        with contextlib.suppress(ConnectionError, OSError, ssl.SSLError):
            await self.command(b"QUIT\r\n")
        self.writer.close()


class Load:
    """What is still to be sent, and how it went."""

    def __init__(self, options: argparse.Namespace, count: int) -> None:
        self.options = options
        self.todo = list(range(count))
        self.waits: list[float] = []
        self.failed: list[int] = []
        self.held = count_messages(options.maildirs) if options.maildirs else 0

    async def work(self) -> None:
        """One client after another sends until nothing is left."""
        client, sent = None, 0
        while self.todo:
            number = self.todo.pop()
            began = time.perf_counter()
            try:
                if client is None:
                    client, sent = await self._connect(), 0
                await self._send(client, number)
                sent += 1
                if sent == self.options.per_connection:
                    await client.close()
                    client = None
            except (ConnectionError, OSError):
                self.failed.append(number)
                client = None
            self.waits.append(time.perf_counter() - began)
        if client is not None:
            await client.close()

    async def _connect(self) -> Client:
        options = self.options
        return await Client.connect(options.host, options.port, tls=options.context, login=options.login)

    async def _send(self, client: Client, number: int) -> None:
        options = self.options
        to = options.to[number % len(options.to)]
        if not await client.transaction(
            options.sender, to, message(number, options.size, options.sender, to)
        ):
            self.failed.append(number)
            await client.command(b"RSET\r\n")


def family(pids: Iterable[int]) -> dict[int, psutil.Process]:
    """These processes and all their children."""
    found = {}
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
                found[process.pid] = process
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds of these processes and all their children."""
    times = [process.cpu_times() for process in family(pids).values()]
    return sum(spent.user + spent.system for spent in times)


def memory_octets(pids: Iterable[int]) -> dict[str, int]:
    """Their proportional set sizes (pages that several share count once), and what no file backs."""
    found = {"Pss:": 0, "Pss_Anon:": 0}
    for pid in pids:
        with contextlib.suppress(OSError, ValueError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name, _, rest = line.partition(" ")
                if name in found:
                    found[name] += 1024 * int(rest.split()[0])
    return found


class Watch:
    """What some daemons use while the block runs.

    Attributes:
        peak_octets, peak_anonymous_octets: the most memory of all together.
    """

    def __init__(self, daemons: dict[str, int]) -> None:
        self._daemons = daemons
        # By daemon and process: a worker that is replaced takes its figures along.
        self._first: dict[tuple[str, int], float] = {}
        self._last: dict[tuple[str, int], float] = {}
        self.peak_octets = self.peak_anonymous_octets = 0

    async def __aenter__(self) -> Watch:
        self._first = self._cpu()
        self._task = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        self._last |= self._cpu()

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of each daemon, within the block."""
        spent = dict.fromkeys(self._daemons, 0.0)
        for (name, pid), last in self._last.items():
            spent[name] += last - self._first.get((name, pid), 0.0)
        return spent

    def _cpu(self) -> dict[tuple[str, int], float]:
        found = {}
        for name, root in self._daemons.items():
            for pid, process in family([root]).items():
                with contextlib.suppress(psutil.NoSuchProcess):
                    times = process.cpu_times()
                    found[name, pid] = times.user + times.system
        return found

    async def _look(self) -> None:
        while True:
            self._last |= self._cpu()
            found = memory_octets({pid for _, pid in self._last})
            self.peak_octets = max(self.peak_octets, found["Pss:"])
            self.peak_anonymous_octets = max(self.peak_anonymous_octets, found["Pss_Anon:"])
            await asyncio.sleep(LOOK_S)


def count_messages(folder: Path) -> int:
    """Message files in the Maildirs below a folder."""
    return sum(1 for new in folder.glob("**/new") for _ in new.iterdir())


async def delivered(options: argparse.Namespace, count: int) -> None:
    """Waits until the Maildirs hold so many: other servers answer first and deliver later."""
    while options.maildirs and count_messages(options.maildirs) < count:
        await asyncio.sleep(LOOK_S)


async def main(options: argparse.Namespace) -> dict[str, object]:
    warm = Load(options, min(50, options.messages))
    await warm.work()
    await delivered(options, warm.held + len(warm.waits) - len(warm.failed))
    load = Load(options, options.messages)
    held = load.held
    began = time.perf_counter()
    async with Watch(options.daemons) as watch:
        await asyncio.gather(*(load.work() for _ in range(options.connections)))
        await delivered(options, held + options.messages - len(load.failed))
        wall = time.perf_counter() - began
    by_daemon = watch.cpu_s()
    spent = sum(by_daemon.values())
    waits = sorted(load.waits)
    return {
        "messages": options.messages,
        "octets": options.size,
        "connections": options.connections,
        "per_connection": options.per_connection,
        "wall_s": round(wall, 3),
        "per_s": round(options.messages / wall, 1),
        "p50_ms": round(statistics.median(waits) * 1000, 2),
        "p99_ms": round(waits[int(len(waits) * 0.99)] * 1000, 2),
        "failed": len(load.failed),
        "cpu_s": round(spent, 3),
        "cpu_ms_per_message": round(spent * 1000 / options.messages, 3),
        "cpu_ms_by_daemon": {n: round(s * 1000 / options.messages, 2) for n, s in by_daemon.items()},
        "peak_mib": round(watch.peak_octets / 2**20, 1),
        "peak_anonymous_mib": round(watch.peak_anonymous_octets / 2**20, 1),
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=25)
    parser.add_argument("--to", action="append", default=[], help="recipient; several are taken in turn")
    parser.add_argument("--sender", default="")
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--size", type=int, default=4096, help="octets of a message")
    parser.add_argument("--per-connection", type=int, default=0, help="messages per connection; 0: all")
    parser.add_argument("--tls", action="store_true", help="TLS from the first octet; any certificate")
    parser.add_argument("--login", default="", help="ADDRESS:PASSWORD")
    parser.add_argument("--submission", action="store_true", help="with --demo: log in as alice on 465")
    parser.add_argument("--pids", type=int, nargs="*", default=[])
    parser.add_argument("--daemon", default="", help="with --demo: watch this daemon alone, such as smtp")
    parser.add_argument("--maildirs", type=Path, help="below here every message must lie in the end")
    parser.add_argument("--demo", type=Path, help="folder of a running demo instance")
    options = parser.parse_args()
    options.daemons = {str(pid): pid for pid in options.pids}
    if options.demo is not None:
        _use_demo(options, json.loads((options.demo / "demo.json").read_text()))
    options.to = options.to or ["alice@example.test"]
    options.sender = options.sender or options.login.partition(":")[0] or "sender@client.example"
    options.context = None
    if options.tls:
        options.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        options.context.check_hostname = False
        options.context.verify_mode = ssl.CERT_NONE
    return options


def _use_demo(options: argparse.Namespace, demo: dict[str, dict[str, object]]) -> None:
    options.host = demo["host"]
    options.port = demo["ports"]["submissions" if options.submission else "mx"]
    options.daemons = {
        name: pids[0]
        for name, pids in demo["pids"].items()
        if isinstance(pids, list) and options.daemon in ("", name)
    }
    options.pids = list(options.daemons.values())
    names = [name for name in demo["users"] if name.startswith(("alice@", "bob@"))]
    options.to = options.to or names
    if options.submission:
        options.tls, options.login = True, f"{names[0]}:{demo['users'][names[0]]}"


if __name__ == "__main__":
    result = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    with result as runner:
        print(json.dumps(runner.run(main(parse()))))
