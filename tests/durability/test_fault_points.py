"""Processes that die or fail at every named place keep every promise (faults, section 4.4).

The short form arms every place with every action in one instance, each for one time; `make
test-slow` arms one place after the other, and kills at random.  F1 to F14, F16, F19.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.kit.accounting import Recorder
from tests.kit.counting import ALICE, BOB, GONE
from tests.kit.demo import Demo
from tests.kit.process import eventually
from tests.kit.shapes import SHAPES, Loop, loop

LOCAL = (
    "mailbox.tmp_half",
    "mailbox.synced",
    "mailbox.renamed",
    "mailbox.folder_synced",
    "mailbox.row",
    "accept.before_reply",
)
INTO_QUEUE = (
    "queue.spool_written",
    "queue.spool_synced",
    "queue.renamed",
    "queue.folder_synced",
    "queue.committed",
)
OUT_OF_QUEUE = ("queue.claimed", "queue.remote_accepted", "queue.outcome")
PLACES = (*LOCAL, *INTO_QUEUE, *OUT_OF_QUEUE)
ROUNDS = 2
#: Which process meets a fault is chance; more than a few are needed seldom.
MAX_ROUNDS = 60
#: How many processes the random loop kills.
KILLS = int(os.environ.get("MAILSTACK_KILLS", "500"))


def came(demo: Demo) -> set[tuple[str, str]]:
    """Which faults came, as the daemons' log has it."""
    return set(re.findall(r"fault point (\S+): (\w+)", demo.log()))


def noted(once: Path) -> set[tuple[str, str]]:
    """The same as the processes noted it: whoever dies beside a fault may take its line of the log along."""
    return {(path.stem, path.suffix[1:]) for path in once.iterdir()}


def test_every_place_dies_and_fails_once_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    faults = [(place, action) for action in ("exit", "enospc", "eio") for place in PLACES]
    once = tmp_path / "came"
    once.mkdir()
    # The second time a process passes: a first message has gone well.
    setting = ",".join(f"{place}:{action}:2" for place, action in faults)
    with loop(tmp_path / "demo") as sent:
        with sent.life({"MAILSTACK_FAULT": setting, "MAILSTACK_FAULT_ONCE": str(once)}) as demo:
            for _ in range(MAX_ROUNDS):
                sent.send_all(demo)
                if noted(once) >= set(faults):
                    break
            assert noted(once) >= set(faults), set(faults) - noted(once)
        with sent.life() as demo:
            sent.check(demo, may_come_twice=True)
        assert len([one for one in sent.sent if one.accept_id]) >= len(SHAPES)


@pytest.mark.slow
@pytest.mark.parametrize("occurrence", [1, 2])
@pytest.mark.parametrize("action", ["exit", "enospc", "eio"])
@pytest.mark.parametrize("place", PLACES)
def test_the_whole_matrix(tmp_path: Path, place: str, action: str, occurrence: int) -> None:
    # The counters are those of a process: each that is started anew meets the fault again.
    with loop(tmp_path / "demo") as sent:
        with sent.life({"MAILSTACK_FAULT": f"{place}:{action}:{occurrence}"}) as demo:
            for _ in range(ROUNDS):
                sent.send_all(demo)
            eventually(lambda: (place, action) in came(demo), explain=demo.log)
        with sent.life() as demo:
            # P4: when the queue daemon ended, others were between the sink's 250 and our COMMIT.
            sent.check(demo, may_come_twice=action != "enospc")


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_kill_minus_nine_of_everybody_while_one_stands_at_a_place(tmp_path: Path, place: str) -> None:
    with loop(tmp_path / "demo") as sent:
        with sent.life({"MAILSTACK_FAULT": f"{place}:sleep:2"}) as demo:
            recorder = Recorder(demo.host, demo.port("mx"))
            threads = recorder.start(4, list(SHAPES.values()), prefix=place)
            eventually(lambda: (place, "sleep") in came(demo), explain=demo.log)
            kill([psutil.Process(demo.process.pid), *psutil.Process(demo.process.pid).children(True)])
            recorder.stop.set()
            for thread in threads:
                thread.join(60)
            sent.sent += recorder.sent
        with sent.life() as demo:
            sent.check(demo, may_come_twice=True)
            assert len(recorder.acknowledged) >= 1


def kill(processes: list[psutil.Process]) -> None:
    """All at once."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # a worker that was being replaced
            process.suspend()
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.mark.slow
def test_random_kills_lose_nothing(tmp_path: Path) -> None:
    chance = random.Random(44)
    with loop(tmp_path / "demo") as sent:
        while len(sent.numbers) < KILLS:
            with sent.life() as demo:
                kill_at_random(demo, sent, chance)
        with sent.life() as demo:
            sent.check(demo, may_come_twice=True)


def kill_at_random(demo: Demo, sent: Loop, chance: random.Random) -> None:
    """A hundred times some process, after 0 to 300 ms of load."""
    recorder = Recorder(demo.host, demo.port("mx"))
    threads = recorder.start(6, list(SHAPES.values()), prefix=f"random{len(sent.numbers)}")
    for _ in range(min(100, KILLS)):
        time.sleep(chance.random() * 0.3)
        pids = [pid for name in ("smtp", "queue", "filter") for pid in demo.state["pids"].get(name, [])]
        sent.numbers[f"kill {len(sent.numbers)}"] += 1
        try:
            os.kill(chance.choice(pids), signal.SIGKILL)
        except (ProcessLookupError, IndexError):
            continue
    recorder.stop.set()
    for thread in threads:
        thread.join(120)
    sent.sent += recorder.sent
    assert len(recorder.acknowledged) > 20, demo.log()[-3000:]


def test_a_disk_that_hangs_holds_up_nobody_else(tmp_path: Path) -> None:
    # F33: one fsync of a mailbox and one of the queue take long; other messages go on meanwhile.
    places = {("mailbox.synced", "sleep"), ("queue.folder_synced", "sleep")}
    environ = {
        "MAILSTACK_FAULT": ",".join(":".join(place) for place in sorted(places)),
        "MAILSTACK_FAULT_ONCE": str(tmp_path),
        "MAILSTACK_FAULT_SLEEP_S": "12",
    }
    with loop(tmp_path / "demo") as sent, sent.life(environ) as demo:
        slow, others = (Recorder(demo.host, demo.port("mx")) for _ in range(2))
        threads = []
        for number, recipients in enumerate(([ALICE], [GONE])):
            threads.append(threading.Thread(target=slow.send, args=(f"slow-{number}", recipients)))
            threads[-1].start()
            eventually(lambda: len(came(demo)) == len(threads), explain=demo.log)
        for number, recipients in enumerate(([ALICE], [GONE], [ALICE, BOB])):
            assert others.send(f"other-{number}", recipients).accept_id
        assert slow.sent == []
        for thread in threads:
            thread.join(60)
        assert len(slow.acknowledged) == 2
        sent.sent += [*slow.sent, *others.sent]
        sent.check(demo)
