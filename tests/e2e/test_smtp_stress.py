"""Thousands of clients at once (S43): the server stays calm, and those who log in are served."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import process as processes
from tests.kit.demo import Demo, running_demo
from tests.kit.smtp_probe import Probe, mail

ALICE = "alice@example.test"
WANTED = 5000
TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("stress"), "--limits") as running:
        yield running


@contextlib.contextmanager
def crowd(port: int, count: int) -> Iterator[list[socket.socket]]:
    """So many clients of as many addresses, which connect and do nothing."""
    socks: list[socket.socket] = []
    try:
        for n in range(count):
            sock = socket.socket()
            socks.append(sock)
            sock.setblocking(False)
            sock.bind((f"127.{1 + n // 200 % 200}.{n % 200}.{2 + n // 40_000}", 0))
            sock.connect_ex(("127.0.0.1", port))
        yield socks
    finally:
        for sock in socks:
            sock.close()


def cpu_s(pids: list[int]) -> float:
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(one[11]) + int(one[12]) for one in fields) / TICKS


def rests(pids: list[int]) -> bool:
    """True when they leave most of the next two seconds to others."""
    began = cpu_s(pids)
    time.sleep(2)
    return cpu_s(pids) - began < 1


def test_thousands_of_idle_clients_stop_nobody_who_logs_in(demo: Demo) -> None:
    # S43
    room = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 300
    if room < 1500:
        pytest.skip("wants 1800 file descriptors")
    with crowd(demo.port("mx"), min(WANTED, room)):
        processes.eventually(lambda: "stress begins" in demo.log(), explain=demo.log)
        before = time.monotonic()
        with Probe((demo.host, demo.port("submissions")), tls=demo.tls()) as laptop:
            laptop.open()
            assert laptop.login(ALICE, demo.users[ALICE]).code == 235
            laptop.envelope([ALICE], sender=ALICE)
            message = mail("stress-mark").replace(b"probe@outside.test", ALICE.encode())
            assert laptop.message(message).code == 250
        with demo.imap(ALICE) as client:
            assert client.select()[0] == "OK"
        assert time.monotonic() - before < 60
        # Nobody spins: one that asks again and again would use a whole processor, for ever.
        processes.eventually(lambda: rests(demo.pids("smtp")))
    processes.eventually(lambda: "stress is over" in demo.log(), explain=demo.log)
    with Probe((demo.host, demo.port("mx"))) as probe:
        probe.open()
        probe.envelope([ALICE])
        assert probe.message(mail("after-stress")).code == 250
