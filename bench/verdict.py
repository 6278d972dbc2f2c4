"""What a verdict costs: CPU of worker and parent for each message, warm DNS, memory, a message of 25 MB.

`python -m bench.verdict [--messages N] [--corpus FOLDER]`; needs no server: a filter daemon
runs in this process, and so does its client; the worker runs beside it.  Messages come from
a domain with SPF and DMARC to an account.  Three kinds: letters put together from written
mail, which have more different words than most; what `bench.smtp_load` sends; and, where
there is a corpus, its messages of about 4 KiB as if they came from that domain, unsigned and
signed.  Of several runs the cheapest counts: other work only ever adds.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import itertools
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop

from bench import smtp_load
from mailstack.app.filter_worker import resident_octets
from mailstack.filters.authentication.sign import sign
from mailstack.filters.fields import Header
from mailstack.model.verdict import FilterRecipient
from tests.kit.dkim_keys import rsa_key, rsa_record
from tests.kit.dns_server import DnsServer
from tests.kit.filter_daemon import Daemon, running
from tests.kit.instance import new_instance

ZONE: dict[str, dict[str, Any]] = {
    "example.test": {
        "TXT": ["v=spf1 ip4:192.0.2.1 -all"],
        "A": ["192.0.2.1"],
        "MX": [[10, "mx.example.test"]],
    },
    "mx.example.test": {"A": ["192.0.2.1"], "TXT": ["v=spf1 a -all"]},
    "_dmarc.example.test": {"TXT": ["v=DMARC1; p=reject; rua=mailto:d@example.test"]},
    "rsa._domainkey.example.test": {"TXT": [rsa_record()]},
    "1.2.0.192.in-addr.arpa": {"PTR": ["mx.example.test"]},
}
#: Messages at a time, as from ten connections of smtp's.
AT_ONCE = 10
#: How often each kind is measured.
RUNS = 4
MIB = 1_048_576
#: Messages of the corpus: of so many octets, and so many of each kind.
CORPUS_OCTETS = range(3_600, 4_600)
CORPUS_MESSAGES = 200
SIGNED_AT = 1_800_000_000
AUTHOR = b"From: Alice Example <alice@example.test>\r\n"

#: Wanted mail to take words from.
WORDS = Path(__file__).parents[1] / "data" / "classifier"


@dataclass(frozen=True)
class Cost:
    """CPU milliseconds of one message."""

    worker_ms: float
    parent_and_client_ms: float
    octets: int


@functools.cache
def paragraphs() -> list[str]:
    """Text of people, some hundred KiB, always the same."""
    entries = [e for file in sorted(WORDS.glob("ham*.json")) for e in json.loads(file.read_bytes())]
    return [e["body"] for e in entries if e.get("lang") == "en"]


def letter(size: int, *, html: bool, number: int = 0) -> bytes:
    """A signed message of about so many octets; `number` makes it another one."""
    head = (
        "From: Alice Example <alice@example.test>\r\nTo: Bob <bob@example.test>\r\n"
        f"Subject: Notes of the {number}th meeting\r\nDate: Fri, 15 Jan 2027 08:00:00 +0000\r\n"
        f"Message-ID: <{number}.notes@example.test>\r\nMIME-Version: 1.0\r\n"
        f"Content-Type: text/{'html' if html else 'plain'}; charset=utf-8\r\n\r\n"
    )
    room, pieces, at = size - len(head) - 900, [], number
    while room > 0:
        text = paragraphs()[at % len(paragraphs())][: max(room, 1)]
        piece = _cell(text, at) if html else text.replace("\n", "\r\n") + "\r\n\r\n"
        pieces.append(piece)
        room, at = room - len(piece.encode()), at + 1
    body = "".join(pieces)
    if html:
        body = f"<html><body><table>{body}</table></body></html>\r\n"
    message = (head + body).encode()
    return signed(message)


def signed(message: bytes) -> bytes:
    return sign(message, [rsa_key()], now=SIGNED_AT) + message


def real(corpus: Path) -> Iterator[bytes]:
    """Messages of a corpus (folders `ham` and `spam`), their authors replaced."""
    for folder in ("ham", "spam"):
        files = [f for f in sorted((corpus / folder).glob("*")) if f.stat().st_size in CORPUS_OCTETS]
        for file in files[:CORPUS_MESSAGES]:
            message = file.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
            authors = Header(message).all(b"from")
            start, end = (authors[0].start, authors[-1].end) if authors else (0, 0)
            if len(authors) < 2:
                yield message[:start] + AUTHOR + message[end:]


def kinds(corpus: Path) -> Iterator[tuple[str, list[bytes]]]:
    """What is measured: a label and different messages."""
    for label, size, html in (
        ("4 KiB plain", 4_096, False),
        ("4 KiB HTML", 4_096, True),
        ("12 KiB HTML", 12_288, True),
        ("50 KiB plain", 51_200, False),
    ):
        yield label, [letter(size, html=html, number=number) for number in range(100)]
    one_text = [smtp_load.message(n, 4_096, "alice@example.test", "bob@example.test") for n in range(100)]
    yield "4 KiB of smtp_load", one_text
    found = list(real(corpus))
    if found:
        yield "4 KiB of the corpus", found
        yield "4 KiB of the corpus, signed", [signed(message) for message in found]


def _cell(text: str, number: int) -> str:
    """A row of a designed letter."""
    return (
        '<tr><td style="padding:8px;font-family:Arial,sans-serif;color:#333333">'
        f'<p class="text">{text.replace(chr(10), "<br>")}</p>\r\n'
        f'<a href="https://www.example.test/plan/{number}?utm_source=mail" style="color:#0055aa">Read it</a>'
        '<img src="https://img.example.test/a.png" width="40" height="40" alt="plan"></td></tr>\r\n'
    )


def request(message: bytes | None, account_id: int, **changes: Any) -> dict[str, Any]:
    recipient = FilterRecipient(1, account_id, "bob@example.test", "bob@example.test")
    return {
        "message": message,
        "size_octets": len(message or b""),
        "ip": "192.0.2.1",
        "helo": "mx.example.test",
        "sender": "alice@example.test",
        "recipients": (recipient,),
    } | changes


def cpu_s(pid: int) -> float:
    """CPU time of another process with one thread, to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


