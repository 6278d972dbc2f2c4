"""Dying, or failing, at every single system call that writes: also where no fault point is (faults, 4.4).

A small program queues, sends and stores messages under strace, which kills it, or lets the call
fail, at the first such call, then at the second, until it comes through.  After each run the
accounting rule holds: acknowledged is there once and whole, everything else whole or not at all.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mailstack.delivery import upkeep
from mailstack.delivery.queue import Queue
from mailstack.delivery.recover import recover
from mailstack.delivery.spool import Damaged
from mailstack.mailbox.store import MailStore
from mailstack.model.address import Address
from tests.kit import debian
from tests.kit.clock import START
from tests.kit.process import ROOT
from tests.kit.queues import QueueFolders, QueueKit

CALLS = "write,pwrite64,fsync,fdatasync,rename,unlink,ftruncate,mkdir,link"
ACTIONS = {
    "kill": "signal=SIGKILL",
    "EIO": "error=EIO",
    "ENOSPC": "error=ENOSPC",
}
MOST_CALLS = 400
ALICE = Address.parse("alice@example.test")

HEAD = """
import os, sys, time
from pathlib import Path
from mailstack.model.errors import TemporaryFailure
root = Path(sys.argv[1])
def say(*words): os.write(1, (" ".join(words) + "\\n").encode())
def text(mark): return b"Subject: %s\\r\\n\\r\\n" % mark.encode() + mark.encode() * 70_000 + b"\\r\\n"
def run(mark, work):
    try:
        work()
    except TemporaryFailure as error:
        if error.fatal:
            os._exit(1)  # promise P8
        say("refused", mark)
    else:
        say("acknowledged", mark)
"""
QUEUE = """
from mailstack.delivery.entry import QueueMessage, QueueRecipient, Result
from mailstack.delivery.queue import Queue
from mailstack.model.outcome import Delivered, Failed
from mailstack.model.reply import Reply
from tests.kit.queues import QueueFolders, claim
queue = Queue(QueueFolders(root / "queue"), now=time.time, random_bytes=os.urandom)
def message(mark, *to):
    return QueueMessage(tuple(map(QueueRecipient, to)), queue_id=mark, sender="a@b.test", data=text(mark))
run("one", lambda: queue.enqueue([message("one", "a@x.test")]))
run("two", lambda: queue.enqueue([message("two", "a@y.test", "b@y.test")]))
def deliver(where, mark, outcome, reports):
    for entry in claim(queue, {where: 1}, "me"):
        results = [Result(recipient, outcome) for recipient in entry.recipients]
        queue.finish(entry.facts.queue_id, results, lease_owner="me", reports=reports)
run("delivered", lambda: deliver("x.test", "one", Delivered("mx", "250 ok"), []))
no = Failed(Reply(550, "1.1", "no"))
run("bounced", lambda: deliver("y.test", "two", no, [message("report", "a@b.test")]))
"""
MAILBOX = """
from mailstack.mailbox import MailStore
from mailstack.model.address import Address
from mailstack.model.mailbox import NewMessage
account = MailStore(root / "mail", now=time.time, random_bytes=os.urandom, boot="first boot").account(
    Address.parse("alice@example.test")
)
uids = {}
def deliver(mark):
    uids[mark] = account.deliver("INBOX", NewMessage(text(mark)), base_name=f"1.{mark}").uid
for mark in ("one", "two"):
    run(mark, lambda: deliver(mark))
inbox = account.status("INBOX").id
if "one" in uids:
    run("moved", lambda: account.move(inbox, [uids["one"]], "Archive"))
