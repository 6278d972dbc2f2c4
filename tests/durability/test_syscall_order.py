"""The order of system calls: every 250 comes after the syncs it promises (faults, section 4.3).

local:  fsync(tmp file) < rename(new) < fsync(new folder) < 250
remote: fsync(spool file) < rename < fsync(spool folder) < fdatasync(queue.db-wal) < 250
queue:  fdatasync(queue.db-wal) of the outcome < unlink(spool file)
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.kit import debian
from tests.kit.accounting import Recorder
from tests.kit.demo import Demo, running_demo
from tests.kit.syscalls import Call, parse

pytestmark = [pytest.mark.debian, pytest.mark.root]

TRACED = (
    "openat,write,writev,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,sendto,sendmsg"
)


def trace(demo: Demo, daemon: str, log: Path) -> subprocess.Popen[bytes]:
    pids = [word for pid in demo.pids(daemon) for word in ("-p", str(pid))]
    process = subprocess.Popen(
        [debian.need("strace"), "-f", "-y", "-s", "400", "-e", f"trace={TRACED}", "-o", str(log), *pids],
        stderr=subprocess.DEVNULL,
    )
    time.sleep(1.0)
    if process.poll() is not None:
        pytest.skip("strace may not attach here")
    return process


def stop(process: subprocess.Popen[bytes], log: Path) -> list[Call]:
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    process.wait(10)
    return list(parse(log.read_text(errors="replace").split("\n")))


def only(calls: Sequence[Call], names: Sequence[str], pattern: str) -> list[Call]:
    wanted = re.compile(pattern)
    return [call for call in calls if call.name in names and call.ok and wanted.search(call.text)]


def assert_order(*steps: Call) -> None:
    for earlier, later in itertools.pairwise(steps):
        assert earlier.ended <= later.began and earlier is not later, (
            f"{earlier.name} (line {earlier.ended}) must end before {later.name} (line {later.began})"
        )


@pytest.fixture
def demo(tmp_path: Path):  # type: ignore[no-untyped-def]
    if os.geteuid() != 0:
        pytest.skip("strace of other processes needs root")
    debian.need("strace")
    with running_demo(tmp_path / "demo") as running:
        yield running


def test_a_250_comes_after_every_sync(demo: Demo, tmp_path: Path) -> None:
    log = tmp_path / "smtp.strace"
    tracer = trace(demo, "smtp", log)
    recorder = Recorder(demo.host, demo.port("mx"))
    local = [recorder.send(f"local-{n}", ["alice@example.test", "bob@example.test"]) for n in range(5)]
    remote = [recorder.send(f"remote-{n}", ["gone@example.test"]) for n in range(5)]
    calls = stop(tracer, log)
    assert all(sent.accept_id for sent in [*local, *remote])
    for sent in local:
        check_local(calls, sent.accept_id, copies=2)
    for sent in remote:
        check_remote(calls, sent.accept_id)


def the_250(calls: Sequence[Call], accept_id: str) -> Call:
    (found,) = only(calls, ("write", "writev", "sendto", "sendmsg"), rf"250 2\.0\.0 Ok id={accept_id}")
    return found


def check_local(calls: Sequence[Call], accept_id: str, *, copies: int) -> None:
    answer = the_250(calls, accept_id)
    renames = only(
        calls, ("rename", "renameat", "renameat2"), rf"/tmp/[^\"]*{accept_id}.*/new/[^\"]*{accept_id}"
    )
    assert len(renames) == copies
    for rename in renames:
        name = re.search(rf"/tmp/([^\"]*{accept_id}[^\"]*)\"", rename.text)
        folder = re.search(r"\"([^\"]*/new)/[^\"]*\"", rename.text)
        assert name is not None
        assert folder is not None
        (synced,) = only(calls, ("fsync",), rf"/tmp/{re.escape(name.group(1))}>")
        folders = [
            call
            for call in only(calls, ("fsync",), rf"<{re.escape(folder.group(1))}>")
            if rename.ended <= call.began and call.ended <= answer.began
        ]
        assert folders, f"no fsync of {folder.group(1)} between the rename and the 250 of {accept_id}"
        assert_order(synced, rename, folders[0], answer)


def check_remote(calls: Sequence[Call], accept_id: str) -> None:
    answer = the_250(calls, accept_id)
    renames = only(calls, ("rename", "renameat", "renameat2"), rf"queue/.*{accept_id}-1")
    assert renames
    rename = renames[0]
    (synced,) = only(calls, ("fsync",), rf"queue/tmp/[^>]*{accept_id}-1[^>]*>")
    folders = [
        call
        for call in only(calls, ("fsync",), r"queue/messages[^>]*>")
        if rename.ended <= call.began and call.ended <= answer.began
    ]
    assert folders, "the spool folder is not synced"
    commits = [
        call
        for call in only(calls, ("fdatasync", "fsync"), r"queue\.db-wal>")
        if folders[0].ended <= call.began and call.ended <= answer.began
    ]
    assert commits, "the row is not committed durably before the 250"
    assert_order(synced, rename, folders[0], commits[0], answer)


def test_the_queue_forgets_a_message_only_after_its_outcome_is_durable(demo: Demo, tmp_path: Path) -> None:
    log = tmp_path / "queue.strace"
    tracer = trace(demo, "queue", log)
    recorder = Recorder(demo.host, demo.port("mx"))
    sent = [recorder.send(f"leaving-{n}", ["gone@example.test"]) for n in range(3)]
    for transaction in sent:
        demo.wait_for_outside(transaction.mark.encode())
    calls = stop(tracer, log)
    for transaction in sent:
        unlinks = only(calls, ("unlink", "unlinkat"), rf"queue/messages.*{transaction.accept_id}-1")
        assert unlinks
        assert any(
            call.ended <= unlinks[0].began for call in only(calls, ("fdatasync", "fsync"), r"queue\.db-wal>")
        )
