"""How fast an IMAP server lists a mailbox: makes N messages, then fetches all of them.

    python bench/imap_fetch.py --port 993 --user alice@example.test --password ... [--count 10000]

Any server will do; the messages are put into a folder of their own (`--mailbox`), which
is made again unless `--keep` finds enough messages there.  Prints one JSON object; times in
seconds, the best and the median of `--repeat` runs; "first" is the first run on a new
connection.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import ssl
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

_GROWN = 300
_PATIENCE_S = 60
_NOWHERE = b"SEARCH TEXT nowhere-to-be-found"
ITEMS = b"(FLAGS ENVELOPE BODYSTRUCTURE INTERNALDATE RFC822.SIZE)"


class Client:
    """Just enough IMAP, as lean as possible, so that the server is measured."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._sock: socket.socket = socket.create_connection((options.host, options.port), timeout=300)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = ssl.create_default_context(cafile=options.ca_file or None)
        if not options.ca_file:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._held = b""
        if options.security == "tls":
            self._sock = context.wrap_socket(self._sock, server_hostname=options.host)
        self._line()
        if options.security == "starttls":
            self.command(b"STARTTLS")
            self._sock = context.wrap_socket(self._sock, server_hostname=options.host)
        login = f'LOGIN "{options.user}" "{options.password}"'
        self.command(login.encode())
        self.can_plus = b"LITERAL+" in self.command(b"CAPABILITY")

    def _line(self) -> bytes:
        while b"\r\n" not in self._held:
            self._held += self._receive()
        line, _, self._held = self._held.partition(b"\r\n")
        return line

    def _receive(self) -> bytes:
        data = self._sock.recv(1 << 20)
        if not data:
            raise SystemExit("the server closed the connection")
        return data

    def command(self, text: bytes) -> bytes:
        """One command; gives everything said.  Literals must not hold the tag."""
        self._sock.sendall(b"zz9 " + text + b"\r\n")
        pieces = [self._held]
        self._held = b""
        tail = self._find_end(pieces)
        if not tail.startswith(b"zz9 OK"):
            raise SystemExit(f"{text[:60]!r}: {tail!r}")
        return b"".join(pieces)

    def _find_end(self, pieces: list[bytes]) -> bytes:
        end = b"".join(pieces)[-300:]
        while True:
            at = end.rfind(b"\nzz9 ")
            at = at + 1 if at >= 0 else (0 if end.startswith(b"zz9 ") else -1)
            if at >= 0 and end.endswith(b"\r\n"):
                return end[at:].rstrip()
            data = self._receive()
            pieces.append(data)
            end = (end + data)[-8_192:]

    def append_all(self, mailbox: bytes, messages: list[bytes], *, depth: int) -> None:
        """Appends pipelined, `depth` at a time."""
        for begin in range(0, len(messages), depth):
            group = messages[begin : begin + depth]
            if self.can_plus:
                self._sock.sendall(
                    b"".join(b'p APPEND "%b" {%d+}\r\n%b\r\n' % (mailbox, len(data), data) for data in group)
                )
                for _ in group:
                    self._expect_ok()
                continue
            for data in group:
                self._sock.sendall(b'p APPEND "%b" {%d}\r\n' % (mailbox, len(data)))
                self._line()
                self._sock.sendall(data + b"\r\n")
                self._expect_ok()

    def _expect_ok(self) -> None:
        while not (line := self._line()).startswith(b"p "):
            pass
        if not line.startswith(b"p OK"):
            raise SystemExit(f"APPEND: {line!r}")


def make_message(number: int) -> bytes:
    """About 4 KiB; every third has two alternatives and an attachment."""
    head = (
        f"Received: from mx.example.net (mx.example.net [192.0.2.{number % 250}])\r\n"
        f"\tby mail.example.test with ESMTPS id {number:08x};\r\n\tThu, 1 Jan 2026 10:00:00 +0000\r\n"
        f'From: "Sender {number % 97}" <sender{number % 97}@example.net>\r\n'
        f'To: "Alice" <alice@example.test>, bob@example.test\r\nCc: list@example.org\r\n'
        f"Subject: Message {number} about one thing or another\r\n"
        f"Date: Thu, 1 Jan 2026 10:{number // 60 % 60:02d}:{number % 60:02d} +0000\r\n"
        f"Message-ID: <{number}.bench@example.net>\r\nMIME-Version: 1.0\r\n"
    )
    text = f"This is line after line of message {number}, as letters have them.\r\n"
    if number % 3:
        return (head + "Content-Type: text/plain; charset=utf-8\r\n\r\n" + text * 50).encode()
    return (
        head + f'Content-Type: multipart/mixed; boundary="b{number}"\r\n\r\n'
        f'--b{number}\r\nContent-Type: multipart/alternative; boundary="a{number}"\r\n\r\n'
        f"--a{number}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text * 20}\r\n"
        f"--a{number}\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>{text * 20}</p>\r\n"
        f"--a{number}--\r\n"
        f"--b{number}\r\nContent-Type: application/pdf; name=x.pdf\r\nContent-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: attachment; filename=x.pdf\r\n\r\n{'QUJD' * 18}\r\n--b{number}--\r\n"
    ).encode()


