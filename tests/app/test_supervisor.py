"""The supervisor, with real daemons that do nothing but live."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.app import keeper
from tests.kit.ports import free_base
from tests.kit.process import Process, alive, descendants, eventually, python, started

CONFIG = """
[server]
hostname = "mx.example.test"
state_dir = "{state}"
workers = 2
stop_grace_s = 1
[listen]
mx = ["127.0.0.1:{mx}"]
submission = []
submissions = []
imap = ["127.0.0.1:{imap}"]
imaps = []
pop3 = []
pop3s = []
sieve = []
"""


class Up:
    """A running supervisor."""

    def __init__(self, folder: Path) -> None:
        base = free_base((25, 143))
        self.mx, self.imap = base + 25, base + 143
        self.state = folder / "state"
        self.state.mkdir(mode=0o700)
        self.file = folder / "mailstack.toml"
        self.file.write_text(CONFIG.format(state=self.state, mx=self.mx, imap=self.imap))
        self.pids_file = folder / "pids.json"

    def start(self) -> contextlib.AbstractContextManager[Process]:
        command = python("-m", "tests.kit.toy_supervisor", self.file, self.pids_file)
        return started(command, environ={"MAILSTACK_ALLOW_ROOT": "1"})

    def pids(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = json.loads(self.pids_file.read_text())
        return {role: [pid for pid in pids if pid not in (1000, 1001)] for role, pids in found.items()}

    def wait_until_whole(self) -> dict[str, list[int]]:
        """The pids once each daemon has its main process and two workers."""
        eventually(self.pids_file.exists)
        eventually(
            lambda: all(len(pids) == 3 and all(map(alive, pids)) for pids in self.pids().values()),
            explain=self.pids_file.read_text,
        )
        return self.pids()

    def ask(self, port: int, word: str) -> str:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(word.encode() + b"\n")
            return connection.makefile("r").readline().strip()


@pytest.fixture
def up(tmp_path: Path) -> Up:
    return Up(tmp_path)


@pytest.fixture
def running(up: Up) -> Iterator[Process]:
    with up.start() as process:
        up.wait_until_whole()
        yield process


def test_both_daemons_answer_and_their_processes_are_known(up: Up, running: Process) -> None:
    pids = up.pids()
    for role, port in (("smtp", up.mx), ("imap", up.imap)):
        assert int(up.ask(port, "pid")) in pids[role][1:]
        assert int(up.ask(port, "parent")) == pids[role][0]


def test_a_killed_daemon_is_back_within_a_second_and_nobody_is_refused(up: Up, running: Process) -> None:
    before = up.pids()
    os.kill(before["smtp"][0], signal.SIGKILL)
    begun = time.monotonic()
    for _ in range(20):
        assert up.ask(up.mx, "pid").isdigit(), "the socket stays open while the daemon is away"
    eventually(lambda: up.pids()["smtp"][0] != before["smtp"][0])
    assert time.monotonic() - begun < 20  # one second on a machine with nothing else to do
    after = up.wait_until_whole()
    assert after["imap"] == before["imap"]
    assert not set(after["smtp"]) & set(before["smtp"])
    eventually(lambda: not any(alive(pid) for pid in before["smtp"]))


def test_a_killed_worker_is_seen_in_the_report(up: Up, running: Process) -> None:
    before = up.pids()
    os.kill(before["imap"][1], signal.SIGKILL)
    eventually(lambda: before["imap"][1] not in up.pids()["imap"])
    after = up.wait_until_whole()
    assert after["imap"][0] == before["imap"][0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_everything_ends_when_asked(up: Up, running: Process, number: signal.Signals) -> None:
    family = [process.pid for process in descendants(running.pid)]
    assert len(family) == 7, "two main processes, four workers, one helper"
    running.signal(number)
    assert running.wait() == 0
    assert not any(alive(pid) for pid in family)


def test_what_does_not_finish_is_cut_off_in_time(up: Up, running: Process) -> None:
    with socket.create_connection(("127.0.0.1", up.mx), timeout=60) as busy:
        busy.sendall(b"forever\n")
        running.wait_for("begins forever")
        begun = time.monotonic()
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
    assert 0.9 < time.monotonic() - begun < 30


def test_no_orphans_after_the_supervisor_was_killed(up: Up, running: Process) -> None:
    family = [process.pid for process in descendants(running.pid)]
    running.signal(signal.SIGKILL)
    eventually(lambda: not any(alive(pid) for pid in family))


def test_the_next_supervisor_takes_over_at_once_after_a_kill(up: Up) -> None:
    with up.start() as first:
        up.wait_until_whole()
        first.signal(signal.SIGKILL)
        up.pids_file.unlink()
        with up.start():
            up.wait_until_whole()
            assert up.ask(up.mx, "pid").isdigit()


def test_a_helper_is_kept_too(up: Up, running: Process) -> None:
    pid = int(running.wait_for("lives").split("helper ")[1].split()[0])
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: running.output.count("lives") == 2)


@pytest.mark.parametrize(
    ("deaths", "delay_s"), [(0, 0.0), (1, 0.1), (2, 0.2), (4, 0.8), (5, 0.9), (20, 0.9), (21, 10.0)]
)
def test_only_the_hopeless_wait_longer_than_a_second(deaths: int, delay_s: float) -> None:
    assert keeper.restart_delay_s(deaths) == delay_s
