"""How long one client keeps the others waiting: a heavy command beside clients that only NOOP.

    python -m bench.imap_lag --demo FOLDER [--count 10000]

One client runs SEARCH, SORT, THREAD, FETCH, STORE and COPY on a folder of N messages
(`bench.imap_fetch` makes it; `--keep` uses what is there), others, enough to meet every
worker, send NOOP all the time.  Prints one JSON document: for each command how long it took
and how long the longest NOOP beside it took, all in ms; `quiet` is with nothing beside.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench import imap_fetch

COMMANDS = (
    b"FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE INTERNALDATE RFC822.SIZE)",
    b"FETCH 1:* FLAGS",
    b"FETCH 1:1000 BODY.PEEK[]",
    b"SEARCH TEXT nowhere-to-be-found",
    b"SEARCH SUBJECT 4711",
    b"SEARCH OR HEADER Received x BODY yz",
    b"SORT (SUBJECT DATE) UTF-8 ALL",
    b"SORT (FROM ARRIVAL SIZE) UTF-8 ALL",
    b"THREAD REFERENCES UTF-8 ALL",
    b"STORE 1:* +FLAGS.SILENT (\\Flagged)",
    b"STORE 1:* -FLAGS (\\Flagged)",
    b'COPY 1:* "Bench"',
)


class Probe(threading.Thread):
    """Sends NOOP until told to stop; keeps the longest wait."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(daemon=True)
        self._client = imap_fetch.Client(options)
        self.longest_s = 0.0
        self.is_over = False

    def run(self) -> None:
        while not self.is_over:
            begun = time.perf_counter()
            self._client.command(b"NOOP")
            self.longest_s = max(self.longest_s, time.perf_counter() - begun)
            time.sleep(0.003)


def main() -> None:
    """Makes the messages, measures, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--demo", type=Path, required=True, help="folder of a running demo instance")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--probes", type=int, default=6)
    parser.add_argument("--keep", action="store_true", help="use the messages that are there")
    options = parser.parse_args()
    told = json.loads((options.demo / "demo.json").read_text())
    options.host, options.port, options.security, options.ca_file = (
        told["host"],
        told["ports"]["imaps"],
        "tls",
        "",
    )
    users = sorted(told["users"].items())
    options.user, options.password = users[0]
    client = imap_fetch.Client(options)
    if not options.keep:
        client.command(b'CREATE "Bench"')
        client.append_all(b"Bench", [imap_fetch.make_message(n) for n in range(options.count)], depth=100)
    client.command(b'SELECT "Bench"')
    options.user, options.password = users[1]
    probes = [Probe(options) for _ in range(options.probes)]
    for probe in probes:
        probe.start()
    found = {"quiet": measure(probes, partial(time.sleep, 1.0))}
    for command in COMMANDS:
        found[command.decode()] = measure(probes, partial(client.command, command))
    for probe in probes:
        probe.is_over = True
    print(json.dumps({"count": options.count, "ms": found}, indent=2))


def measure(probes: list[Probe], work: Callable[[], object]) -> dict[str, float]:
    """How long it took, and the longest wait beside it."""
    for probe in probes:
        probe.longest_s = 0.0
    begun = time.perf_counter()
    work()
    took = time.perf_counter() - begun
    time.sleep(0.1)
    return {
        "took": round(took * 1000, 1),
        "longest_noop": round(max(probe.longest_s for probe in probes) * 1000, 1),
    }


if __name__ == "__main__":
    main()
