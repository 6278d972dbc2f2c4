"""Opens N TLS connections to an IMAP server, IDLEs in all of them, and says what that costs.

    python -m bench.imap_idle --demo FOLDER [--clients 1000] [--per-account 25] [--mails 200]
    python -m bench.imap_idle --port 993 --smtp-port 25 --users FILE --pids PID ...

Accounts are made with `mailstack user import` when a demo instance is given; FILE has one
`address,password` a line.  Measured: how long the connections took, memory of the server's
processes (`--pids` and their children) before and after, and for each mail the time from the
250 of SMTP to the untagged EXISTS in every client of its account.  Prints one JSON document.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import secrets
import ssl
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import psutil
import uvloop

from bench import smtp_load
from mailstack.app.privileges import limit_resources

#: Logins in flight.
PARALLEL = 32
#: How long CPU time is watched while nothing happens.
QUIET_S = 5.0


class Idler(asyncio.Protocol):
    """One client: greeting, LOGIN, SELECT, IDLE, and then the time of each EXISTS."""

    __slots__ = ("_held", "_steps", "account", "ready", "seen_at", "transport")

    def __init__(self, account: str, password: str) -> None:
        self.account = account
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.seen_at = 0.0
        self.transport: asyncio.Transport | None = None
        self._held = b""
        self._steps = [
            (b"* OK", f'a LOGIN "{account}" "{password}"\r\n'.encode()),
            (b"a OK", b"b SELECT INBOX\r\n"),
            (b"b OK", b"c IDLE\r\n"),
            (b"+ ", b""),
        ]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(f"{self.account}: closed: {exc} {self._held[:200]!r}"))

    def data_received(self, data: bytes) -> None:
        *lines, self._held = (self._held + data).split(b"\r\n")
        for line in lines:
            if self._steps and line.startswith(self._steps[0][0]):
                self._step(self._steps.pop(0)[1])
            elif line.endswith(b" EXISTS"):
                self.seen_at = time.perf_counter()

    def _step(self, command: bytes) -> None:
        assert self.transport is not None
        if command:
            self.transport.write(command)
        elif not self.ready.done():
            self.ready.set_result(None)


async def connect(
    options: argparse.Namespace, users: list[tuple[str, str]], gate: asyncio.Semaphore, number: int
) -> Idler:
    """One idling client; each comes from a loopback address of its own hundred."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    account, password = users[number % len(users)]
    source = (f"127.0.{number // 50 // 250}.{2 + number // 50 % 250}", 0) if options.spread else None
    async with gate:
        _, idler = await asyncio.get_running_loop().create_connection(
            lambda: Idler(account, password), options.host, options.port, ssl=context, local_addr=source
        )
        await idler.ready
    return idler


async def show_mail(options: argparse.Namespace, idlers: list[Idler]) -> dict[str, float]:
    """Sends mails one after the other; gives the times from 250 to EXISTS, over all clients."""
    client = await smtp_load.Client.connect(options.host, options.smtp_port)
    by_account: dict[str, list[Idler]] = {}
    for idler in idlers:
        by_account.setdefault(idler.account, []).append(idler)
    accounts = list(by_account)
    waits: list[float] = []
    missed = 0
    for number in range(options.mails):
        account = accounts[number % len(accounts)]
        watching = by_account[account]
        for idler in watching:
            idler.seen_at = 0.0
        data = smtp_load.message(number, 2048, "sender@client.example", account)
        if not await client.transaction("sender@client.example", account, data):
            raise SystemExit("a message was refused")
        done_at = time.perf_counter()
        while not all(idler.seen_at for idler in watching) and time.perf_counter() - done_at < 2:
            await asyncio.sleep(0.002)
        waits += [max(0.0, idler.seen_at - done_at) for idler in watching if idler.seen_at]
        missed += sum(1 for idler in watching if not idler.seen_at)
        await asyncio.sleep(options.pause)
    await client.close()
    waits.sort()
    return {
        "mails": options.mails,
        "missed": missed,
        "shown_p50_ms": round(statistics.median(waits) * 1000, 2),
        "shown_p99_ms": round(waits[int(len(waits) * 0.99)] * 1000, 2),
    }


