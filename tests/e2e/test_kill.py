"""kill -9 of each daemon under load: nothing acknowledged is lost, nothing comes twice (promise P2)."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.accounting import Recorder, check
from tests.kit.counting import ALICE, HOMES, MIX, count, forgive_possible_duplicates, settle
from tests.kit.demo import Demo, running_demo
from tests.kit.process import eventually

#: Somebody is killed so often, and mail goes on until so many messages were taken.
KILLS, TAKEN = 4, 20


def under_load(demo: Demo, kill: str, *, worker: bool) -> Recorder:
    chance = random.Random(f"{kill}{worker}")
    recorder = Recorder(demo.host, demo.port("mx"))
    threads = recorder.start(6, MIX, prefix=f"{kill}{int(worker)}")
    for _ in range(KILLS):
        time.sleep(0.7 + chance.random() * 0.6)
        pids = demo.state["pids"].get(kill, [])
        victims = pids[1:] if worker and len(pids) > 1 else pids[:1]
        if victims:
            try:
                os.kill(chance.choice(victims), signal.SIGKILL)
            except ProcessLookupError:
                pass
    eventually(lambda: len(recorder.acknowledged) > TAKEN, explain=demo.log)
    recorder.stop.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return recorder


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("kill") / "demo") as demo:
        yield demo


@pytest.mark.parametrize(
    ("daemon", "worker"),
    [("smtp", False), ("smtp", True), ("filter", False), ("filter", True), ("queue", False), ("imap", False)],
)
def test_killed_daemons_lose_nothing(mine: Demo, daemon: str, worker: bool) -> None:
    recorder = under_load(mine, daemon, worker=worker)
    settle(mine)
    found = count(mine)
    if daemon in ("smtp", "queue"):
        # P4: a connection that died after our dot and before the sink's answer may have come twice.
        forgive_possible_duplicates(found)
    check(recorder.sent, found, HOMES)


def test_a_stop_and_a_start_keep_everything(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with running_demo(folder) as first:
        users = first.users
        recorder = Recorder(first.host, first.port("mx"))
        for number in range(10):
            recorder.send(f"stay-{number}", MIX[number % len(MIX)])
        assert len(recorder.acknowledged) == 10
        began = time.monotonic()
        first.process.stop()
        assert time.monotonic() - began < 60  # 5 s on a quiet machine
    with running_demo(folder) as second:
        assert second.users == users
        settle(second)
        check(recorder.sent, count(second), HOMES)
        with second.imap(ALICE) as client:
            status, (number,) = client.select("INBOX", readonly=True)
            assert status == "OK"
            assert int(number) >= 4