async def run(daemon: Daemon, account_id: int, letters: list[bytes]) -> None:
    """Has all of them judged, some at a time."""
    todo = iter(letters)

    async def one() -> None:
        for message in todo:
            answer = await daemon.ask(**request(message, account_id))
            assert answer.verdict.unfiltered == "", answer.verdict.unfiltered
            assert answer.verdict.authentication.dmarc.result == "pass"

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))


async def cost(daemon: Daemon, account_id: int, letters: list[bytes], messages: int) -> Cost:
    """The least of several runs."""
    (worker,) = daemon.server.pool.workers
    await run(daemon, account_id, letters)
    octets = sum(map(len, letters)) // len(letters)
    many = list(itertools.islice(itertools.cycle(letters), max(len(letters), messages * 4_096 // octets)))
    found = []
    for _ in range(RUNS):
        before, own = cpu_s(worker.pid), time.process_time()
        await run(daemon, account_id, many)
        worker_s, own_s = cpu_s(worker.pid) - before, time.process_time() - own
        per_ms = 1000 / len(many)
        found.append(Cost(round(worker_s * per_ms, 3), round(own_s * per_ms, 3), octets))
    return min(found, key=lambda one: one.worker_ms + one.parent_and_client_ms)


async def measure(messages: int, corpus: Path) -> dict[str, Any]:
    """All figures."""
    with tempfile.TemporaryDirectory(prefix="mailstack-bench-") as name, DnsServer(ZONE) as dns:
        folder = Path(name)
        instance = new_instance(folder / "instance")
        with instance.writer() as writer:
            account = writer.accounts.add("bob@example.test")
        async with running(folder, dns, instance, workers=1, worker_messages=10_000_000) as daemon:
            (worker,) = daemon.server.pool.workers
            out: dict[str, Any] = {}
            for label, letters in kinds(corpus):
                out[label] = asdict(await cost(daemon, account.id, letters, messages))
            if "4 KiB of the corpus" not in out:
                out["4 KiB of the corpus"] = f"skipped: {corpus} has no folders ham and spam"
            out["worker resident MiB"] = round(resident_octets(worker.pid) / MIB, 1)
            large = folder / "large"
            large.write_bytes(letter(4_096, html=False) + b"word after word\r\n" * (25 * MIB // 17))
            began = time.monotonic()
            answer = await daemon.ask(
                **request(None, account.id, path=str(large), size_octets=large.stat().st_size)
            )
            assert answer.verdict.unfiltered == ""
            out["25 MB: seconds"] = round(time.monotonic() - began, 3)
            out["worker resident MiB after 25 MB"] = round(resident_octets(worker.pid) / MIB, 1)
            return out


def main() -> None:
    """Measures and prints JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=1_000, help="in each run, of 4 KiB")
    parser.add_argument("--corpus", type=Path, default=Path("/tmp/corpus/dev"))
    options = parser.parse_args()
    print(json.dumps(uvloop.run(measure(options.messages, options.corpus)), indent=2))


if __name__ == "__main__":
    main()