def memory(pids: list[int]) -> dict[str, int]:
    """Octets of these processes and their children: shared pages counted in parts (PSS), own (USS)."""
    total = {"rss": 0, "pss": 0, "uss": 0}
    for pid in pids:
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            found = process.memory_full_info()
            for name in total:
                total[name] += getattr(found, name)
    return total


async def main(options: argparse.Namespace) -> dict[str, object]:
    gate = asyncio.Semaphore(PARALLEL)
    users = options.users
    warm = [await connect(options, users, gate, number) for number in range(min(8, options.clients))]
    await asyncio.sleep(options.settle)
    before = memory(options.pids)
    cpu, began = smtp_load.cpu_s(options.pids), time.perf_counter()
    idlers = list(
        await asyncio.gather(
            *(connect(options, users, gate, number) for number in range(len(warm), options.clients))
        )
    )
    took, spent = time.perf_counter() - began, smtp_load.cpu_s(options.pids) - cpu
    busy = memory(options.pids)
    await asyncio.sleep(options.settle)
    after = memory(options.pids)
    result: dict[str, object] = {
        "clients": options.clients,
        "accounts": len(users),
        "opened_s": round(took, 2),
        "opened_per_s": round(len(idlers) / took, 1),
        "cpu_ms_per_login": round(spent * 1000 / max(1, len(idlers)), 2),
        "growth_kib_per_client": round((after["pss"] - before["pss"]) / 1024 / max(1, len(idlers)), 1),
        "pss_mib_at_login": round(busy["pss"] / 2**20, 1),
        "pss_mib": round(after["pss"] / 2**20, 1),
        "rss_mib": round(after["rss"] / 2**20, 1),
    }
    if options.smtp_port:
        result |= await show_mail(options, [*warm, *idlers])
    began_cpu = smtp_load.cpu_s(options.pids)
    await asyncio.sleep(QUIET_S)
    result["idle_cpu_percent"] = round((smtp_load.cpu_s(options.pids) - began_cpu) / QUIET_S * 100, 2)
    for idler in (*warm, *idlers):
        if idler.transport is not None:
            idler.transport.abort()
    return result


def make_accounts(demo: Path, count: int) -> list[tuple[str, str]]:
    """Accounts for the clients, known again when they are there already."""
    path = demo / f"bench-{count}.csv"
    if not path.exists():
        told = json.loads((demo / "demo.json").read_text())
        rows = [(f"idler{n}-{count}@{told['domain']}", secrets.token_urlsafe(15)) for n in range(count)]
        path.write_text("address,password\n" + "".join(f"{name},{word}\n" for name, word in rows))
        command = [sys.executable, "-m", "mailstack.cli.main", "--config", told["config"], "user", "import"]
        subprocess.run([*command, str(path)], check=True, stdout=subprocess.DEVNULL)
    return [(row[0], row[1]) for row in list(csv.reader(path.open()))[1:]]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=993)
    parser.add_argument("--smtp-port", type=int, default=0, help="0: no mail is sent")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--per-account", type=int, default=25)
    parser.add_argument("--mails", type=int, default=200)
    parser.add_argument("--pause", type=float, default=0.25, help="seconds between two mails")
    parser.add_argument("--settle", type=float, default=30, help="seconds before memory is read")
    parser.add_argument("--spread", action="store_true", help="from many loopback addresses")
    parser.add_argument("--users", help="file of address,password lines")
    parser.add_argument("--pids", type=int, nargs="*", default=[])
    parser.add_argument("--demo", type=Path, help="folder of a running demo instance")
    options = parser.parse_args()
    if options.demo is not None:
        demo = json.loads((options.demo / "demo.json").read_text())
        options.host, options.port = demo["host"], demo["ports"]["imaps"]
        options.smtp_port, options.pids = demo["ports"]["mx"], [demo["pids"]["imap"][0]]
        options.users = make_accounts(options.demo, -(-options.clients // options.per_account))
    else:
        with open(options.users) as file:
            options.users = [tuple(row) for row in csv.reader(file)]
    return options


if __name__ == "__main__":
    limit_resources()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(main(parse()))))
