"""How fast an IMAP server searches, sorts and threads a mailbox, and who waits meanwhile.

    python -m bench.imap_search --port 993 --user alice@example.test --password ... [--count 1000 10000]

Any server will do; for each count, that many messages are put into a folder of their own.
Prints one JSON object: for each count and command the first, best and median time of
`--repeat` runs in seconds, or what the server said instead of OK; `neighbour_ms`: the
median and the longest time a NOOP of another connection took while all this ran.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import threading
import time

from bench.imap_fetch import Client, figures, make_again, server_parser, use_demo

COMMANDS = {
    "search_text_rare": b"SEARCH TEXT margonel",
    "search_text_none": b"SEARCH TEXT nowhere-to-be-found",
    "search_text_phrase": b'SEARCH TEXT "line of message 77,"',
    "search_body": b"SEARCH BODY margonel",
    "search_subject": b"SEARCH SUBJECT margonel",
    "search_from": b'SEARCH FROM "sender 7"',
    "search_message_id": b'SEARCH HEADER Message-ID "<77.bench@example.net>"',
    "search_since": b"SEARCH SINCE 1-Jan-2000 UNSEEN SMALLER 100000",
    "search_sent": b"SEARCH SENTSINCE 20-Jan-2026",
    "sort_date": b"SORT (REVERSE DATE) UTF-8 ALL",
    "sort_arrival": b"SORT (REVERSE ARRIVAL) UTF-8 ALL",
    "sort_subject": b"SORT (SUBJECT DATE) UTF-8 ALL",
    "sort_from": b"SORT (FROM) UTF-8 ALL",
    "thread_references": b"THREAD REFERENCES UTF-8 ALL",
    "thread_subject": b"THREAD ORDEREDSUBJECT UTF-8 ALL",
}
_SYLLABLES = ("mar", "go", "nel", "tis", "ven", "dor", "ka", "lu", "pra", "shi", "un", "ber")
#: Messages of one conversation.
_THREAD = 7


def make_message(number: int) -> bytes:
    """About 3 KiB, with words of its own; every seventh begins a conversation."""
    chance = random.Random(number)

    def word() -> str:
        return "".join(chance.choice(_SYLLABLES) for _ in range(3))

    first = number - number % _THREAD
    subject = " ".join(random.Random(first).choice(_SYLLABLES) * 2 for _ in range(2)) + f" {first}"
    references = "".join(f"\r\n <{at}.bench@example.net>" for at in range(first, number))
    lines = [f"Line after line of message {number}, " + " ".join(word() for _ in range(8)) for _ in range(30)]
    return (
        f'From: "Sender {number % 97}" <sender{number % 97}@example.net>\r\n'
        f'To: "Alice" <alice@example.test>\r\nSubject: {"Re: " if references else ""}{subject} {word()}\r\n'
        f"Date: {1 + number % 28} Jan 2026 10:{number // 60 % 60:02d}:{number % 60:02d} +0000\r\n"
        f"Message-ID: <{number}.bench@example.net>\r\n"
        + (f"References:{references}\r\n" if references else "")
        + "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        + "\r\n".join(lines)
        + "\r\n"
    ).encode()


class Neighbour(threading.Thread):
    """Another client, which only wants to know that the server is there."""

    def __init__(self, client: Client) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._over = threading.Event()
        self.times: list[float] = []

    def run(self) -> None:
        """NOOP after NOOP, with a pause in between."""
        while not self._over.wait(0.005):
            begin = time.perf_counter()
            self._client.command(b"NOOP")
            self.times.append(time.perf_counter() - begin)

    def result(self) -> dict[str, float]:
        """Ends it; milliseconds."""
        self._over.set()
        self.join()
        return {
            "median": round(statistics.median(self.times) * 1000, 2),
            "longest": round(max(self.times) * 1000, 2),
        }


def fill(client: Client, mailbox: bytes, count: int) -> None:
    """Makes the folder with its messages again."""
    make_again(client, mailbox)
    client.append_all(mailbox, [make_message(number) for number in range(count)], depth=100)


def measure(client: Client, command: bytes, repeat: int) -> dict[str, float] | str:
    """Times of one command; what the server said when it will not do it."""
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        try:
            client.command(command)
        except SystemExit as refused:
            return str(refused)
        times.append(time.perf_counter() - begin)
    return {f"{name}_s": taken for name, taken in figures(times).items()}


def run(options: argparse.Namespace, count: int) -> dict[str, object]:
    """All commands on a folder of this size."""
    mailbox = f"{options.mailbox}{count}".encode()
    if not options.keep:
        fill(Client(options), mailbox, count)
    neighbour = Neighbour(Client(options))
    client = Client(options)
    client.command(b'SELECT "%b"' % mailbox)
    # Some servers index what somebody has opened, some when they are asked for the first time.
    client.command(b"SEARCH TEXT nothing-yet")
    time.sleep(options.settle)
    neighbour.start()
    rows: dict[str, object] = {name: measure(client, text, options.repeat) for name, text in COMMANDS.items()}
    return {"count": count, **rows, "neighbour_ms": neighbour.result()}


def main() -> None:
    """Measures every size, prints."""
    parser = server_parser(__doc__ or "")
    parser.add_argument("--count", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--mailbox", default="BenchSearch")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--settle", type=float, default=20.0, help="wait so long until an index is built, s")
    parser.add_argument("--keep", action="store_true", help="use the messages that are there")
    options = parser.parse_args()
    use_demo(options)
    print(json.dumps({"runs": [run(options, count) for count in options.count]}, indent=2))


if __name__ == "__main__":
    main()