"""


@dataclass(frozen=True)
class Run:
    """What came of one run.  `ended`: nothing was done to it."""

    said: tuple[str, ...]
    ended: bool

    def is_acknowledged(self, mark: str) -> bool:
        return f"acknowledged {mark}" in self.said


def text(mark: str) -> bytes:
    return b"Subject: %s\r\n\r\n" % mark.encode() + mark.encode() * 70_000 + b"\r\n"


def under_strace(program: str, root: Path, action: str, number: int) -> Run:
    log = root.with_suffix(".strace")
    inject = f"inject={CALLS}:{ACTIONS[action]}:when={number}"
    # `-P`: what Python itself writes, such as its caches, is nobody's message.
    command = [debian.need("strace"), "-f", "-qq", "-o", str(log), "-e", f"trace={CALLS}", "-e", inject]
    done = subprocess.run(
        [*command, sys.executable, "-B", "-c", HEAD + textwrap.dedent(program), str(root)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr or action != "kill", done.stderr
    was_hit = "INJECTED" in log.read_text() or done.returncode != 0
    return Run(tuple(done.stdout.split("\n")[:-1]), not was_hit)


def check_queue(root: Path, run: Run) -> None:
    paths = QueueFolders(root / "queue")
    later = time.time() + 7_200
    queue = Queue(paths, now=lambda: later, random_bytes=os.urandom)
    try:
        upkeep.release(queue, "me", now=later)
        for finding in recover(queue, check_all=True):
            assert finding.action in ("recovered", "removed") or "not written to its end" in finding.what
        rows = {
            str(message): int(str(count))
            for message, count in queue.read("SELECT message, COUNT(*) FROM recipient GROUP BY message")
        }
        for message in rows:
            size, digest = queue.read("SELECT size_octets, sha256 FROM message WHERE id = ?", (message,))[0]
            content = queue.spool.open(message, int(str(size)), str(digest))
            assert not isinstance(content, Damaged)
            assert content.read() == text(message)
        done = {str(name) for (name,) in queue.read("SELECT id FROM finished")}
    finally:
        queue.close()
    for mark, count in (("one", 1), ("two", 2)):
        if run.is_acknowledged(mark):
            assert rows.get(mark) == count or mark in done
    if "two" in done:
        assert rows.get("report") == 1, "the sender is told of nothing"
    if run.is_acknowledged("bounced") and run.is_acknowledged("two"):
        assert "two" in done


def check_mailbox(root: Path, run: Run) -> None:
    store = MailStore(root / "mail", now=lambda: START, random_bytes=os.urandom, boot="first boot")
    account = store.account(ALICE)
    found: dict[str, list[bytes]] = {"INBOX": [], "Archive": []}
    for name, there in found.items():
        folder = account.status(name).id
        for row in account.rows(folder):
            opened = account.open(folder, row.uid)
            there.append(opened.read())
            opened.close()
    store.close()
    everything = [*found["INBOX"], *found["Archive"]]
    assert set(everything) <= {text("one"), text("two")}, "a message is not whole"
    for mark in ("one", "two"):
        assert text(mark) in everything or not run.is_acknowledged(mark), mark
        assert all(there.count(text(mark)) <= 1 for there in found.values()), mark
    # Only a MOVE that was cut off may leave a message in both folders.
    if run.is_acknowledged("moved") and run.is_acknowledged("one"):
        assert (text("one") in found["INBOX"], found["Archive"]) == (False, [text("one")])


def make_queue(root: Path) -> None:
    kit = QueueKit(root, clock=time.time)  # type: ignore[arg-type]
    kit.queue.close()


def make_mailbox(root: Path) -> None:
    store = MailStore(root / "mail", now=lambda: START, random_bytes=os.urandom, boot="first boot")
    store.account(ALICE).status("INBOX")
    store.close()


Way = tuple[str, Callable[[Path], None], Callable[[Path, Run], None]]
WAYS: dict[str, Way] = {
    "queue": (QUEUE, make_queue, check_queue),
    "mailbox": (MAILBOX, make_mailbox, check_mailbox),
}


@pytest.mark.slow
@pytest.mark.debian
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("way", WAYS)
def test_every_call_that_writes_may_be_the_last(tmp_path: Path, way: str, action: str) -> None:
    program, make, check = WAYS[way]
    make(tmp_path / "made")
    for number in range(1, MOST_CALLS):
        root = tmp_path / f"run{number}"
        shutil.copytree(tmp_path / "made", root)
        run = under_strace(program, root, action, number)
        check(root, run)
        shutil.rmtree(root)
        if run.ended:
            assert number > 5
            return
    raise AssertionError(f"it makes more than {MOST_CALLS} calls")
