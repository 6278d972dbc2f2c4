"""Empties a queue: `python -m bench.outbound [--messages N] [--destinations 1 1000] [--peer]`.

N messages are queued while nothing may leave; then the time until the sink has them all is
taken, with the CPU time of the queue daemon alone.  With `--peer` the same is done with
Debian's Postfix (its own defaults for concurrency; no filter, no index, no log database), in
turns on the same disk, so that the ratio means something; that needs root.  Neither asks
DNS: each destination has a static route to an address of its own in 127.0.0.0/8.

Prints one JSON document per number of destinations.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import uvloop

from bench import smtp_load
from mailstack.app.config import load_config
from mailstack.delivery import holds
from mailstack.delivery.entry import QueueMessage, QueueRecipient
from mailstack.delivery.queue import Queue
from tests.kit.instance import new_instance
from tests.kit.mta import running_mta
from tests.kit.ports import free_port
from tests.kit.process import mailstack, started, wait_for_port

SENDER = "alice@example.test"
LOOK_S = 0.02
BATCH = 100


def host_of(number: int) -> str:
    """A loopback address for each destination."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


def domain_of(number: int) -> str:
    return f"d{number}.bench.test"


class Sink:
    """The other side, in a process of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._file = self._socket.makefile("rwb")
        self._file.readline()

    def count(self) -> int:
        self._file.write(b"XCOUNT\r\n")
        self._file.flush()
        return int(self._file.readline().split()[1])

    async def until(self, count: int) -> None:
        """Waits until so many messages have come in all."""
        while self.count() < count:
            await asyncio.sleep(LOOK_S)


@contextmanager
def sink() -> Iterator[Sink]:
    port = free_port()
    with started([sys.executable, "-m", "bench.outbound_sink", str(port)]):
        wait_for_port(port)
        yield Sink(port)


async def drained(sink: Sink, pid: int, count: int, begin: object) -> dict[str, float]:
    """Lets go of the mail and says how long it took."""
    before = sink.count()
    async with smtp_load.Watch({"queue": pid}) as watch:
        began = time.perf_counter()
        assert callable(begin)
        begin()
        await sink.until(before + count)
        wall_s = time.perf_counter() - began
        await asyncio.sleep(2 * smtp_load.LOOK_S)  # what follows the last message
    return {
        "per_s": count / wall_s,
        "cpu_ms_per_message": watch.cpu_s()["queue"] * 1000 / count,
        "peak_anonymous_mib": watch.peak_anonymous_octets / 2**20,
    }


def ours(folder: Path, sink: Sink, given: argparse.Namespace, destinations: int) -> dict[str, float]:
    """One run of the queue daemon on a queue of its own."""
    instance = new_instance(folder)
    instance.cli("user", "add", SENDER, "--password", "a-long-password-1")
    routes = "".join(
        f'[[queue.route]]\ndomain = "{domain_of(n)}"\nhost = "{host_of(n)}"\nport = {sink.port}\n'
        for n in range(destinations)
    )
    instance.file.write_text(instance.file.read_text() + "\n" + routes)
    config = load_config(instance.file)
    with started(
        mailstack("run", "queue", "--config", instance.file), environ={"MAILSTACK_ALLOW_ROOT": "1"}
    ) as process:
        queue = Queue(config.paths, now=time.time, random_bytes=os.urandom, options=config.queue)
        before = sink.count()
        queue.enqueue([message(0, given.size)])  # it is up when this one is through
        run(sink.until(before + 1))
        holds.hold(queue, "sender", SENDER, reason="bench", who="bench")
        fill(queue, given, destinations)

        def begin() -> None:
            holds.release(queue, "sender", SENDER)

        found = run(drained(sink, process.pid, given.messages, begin))
        queue.close()
    return found


def fill(queue: Queue, given: argparse.Namespace, destinations: int) -> None:
    """The messages, one recipient each, destination after destination."""
    for start in range(0, given.messages, BATCH):
        numbers = range(start, min(start + BATCH, given.messages))
        queue.enqueue([message(n % destinations, given.size) for n in numbers])


def message(destination: int, size: int) -> QueueMessage:
    """One recipient."""
    to = f"b@{domain_of(destination)}"
    data = smtp_load.message(destination, size, SENDER, to)
    return QueueMessage((QueueRecipient(to),), sender=SENDER, owner=SENDER, data=data)


def postfix(sink: Sink, given: argparse.Namespace, destinations: int) -> dict[str, float]:
    """One run of Postfix: its queue manager starts when everything is queued."""
    with running_mta("postfix", {}) as peer:
        etc = peer.folder / "etc"
        lines = (f"{domain_of(n)} smtp:[{host_of(n)}]:{sink.port}" for n in range(destinations))
        (etc / "routes").write_text("\n".join(lines) + "\n")
        (etc / "routes").chmod(0o644)
        settings = (etc / "main.cf").read_text()
        settings = re.sub("transport_maps = .*", f"transport_maps = texthash:{etc}/routes", settings)
        control = [shutil.which("postfix", path="/usr/sbin:/usr/bin") or "postfix", "-c", str(etc), "reload"]
        settings += "in_flow_delay = 0\n"  # else it waits a second per message that nobody sends on
        _reload(etc, control, settings + "master_service_disable = qmgr.unix\n")
        run(inject(peer.port, given, destinations))
        return run(drained(sink, peer.process.pid, given.messages, lambda: _reload(etc, control, settings)))


def _reload(etc: Path, control: list[str], settings: str) -> None:
    (etc / "main.cf").write_text(settings)
    subprocess.run(control, check=True, capture_output=True)


async def inject(port: int, given: argparse.Namespace, destinations: int) -> None:
    """Queues the messages over a few connections."""

    async def work(first: int) -> None:
        client = await smtp_load.Client.connect("127.0.0.1", port)
        for n in range(first, given.messages, 10):
            to = f"b@{domain_of(n % destinations)}"
            if not await client.transaction(SENDER, to, smtp_load.message(n, given.size, SENDER, to)):
                raise RuntimeError("postfix did not take a message")
        await client.close()

    await asyncio.sleep(1)
    await asyncio.gather(*(work(n) for n in range(10)))


def run(work: object) -> dict[str, float]:
    """In a fast loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)  # type: ignore[arg-type]


def main() -> None:
    """Measures each number of destinations, in turns."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=3_000)
    parser.add_argument("--size", type=int, default=4_096, help="octets of a message")
    parser.add_argument("--destinations", type=int, nargs="*", default=[1, 1_000])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--peer", action="store_true", help="Postfix too")
    given = parser.parse_args()
    for destinations in given.destinations:
        rows: dict[str, list[dict[str, float]]] = {"mailstack": [], "postfix": []}
        with sink() as other:
            for _ in range(given.rounds):
                with tempfile.TemporaryDirectory(prefix="mailstack-bench-") as scratch:
                    rows["mailstack"].append(ours(Path(scratch), other, given, destinations))
                if given.peer:
                    rows["postfix"].append(postfix(other, given, destinations))
        print(json.dumps({"destinations": destinations, "messages": given.messages, **medians(rows)}))


def medians(rows: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Of each server's measures."""
    return {
        name: {measure: round(median(one[measure] for one in runs), 2) for measure in runs[0]}
        for name, runs in rows.items()
        if runs
    }


if __name__ == "__main__":
    main()
