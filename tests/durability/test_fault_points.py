"""Processes that die or fail at every named place keep every promise (faults, section 4.4).

The short list runs always; `make test-slow` runs the whole matrix.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.kit.accounting import Recorder, check
from tests.kit.counting import HOMES, MIX, count, forgive_possible_duplicates, settle
from tests.kit.demo import running_demo

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
SHORT = ("mailbox.renamed", "queue.renamed", "queue.remote_accepted")
SHORT_ERRORS = (("mailbox.synced", "enospc"),)


def run(folder: Path, fault: str) -> None:
    """Sends while the fault is armed, then starts without it and applies the accounting rule."""
    with running_demo(folder, environ={"MAILSTACK_FAULT": fault}) as armed:
        recorder = Recorder(armed.host, armed.port("mx"))
        for number in range(15):
            recorder.send(f"f{number}", MIX[number % len(MIX)])
        time.sleep(1.0)
    with running_demo(folder) as healed:
        settle(healed)
        found = count(healed)
        if fault.startswith("queue.remote_accepted"):
            # P4: the sink had said 250, we had not written it down.
            forgive_possible_duplicates(found)
        check(recorder.sent, found, HOMES)
        assert not list(healed.folder.rglob("queue/quarantine/*"))
    assert recorder.acknowledged


@pytest.mark.parametrize("place", SHORT)
def test_dying_in_the_middle_loses_and_doubles_nothing(tmp_path: Path, place: str) -> None:
    run(tmp_path / "demo", f"{place}:exit:4")


@pytest.mark.parametrize(("place", "action"), SHORT_ERRORS)
def test_a_full_disk_refuses_and_keeps_nothing_half(tmp_path: Path, place: str, action: str) -> None:
    run(tmp_path / "demo", f"{place}:{action}:4")


@pytest.mark.slow
@pytest.mark.parametrize("occurrence", [1, 2, 5])
@pytest.mark.parametrize("action", ["exit", "enospc", "eio"])
@pytest.mark.parametrize("place", [*LOCAL, *INTO_QUEUE, *OUT_OF_QUEUE])
def test_the_whole_matrix(tmp_path: Path, place: str, action: str, occurrence: int) -> None:
    run(tmp_path / "demo", f"{place}:{action}:{occurrence}")
