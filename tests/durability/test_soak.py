"""Long life in short: memory and descriptors of every process stay where they are (F42)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.accounting import marked
from tests.kit.counting import ALICE, BOB
from tests.kit.demo import Demo, running_demo

#: Rounds before the first look: caches fill, modules load, pools grow.
WARM_UP = 12
SLOW_S = float(os.environ.get("MAILSTACK_SOAK_S", "600"))


def one_round(demo: Demo, number: int) -> None:
    """Mail in and out, every protocol, every kind of change; nothing is left behind."""
    with demo.smtp() as client:
        for copy in range(3):
            mark = f"soak-{number}-{copy}"
            client.sendmail("tester@client.example", [ALICE, BOB], marked(mark, size_octets=20_000))
    for address in (ALICE, BOB):
        with demo.imap(address) as client:
            client.create("soak")
            client.append("soak", "\\Seen", None, marked(f"appended-{number}"))
            client.select("INBOX")
            client.fetch("1:*", "(FLAGS ENVELOPE BODYSTRUCTURE BODY.PEEK[])")
            client.search(None, "TEXT", "soak")
            client.store("1:*", "+FLAGS", "(\\Seen soak)")
            client.copy("1:*", "soak")
            client.store("1:*", "+FLAGS", "\\Deleted")
            client.expunge()
            client.delete("soak")


def processes(demo: Demo) -> list[int]:
    # The filter's workers are replaced after so many messages, on purpose.
    return demo.pids("filter")[:1] + [pid for name in ("smtp", "queue", "imap") for pid in demo.pids(name)]


def descriptors(pid: int) -> int:
    """Those that are neither anonymous nor of a session under way."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident_kib(pid: int) -> int:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0])


def least(pids: list[int], measure: Callable[[int], int]) -> dict[int, int]:
    """The least of a few looks: a session that just ends counts for nothing."""
    found = {pid: measure(pid) for pid in pids}
    for _ in range(10):
        time.sleep(0.1)
        found = {pid: min(found[pid], measure(pid)) for pid in pids}
    return found


def soak(folder: Path, rounds: Callable[[int], bool], *, kib_a_round: float, kib: int) -> None:
    """Fails when descriptors grow, or memory by more than so much in all and per round."""
    with running_demo(folder) as demo:
        for number in range(WARM_UP):
            one_round(demo, number)
        pids = processes(demo)
        open_before, before = least(pids, descriptors), least(pids, resident_kib)
        number = WARM_UP
        while rounds(number - WARM_UP):
            one_round(demo, number)
            number += 1
        assert processes(demo) == pids, "something was restarted"
        open_after, after = least(pids, descriptors), least(pids, resident_kib)
        for pid in pids:
            # Databases of two mailboxes may be open or not; a leak would be one a session at least.
            assert open_after[pid] <= open_before[pid] + 12, (pid, open_before, open_after)
            growth = after[pid] - before[pid]
            assert growth <= kib + kib_a_round * (number - WARM_UP), (pid, before, after, number)


def test_memory_and_descriptors_stay_where_they_are(tmp_path: Path) -> None:
    soak(tmp_path / "demo", lambda done: done < 15, kib_a_round=0, kib=16_384)


@pytest.mark.slow
def test_memory_and_descriptors_stay_where_they_are_for_long(tmp_path: Path) -> None:
    until = time.monotonic() + SLOW_S
    soak(tmp_path / "demo", lambda done: time.monotonic() < until, kib_a_round=4, kib=16_384)
