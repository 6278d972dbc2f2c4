"""The accounting rule of every durability test, written once.

    acknowledged      => exactly one end state per recipient
    not acknowledged  => zero or one, and whole if present

A `Recorder` sends marked messages and remembers which were acknowledged; `count` looks
into every mailbox, the queue and the outside sink; `check` compares.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MARK = re.compile(rb"^X-Test-Mark: (\S+) (\S+)\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sent:
    """One transaction.  `accept_id` is "" when there was no 250."""

    mark: str
    recipients: tuple[str, ...]
    accept_id: str = ""


def marked(mark: str, *, size_octets: int = 2000) -> bytes:
    """A message whose mark carries the hash of its body."""
    body = (f"This is {mark}. ".encode() * (size_octets // (10 + len(mark)) + 1))[:size_octets]
    body = b"\r\n".join(body[i : i + 70] for i in range(0, len(body), 70)) + b"\r\n"
    digest = hashlib.sha256(body).hexdigest()
    return (
        f"From: Tester <tester@client.example>\r\nTo: you@example.test\r\nSubject: hello {mark}\r\n"
        f"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{mark}@client.example>\r\n"
        f"X-Test-Mark: {mark} {digest}\r\n\r\n"
    ).encode() + body


@dataclass
class Recorder:
    """Sends over plain sockets and remembers; safe for several threads."""

    host: str
    port: int
    sent: list[Sent] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def acknowledged(self) -> list[Sent]:
        with self.lock:
            return [sent for sent in self.sent if sent.accept_id]

    def send(
        self, mark: str, recipients: Sequence[str], *, size_octets: int = 2000, timeout_s: float = 60
    ) -> Sent:
        """One transaction on a connection of its own; whatever fails means "not acknowledged"."""
        ids: list[str] = []
        with (
            contextlib.suppress(OSError),
            socket.create_connection((self.host, self.port), timeout=timeout_s) as connection,
        ):
            ids.extend(_dialog(connection, "EHLO", recipients, marked(mark, size_octets=size_octets)))
        done = Sent(mark, tuple(recipients), ids[0] if ids else "")
        with self.lock:
            self.sent.append(done)
        return done

    def send_each(self, mark: str, recipients: Sequence[str]) -> None:
        """One transaction by LMTP: each recipient is acknowledged, or not, for itself."""
        ids: list[str] = []
        with (
            contextlib.suppress(OSError),
            socket.create_connection((self.host, self.port), timeout=60) as connection,
        ):
            for accept_id in _dialog(connection, "LHLO", recipients, marked(mark)):
                ids.append(accept_id)  # what came before the line was cut counts
        ids += [""] * (len(recipients) - len(ids))
        with self.lock:
            self.sent += [
                Sent(mark, (one,), accept_id) for one, accept_id in zip(recipients, ids, strict=True)
            ]

    def run(self, name: str, recipients: Sequence[Sequence[str]], *, at_most: int = 100_000) -> None:
        """Sends until `stop` is set, taking the recipient lists in turn."""
        for number in range(at_most):
            if self.stop.is_set():
                return
            self.send(f"{name}-{number}", recipients[number % len(recipients)])

    def start(
        self, threads: int, recipients: Sequence[Sequence[str]], *, prefix: str = "m"
    ) -> list[threading.Thread]:
        """`run` in so many threads; `prefix` keeps the marks of several recorders apart."""
        started = [
            threading.Thread(target=self.run, args=(f"{prefix}-{n}", recipients), daemon=True)
            for n in range(threads)
        ]
        for thread in started:
            thread.start()
        return started


def _dialog(
    connection: socket.socket, hello: str, recipients: Sequence[str], message: bytes
) -> Iterator[str]:
    """The accept id of each answer to the message, "" for a refusal."""
    reader = connection.makefile("rb")

    def reply() -> bytes:
        while True:
            line = reader.readline()
            if not line:
                raise OSError("closed")
            if line[3:4] != b"-":
                return line

    def command(line: str, code: bytes) -> None:
        connection.sendall(line.encode() + b"\r\n")
        answer = reply()
        if not answer.startswith(code):
            raise OSError(answer.decode("utf-8", "replace"))

    with reader:
        reply()
        command(f"{hello} client.example", b"250")
        command("MAIL FROM:<tester@client.example>", b"250")
        for recipient in recipients:
            command(f"RCPT TO:<{recipient}>", b"25")
        command("DATA", b"354")
        connection.sendall(message.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        for _ in recipients if hello == "LHLO" else recipients[:1]:
            answer = reply()
            found = re.search(rb"id=(\S+)", answer)
            if answer.startswith(b"250") and found is None:
                raise AssertionError(f"a 250 without an id: {answer!r}")
            yield found.group(1).decode() if answer.startswith(b"250") and found else ""


@dataclass
class Count:
    """Where each mark was found: (mark, place) -> how often; and what was damaged."""

    places: Counter[tuple[str, str]] = field(default_factory=Counter)
    damaged: list[str] = field(default_factory=list)

    def take(self, place: str, path: Path, octets: bytes) -> None:
        """Counts one stored message."""
        found = MARK.search(octets)
        if found is None:
            if not octets:
                self.damaged.append(f"{path}: empty")
            return
        mark, digest = found.group(1).decode(), found.group(2).decode()
        header, _, body = octets.partition(b"\r\n\r\n")
        if b"multipart/report" in header:
            self.places[mark, f"report to {place}"] += 1
            return
        if hashlib.sha256(body).hexdigest() != digest:
            self.damaged.append(f"{path}: the body of {mark} differs")
        self.places[mark, place] += 1


def count_mailboxes(count: Count, maildirs: dict[str, Path]) -> None:
    """Every file in `new` and `cur` of every folder.  `maildirs`: address -> Maildir."""
    for address, maildir in maildirs.items():
        for folder in [maildir, *maildir.glob(".*")]:
            for part in ("new", "cur"):
                if (folder / part).is_dir():
                    for path in sorted((folder / part).iterdir()):
                        count.take(address, path, path.read_bytes())


def check(sent: Sequence[Sent], count: Count, homes: dict[str, Sequence[str]]) -> None:
    """Applies the rule.

    Args:
        homes: recipient -> places where its copy must be, each exactly once.
    """
    assert not count.damaged, count.damaged[:10]
    wrong = []
    for transaction in sent:
        wanted = {place for recipient in transaction.recipients for place in homes[recipient]}
        for place in wanted:
            found = count.places[transaction.mark, place]
            if (found != 1) if transaction.accept_id else (found > 1):
                state = "acknowledged" if transaction.accept_id else "not acknowledged"
                wrong.append(
                    f"{transaction.mark} ({state} {transaction.accept_id}): {found} times at {place}"
                )
    assert not wrong, wrong[:20]
