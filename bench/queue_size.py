"""A queue of 100,000 messages: `python -m bench.queue_size [--messages N]`.

Most of them are deferred, as after days of somebody's outage; a hundredth is due for a sink.
Prints one JSON document:

    {"messages", "start_s": until the daemon delivers, "new_mail_s": until a new message is at
     the sink, "peak_mib", "peak_anonymous_mib": of the daemon with its main process,
     "list_s", "summary_s", "pick_ms": a look and a claim, "enqueue_ms", "hold_s", "release_s"}
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import msgspec

from bench import outbound, smtp_load
from mailstack.app.config import load_config
from mailstack.delivery import holds, lanes, listing, rows
from mailstack.delivery.queue import Queue
from mailstack.delivery.spool import Envelope
from tests.kit.instance import Instance, new_instance
from tests.kit.process import mailstack, started

#: Files are links to one another; a file system takes so many.
LINKS = 10_000
SENDERS, DESTINATIONS = 200, 2_000
SOON_S = 4_000.0


def fill(queue: Queue, count: int) -> None:
    """Rows and files of messages that wait for their next attempt, and some that are due."""
    due = count // 100
    for start in range(0, count, LINKS):
        numbers = range(start, min(start + LINKS, count))
        first = queue.spool.write(outbound.message(0, 4_096), f"q{start}", queue.now())
        queue.spool.publish([first.queue_id])
        for n in numbers[1:]:
            os.link(queue.spool.path(first.queue_id), queue.spool.path(f"q{n}"))
        queue.write(lambda c, first=first, numbers=numbers: rows.insert_all(c, _made(first, numbers)))  # type: ignore[misc]
    queue.write(
        lambda c: (
            c.execute(
                "UPDATE recipient SET next_at = ? + number * 7919 % 1000 * 4.0, tries = 3, waited_s = 2100,"
                " code = 451, status = '4.1', reply = 'connection timed out' WHERE number > ?",
                (queue.now() + 60, due),
            ).rowcount
        )
    )
    queue.write(lambda c: lanes.refresh(c, [int(n) for (n,) in c.execute("SELECT id FROM lane")]))


def _made(first: Envelope, numbers: range) -> list[Envelope]:
    (one,) = first.recipients
    return [
        msgspec.structs.replace(
            first,
            queue_id=f"q{n}",
            owner=f"user{n % SENDERS}@example.test",
            recipients=(msgspec.structs.replace(one, address=f"b@{_domain(n)}"),),
        )
        for n in numbers
    ]


def _domain(number: int) -> str:
    return outbound.domain_of(number % 10 if number < 1_000 else number % DESTINATIONS)


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def pick(queue: Queue) -> None:
    """What a round of the daemon does."""
    found = lanes.ready(queue, lanes.Wish(100))
    entries = queue.claim({lane.number: 1 for lane in found[:1]}, lease_owner="bench")
    assert entries


def alone(queue: Queue) -> dict[str, float]:
    """What the commands and one round cost, without a daemon, when everything is due at once."""
    queue.write(
        lambda c: c.execute("UPDATE recipient SET next_at = ? WHERE state = 0", (queue.now(),)).rowcount
    )
    return {
        "pick_ms": median(timed(lambda: pick(queue)) for _ in range(20)) * 1000,
        "enqueue_ms": median(timed(lambda: queue.enqueue([outbound.message(0, 4_096)])) for _ in range(20))
        * 1000,
        "hold_s": timed(lambda: holds.hold(queue, "sender", "user7@example.test", reason="b", who="b")),
        "release_s": timed(lambda: holds.release(queue, "sender", "user7@example.test")),
        "summary_s": timed(lambda: listing.crowds(queue, limit=20)),
    }


async def daemon(instance: Instance, sink: outbound.Sink, queue: Queue, due: int) -> dict[str, float]:
    """What the daemon needs to start and to go on."""
    began = time.perf_counter()
    with started(
        mailstack("run", "queue", "--config", instance.file), environ={"MAILSTACK_ALLOW_ROOT": "1"}
    ) as process:
        async with smtp_load.Watch({"queue": process.pid}) as watch:
            await sink.until(1)
            start_s = time.perf_counter() - began
            await sink.until(due)
            before, again = sink.count(), time.perf_counter()
            queue.enqueue([outbound.message(0, 4_096)])
            await sink.until(before + 1)
            new_s = time.perf_counter() - again
            await asyncio.sleep(2)
    return {
        "start_s": start_s,
        "new_mail_s": new_s,
        "peak_mib": watch.peak_octets / 2**20,
        "peak_anonymous_mib": watch.peak_anonymous_octets / 2**20,
    }


def main() -> None:
    """Fills a queue and measures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=100_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mailstack-bench-") as scratch, outbound.sink() as sink:
        instance = new_instance(Path(scratch))
        instance.cli("user", "add", outbound.SENDER, "--password", "a-long-password-1")
        with instance.file.open("a") as file:
            file.write(f'\n[[queue.route]]\ndomain = "*"\nhost = "127.0.0.1"\nport = {sink.port}\n')
        config = load_config(instance.file)
        queue = Queue(config.paths, now=time.time, random_bytes=os.urandom, options=config.queue)
        fill(queue, given.messages)
        found: dict[str, float] = {"messages": given.messages}
        found |= asyncio.run(daemon(instance, sink, queue, given.messages // 100))
        found |= {"list_s": timed(lambda: instance.cli("queue", "list")), **alone(queue)}
        queue.close()
    print(json.dumps({name: round(value, 3) for name, value in found.items()}))


if __name__ == "__main__":
    main()