def make_again(client: Client, mailbox: bytes) -> None:
    """Makes an empty folder of this name."""
    with contextlib.suppress(SystemExit):
        client.command(b'DELETE "%b"' % mailbox)
    client.command(b'CREATE "%b"' % mailbox)


def measure(
    client: Client, command: bytes, *, repeat: int, octets: dict[str, int], name: str
) -> dict[str, float]:
    """Times of one command."""
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        octets[name] = len(client.command(command))
        times.append(time.perf_counter() - begin)
    return {f"{name}_s": taken for name, taken in figures(times).items()}


def figures(times: Sequence[float]) -> dict[str, float]:
    """The first, best and median of some times in seconds."""
    found = {"first": times[0], "best": min(times), "median": statistics.median(times)}
    return {name: round(taken, 4) for name, taken in found.items()}


def settle(client: Client) -> float:
    """Gives a server that indexes in the background its time; how long the first search took, in seconds."""
    began = time.perf_counter()
    client.command(_NOWHERE)
    first = took = time.perf_counter() - began
    before = 0.0
    while abs(took - before) > took / 4 and time.perf_counter() - began < _PATIENCE_S:
        time.sleep(3)
        before, again = took, time.perf_counter()
        client.command(_NOWHERE)
        took = time.perf_counter() - again
    return round(first, 4)


def server_parser(description: str) -> argparse.ArgumentParser:
    """Takes which server, and who logs in."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--demo", default="", help="folder of a running demo: host, port, user from there")
    parser.add_argument("--port", type=int, default=993)
    parser.add_argument("--security", choices=["tls", "starttls", "none"], default="tls")
    parser.add_argument("--ca-file", default="", help="trust this; without it nothing is checked")
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    return parser


def use_demo(options: argparse.Namespace) -> None:
    """Fills in what the demo says, when one is named."""
    if options.demo:
        told = json.loads((Path(options.demo) / "demo.json").read_text())
        options.host, options.port = told["host"], told["ports"]["imaps"]
        options.user, options.password = sorted(told["users"].items())[0]


def main() -> None:
    """Makes the messages, measures, prints."""
    parser = server_parser(__doc__ or "")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--mailbox", default="Bench")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--depth", type=int, default=100, help="APPENDs in flight")
    parser.add_argument("--keep", action="store_true", help="use the messages that are there")
    options = parser.parse_args()
    use_demo(options)
    mailbox = options.mailbox.encode()
    client = Client(options)
    result: dict[str, object] = {"count": options.count}
    if not options.keep:
        make_again(client, mailbox)
        messages = [make_message(number) for number in range(options.count)]
        begin = time.perf_counter()
        client.append_all(mailbox, messages, depth=options.depth)
        took = time.perf_counter() - begin
        result["append_per_s"] = round(options.count / took, 1)

    client = Client(options)
    begin = time.perf_counter()
    client.command(b'SELECT "%b"' % mailbox)
    result["select_s"] = round(time.perf_counter() - begin, 4)
    octets: dict[str, int] = {}
    for name, command in (
        ("fetch_all", b"FETCH 1:* " + ITEMS),
        ("fetch_flags", b"FETCH 1:* FLAGS"),
        ("search_subject", b"SEARCH SUBJECT 4711"),
        ("search_text", _NOWHERE),
    ):
        if name == "search_text":
            result["search_text_at_once_s"] = settle(client)
        result[name] = measure(client, command, repeat=options.repeat, octets=octets, name=name)
    singles = min(2_000, options.count)
    begin = time.perf_counter()
    for number in range(1, singles + 1):
        client.command(b"FETCH %d BODY.PEEK[]" % number)
    result["body_per_s"] = round(singles / (time.perf_counter() - begin), 1)
    result["noop_ms"] = round(_each(client, b"NOOP", 200) * 1000, 3)
    for name, command in (
        ("store_add_s", b"STORE 1:* +FLAGS.SILENT (\\Flagged)"),
        ("store_remove_s", b"STORE 1:* -FLAGS.SILENT (\\Flagged)"),
        ("copy_1000_s", b'COPY 1:%d "%b"' % (min(1000, options.count), mailbox)),
    ):
        begin = time.perf_counter()
        client.command(command)
        result[name] = round(time.perf_counter() - begin, 4)
    # One at a time, into a mailbox that is full already: this must not grow with it.
    begin = time.perf_counter()
    for number in range(_GROWN):
        client.append_all(mailbox, [make_message(number)], depth=1)
    result["append_one_per_s"] = round(_GROWN / (time.perf_counter() - begin), 1)
    result["octets"] = octets
    print(json.dumps(result, indent=2))


def _each(client: Client, command: bytes, times: int) -> float:
    begin = time.perf_counter()
    for _ in range(times):
        client.command(command)
    return (time.perf_counter() - begin) / times


if __name__ == "__main__":
    main()
