"""The imap daemon as a process of its own: few descriptors, and SIGTERM under load (F29, F37)."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.instance import command
from tests.kit.ports import free_base
from tests.kit.process import Process, eventually, mailstack, started, wait_for_port

CONFIG = """
[server]
hostname = "mx.example.test"
state_dir = "{state}"
workers = 1
stop_grace_s = 5
[auth]
hash_memory_kib = 1024
hash_passes = 1
[listen]
mx = []
submission = []
submissions = []
imap = ["127.0.0.1:{imap}"]
imaps = []
pop3 = []
pop3s = []
sieve = []
[imap]
allow_plaintext_loopback = true
max_per_account_and_address = 1000
max_per_account = 1000
"""
USER, SECRET = "alice@example.test", "correct horse battery"


class Instance:
    """One account, one listener."""

    def __init__(self, folder: Path) -> None:
        self.port = free_base((143,)) + 143
        self.file = folder / "mailstack.toml"
        self.file.write_text(CONFIG.format(state=folder / "state", imap=self.port))
        self.state = folder / "state"

    @contextlib.contextmanager
    def running(self, *before: str) -> Iterator[Process]:
        """The daemon; `before`: words in front of the command."""
        with started(
            [*before, *mailstack("--config", self.file, "run", "imap")], environ={"MAILSTACK_ALLOW_ROOT": "1"}
        ) as process:
            wait_for_port(self.port)
            yield process


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    found = Instance(tmp_path)
    for words, stdin in (
        (("migrate",), b""),
        (("domain", "add", "example.test"), b""),
        (("user", "add", USER, "--password-stdin"), SECRET.encode()),
    ):
        done = command(*words, "--config", str(found.file), stdin=stdin)
        assert done.code == 0, done.err
    return found


class Client:
    """Lines over a blocking socket."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.file = self.sock.makefile("rb")

    def fileno(self) -> int:
        """For `select`."""
        return self.sock.fileno()

    def line(self) -> bytes:
        """The next line; b"" at the end."""
        try:
            return self.file.readline().rstrip(b"\r\n")
        except ConnectionError:
            return b""

    def command(self, text: str) -> bytes:
        """The tagged answer."""
        self.sock.sendall(f"t {text}\r\n".encode())
        while (line := self.line()) and not line.startswith((b"t ", b"* BYE")):
            pass
        return line

    def close(self) -> None:
        """Hangs up."""
        self.file.close()
        self.sock.close()


def logged_in(port: int) -> Client:
    """A client that has logged in."""
    client = Client(port)
    assert client.line().startswith(b"* OK")
    assert client.command(f'LOGIN {USER} "{SECRET}"').startswith(b"t OK")
    return client


def test_with_64_descriptors_and_200_clients_those_inside_work_the_others_are_told_and_it_recovers(
    instance: Instance,
) -> None:
    # F29
    with instance.running("/bin/sh", "-c", 'ulimit -n 64; exec "$@"', "sh") as process:
        first = logged_in(instance.port)
        crowd = [Client(instance.port) for _ in range(200)]
        heard = bytearray()

        def some_are_told() -> bool:
            for client in select.select(crowd, [], [], 0.1)[0]:
                with contextlib.suppress(OSError):
                    heard.extend(client.sock.recv(1_000))
            return b"* OK" in heard and b"* BYE [UNAVAILABLE]" in heard

        eventually(some_are_told)
        assert first.command("SELECT INBOX").startswith(b"t OK")
        for client in crowd:
            client.close()
        assert first.command("NOOP").startswith(b"t OK")

        def is_served() -> bool:
            client = Client(instance.port)
            try:
                return client.line().startswith(b"* OK")
            finally:
                client.close()

        eventually(is_served)
        second = logged_in(instance.port)
        assert second.command("STATUS INBOX (MESSAGES)").startswith(b"t OK")
        assert process.output.count("\n") < 12, process.output
        for client in (first, second):
            client.close()


def test_sigterm_under_load_says_bye_and_ends_with_status_0(instance: Instance) -> None:
    # F37
    with instance.running() as process:
        idler, stranger, busy = logged_in(instance.port), Client(instance.port), logged_in(instance.port)
        stranger.line()
        idler.command("SELECT INBOX")
        idler.sock.sendall(b"i IDLE\r\n")
        assert idler.line() == b"+ idling"
        body = b"Subject: x\r\n\r\n" + b"x" * 100_000 + b"\r\n"
        for _ in range(20):
            busy.sock.sendall(b"a APPEND INBOX {%d+}\r\n%b\r\n" % (len(body), body))
        process.signal(signal.SIGTERM)
        stored = 0
        while line := busy.line():
            stored += line.startswith(b"a OK")
            if line.startswith(b"* BYE"):
                break
        assert line.startswith(b"* BYE")
        assert stranger.line().startswith(b"* BYE")
        while (line := idler.line()) and not line.startswith(b"* BYE"):
            assert line.endswith((b"EXISTS", b"RECENT"))
        assert line.startswith(b"* BYE")
        assert process.wait() == 0
        with pytest.raises(OSError, match="refused"):
            Client(instance.port)
        for client in (idler, stranger, busy):
            client.close()
    with instance.running():
        again = logged_in(instance.port)
        again.sock.sendall(b"t STATUS INBOX (MESSAGES)\r\n")
        assert b"(MESSAGES %d)" % stored in again.line()
        again.close()
