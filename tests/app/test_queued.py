"""The queue daemon as a process: started, killed at every named place, started again.

The accounting rule of the faults page, section 4.4, for the queue's side: what was
acknowledged (enqueue returned) comes to exactly one end per recipient; remote duplicates
only where the crash fell between the far server's 250 and our commit.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.delivery.entry import QueueMessage, QueueRecipient
from mailstack.delivery.queue import Queue
from mailstack.disk.sqlite import open_database
from tests.kit.accounting import MARK, marked
from tests.kit.instance import Instance, new_instance
from tests.kit.process import Process, eventually, mailstack, started
from tests.kit.smtp_sink import CLOSE, HANG, SmtpSink

OPTIONS = """
[queue]
first_wait_s = 0.3
max_wait_s = 0.6
give_up_after_s = 20
jitter_percent = 0
connect_timeout_s = 2
command_timeout_s = 2
end_timeout_s = 2
session_idle_s = 1
[[queue.route]]
domain = "live.test"
host = "127.0.0.1"
port = {port}
"""


class Daemon:
    """An instance whose queue daemon can be started, with a sink for live.test."""

    def __init__(self, instance: Instance, sink: SmtpSink) -> None:
        self.instance = instance
        self.sink = sink
        with instance.file.open("a") as file:
            file.write(OPTIONS.format(port=sink.port))
        instance.file.write_text(
            instance.file.read_text().replace(
                "[server]\n", '[server]\npostmaster = "alice@example.test"\nstop_grace_s = 3\n'
            )
        )
        self.paths = instance.config.paths

    def start(self, *, fault: str = "") -> Process:
        return Process(
            mailstack("run", "queue", "--config", self.instance.file),
            environ={"MAILSTACK_FAULT": fault, "MAILSTACK_ALLOW_ROOT": "1"},
        )

    def open(self) -> Queue:
        return Queue(self.paths, now=time.time, random_bytes=os.urandom, options=self.instance.config.queue)

    def put(self, *messages: tuple[str, tuple[str, ...]], sender: str = "alice@example.test") -> list[str]:
        """Queues marked messages, as (mark, recipients)."""
        queue = self.open()
        try:
            return queue.enqueue(
                [
                    QueueMessage(
                        tuple(QueueRecipient(r) for r in recipients),
                        sender=sender,
                        data=marked(mark),
                        owner=sender,
                    )
                    for mark, recipients in messages
                ]
            )
        finally:
            queue.close()

    def is_empty(self) -> bool:
        connection = open_database(self.paths.queue_db, read_only=True)
        try:
            return connection.execute("SELECT COUNT(*) FROM message").fetchone() == (0,)
        finally:
            connection.close()

    def inbox(self, account: str = "alice") -> list[bytes]:
        maildir = self.paths.mail / "example.test" / account / "Maildir"
        return [path.read_bytes() for part in ("new", "cur") for path in sorted((maildir / part).glob("*"))]

    def marks(self) -> list[tuple[str, str]]:
        """(mark, recipient) the sink took, in order, with repeats."""
        found = []
        for message in self.sink.messages:
            match = MARK.search(message.data)
            assert match is not None
            found += [(match.group(1).decode(), recipient) for recipient in message.recipients]
        return found


@pytest.fixture
def sink() -> Iterator[SmtpSink]:
    with SmtpSink() as started_sink:
        yield started_sink


@pytest.fixture
def daemon(tmp_path: Path, sink: SmtpSink) -> Daemon:
    instance = new_instance(tmp_path)
    instance.cli("user", "add", "alice@example.test", "--password", "a-long-password-1")
    return Daemon(instance, sink)


def test_the_daemon_sends_what_waits_and_ends_on_sigterm(daemon: Daemon) -> None:
    daemon.put(("before", ("b@live.test",)))
    process = daemon.start()
    try:
        daemon.sink.wait_for(1)
        started_at = time.monotonic()
        daemon.put(("after", ("b@live.test",)))
        daemon.sink.wait_for(2)
        assert time.monotonic() - started_at < 5
        eventually(daemon.is_empty)
    finally:
        assert process.stop() == 0, process.output
    assert "delivered id=" in process.output
    assert list(daemon.paths.queue_messages.iterdir()) == []


def test_a_bounce_reaches_the_senders_mailbox_here_signed_and_in_their_language(daemon: Daemon) -> None:
    daemon.sink.replies["rcpt"] = "550 5.1.1 no such user"
    assert daemon.instance.cli("user", "set", "alice@example.test", "--language", "de").code == 0
    daemon.put(("m1", ("b@live.test",)))
    process = daemon.start()
    try:
        eventually(lambda: len(daemon.inbox()) == 1, explain=lambda: process.output)
        eventually(daemon.is_empty)
    finally:
        process.stop()
    (report,) = daemon.inbox()
    assert report.startswith(b"Return-Path: <>\r\nDelivered-To: alice@example.test\r\nDKIM-Signature: ")
    assert b"550 5.1.1 no such user" in report
    assert b"Subject: Nicht zugestellt: Ihre Nachricht an b@live.test\r\n" in report
    log = daemon.instance.cli("log", "show", "alice@example.test", "--json")
    assert "bounced" in {event["event"] for event in log.json}


def test_a_report_that_fails_ends_with_the_postmaster(daemon: Daemon) -> None:
    # Q16
    daemon.sink.replies["rcpt"] = "550 5.1.1 no such user"
    daemon.put(("m1", ("b@live.test",)), sender="forged@live.test")
    process = daemon.start()
    try:
        eventually(lambda: len(daemon.inbox()) == 1, explain=lambda: process.output)
        eventually(daemon.is_empty)
    finally:
        process.stop()
    assert b"to forged@live.test: Not delivered: your message to b@live.test" in daemon.inbox()[0]


# -- kill -9 (F1 to F14, queue part)


ENQUEUE = """
import os, sys, time
from pathlib import Path
from mailstack.app.config import load_config
from mailstack.delivery.entry import QueueMessage, QueueRecipient
from mailstack.delivery.queue import Queue
from tests.kit.accounting import marked
config = load_config(Path(sys.argv[1]))
queue = Queue(config.paths, now=time.time, random_bytes=os.urandom, options=config.queue)
for n in range(3):
    recipients = tuple(QueueRecipient(f"{name}@live.test") for name in "ab")
    me = "alice@example.test"
    try:
        queue.enqueue([QueueMessage(recipients, sender=me, owner=me, data=marked(f"m{n}"))])
    except Exception as error:
        print("refused", f"m{n}", error, flush=True)
    else:
        print("acknowledged", f"m{n}", flush=True)
"""


POINTS = (
    "queue.spool_written",
    "queue.spool_synced",
    "queue.renamed",
    "queue.folder_synced",
    "queue.committed",
)
QUICK = {*((point, "exit", 2) for point in POINTS), (POINTS[0], "enospc", 1), (POINTS[3], "eio", 2)}
MATRIX = [
    pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
    for case in ((p, a, o) for p in POINTS for a in ("exit", "enospc", "eio") for o in (1, 2))
]


@pytest.mark.parametrize(("point", "action", "occurrence"), MATRIX)
def test_a_crash_while_queueing_loses_nothing_acknowledged(
    daemon: Daemon, point: str, action: str, occurrence: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENQUEUE, str(daemon.instance.file)],
        env={**os.environ, "MAILSTACK_FAULT": f"{point}:{action}:{occurrence}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (137 if action == "exit" else 0), done.stderr
    acknowledged = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("acknowledged")]
    assert len(acknowledged) == (occurrence - 1 if action == "exit" else 2)
    process = daemon.start()
    try:
        eventually(daemon.is_empty, explain=lambda: process.output)
    finally:
        process.stop()
    _check(daemon.marks(), acknowledged, possible=["m0", "m1", "m2"])


def _check(
    marks: list[tuple[str, str]], acknowledged: list[str], possible: list[str], *, twice: int = 0
) -> None:
    """The accounting rule; `twice`: how many duplicates are allowed."""
    for mark in possible:
        for recipient in ("a@live.test", "b@live.test"):
            count = marks.count((mark, recipient))
            if mark in acknowledged:
                assert count >= 1, (mark, recipient, marks)
                twice -= count - 1
            else:
                assert count <= 1, (mark, recipient, marks)
    assert twice >= 0, marks


@pytest.mark.parametrize("point", ["queue.claimed", "queue.remote_accepted", "queue.outcome"])
def test_a_crash_while_delivering_ends_every_recipient_once(daemon: Daemon, point: str) -> None:
    # The fault is armed in every new worker, so each dies at its first message.
    marks = ["m0", "m1", "m2"]
    daemon.put(*((mark, ("a@live.test", "b@live.test")) for mark in marks))
    process = daemon.start(fault=f"{point}:exit:1")
    try:
        # Whoever dies at once says nothing of what it recovered.
        eventually(lambda: process.output.count(f"fault point {point}") > 1, explain=lambda: process.output)
    finally:
        process.stop()
    before = daemon.marks()
    process = daemon.start()
    try:
        eventually(daemon.is_empty, explain=lambda: process.output)
    finally:
        process.stop()
    # P4: only what the far server took before our commit may come again, also of messages beside the one
    # that died.
    _check(daemon.marks(), marks, marks, twice=0 if point == "queue.claimed" else len(before))
    assert daemon.inbox() == []


def test_a_far_server_that_took_the_message_while_the_disk_is_full_gets_it_once(daemon: Daemon) -> None:
    # F16: the outcome is written when there is room again.
    daemon.put(("m0", ("a@live.test", "b@live.test")))
    process = daemon.start(fault="queue.remote_accepted:enospc:1")
    try:
        eventually(daemon.is_empty, explain=lambda: process.output)
    finally:
        process.stop()
    assert sorted(daemon.marks()) == [("m0", "a@live.test"), ("m0", "b@live.test")]
    assert "the disk is full" in process.output


def test_an_error_of_the_disk_ends_the_daemon_for_a_restart(daemon: Daemon) -> None:
    # F19, P8
    daemon.put(("m0", ("a@live.test",)))
    process = daemon.start(fault="queue.remote_accepted:eio:1")
    try:
        assert process.wait(15) != 0
    finally:
        process.stop()
    process = daemon.start()
    try:
        eventually(daemon.is_empty, explain=lambda: process.output)
    finally:
        process.stop()
    assert set(daemon.marks()) == {("m0", "a@live.test")}


def test_kill_minus_nine_in_the_middle_is_followed_by_the_schedule_and_not_by_a_storm(daemon: Daemon) -> None:
    # F13, Q21, P5
    daemon.sink.replies["greeting"] = [HANG]
    daemon.put(("m0", ("a@live.test",)))
    process = daemon.start()
    try:
        eventually(lambda: daemon.sink.connections == 1)
        (worker,) = _workers(process.pid)
        os.kill(worker, signal.SIGKILL)
        daemon.sink.wait_for(1, 15)
        eventually(daemon.is_empty)
    finally:
        process.stop()
    assert "recovered recipients=1" in process.output
    assert daemon.marks() == [("m0", "a@live.test")]


def test_random_kills_end_every_recipient(daemon: Daemon) -> None:
    # Section 4.4, random SIGKILL; the sink answers at once, so hardly any crash falls after its 250.
    import random

    chance = random.Random(7)
    marks = [f"m{n}" for n in range(40)]
    daemon.put(*((mark, ("a@live.test", "b@live.test")) for mark in marks))
    process = daemon.start()
    try:
        for _ in range(6):
            time.sleep(chance.random() * 0.4)
            for worker in _workers(process.pid):
                os.kill(worker, signal.SIGKILL)
        eventually(daemon.is_empty, explain=lambda: process.output[-3000:])
    finally:
        process.stop()
    _check(daemon.marks(), marks, marks, twice=2 * 10 * 6)
    assert list(daemon.paths.queue_messages.iterdir()) == []


def test_a_cut_after_the_dot_is_the_only_reason_for_a_second_copy(daemon: Daemon) -> None:
    daemon.sink.replies["end"] = [CLOSE, "451 later", "250 ok"]
    daemon.put(("m0", ("a@live.test",)))
    process = daemon.start()
    try:
        eventually(daemon.is_empty, explain=lambda: process.output)
    finally:
        process.stop()
    assert [m.reply for m in daemon.sink.all] == [CLOSE, "451 later", "250 ok"]
    assert "possible duplicate" in process.output


@pytest.mark.slow
def test_a_second_daemon_of_the_same_instance_is_refused(daemon: Daemon) -> None:
    process = daemon.start()
    try:
        eventually(
            lambda: (
                (daemon.paths.queue / "leases").exists() and any((daemon.paths.queue / "leases").iterdir())
            )
        )
        with started(
            mailstack("run", "queue", "--config", daemon.instance.file), environ={"MAILSTACK_ALLOW_ROOT": "1"}
        ) as second:
            assert second.wait(10) == 75
    finally:
        process.stop()


def share_with(daemon: Daemon, processes: int) -> None:
    text = daemon.instance.file.read_text()
    daemon.instance.file.write_text(text.replace("[queue]\n", f"[queue]\nprocesses = {processes}\n"))


def test_two_processes_share_one_queue_and_send_everything_once(daemon: Daemon) -> None:
    # Q20
    share_with(daemon, 2)
    marks = [f"m{n}" for n in range(120)]
    daemon.put(*((mark, ("a@live.test", "b@live.test")) for mark in marks))
    process = daemon.start()
    try:
        eventually(daemon.is_empty, explain=lambda: process.output[-3000:])
        assert len(_workers(process.pid)) == 2
        names = {path.name.partition("-")[0] for path in (daemon.paths.queue / "leases").iterdir()}
        assert names == {str(pid) for pid in _workers(process.pid)}
    finally:
        process.stop()
    _check(daemon.marks(), marks, marks, twice=0)
    # Both worked: connections are kept by each, and the share of one is half of ten.
    assert daemon.sink.most_open <= 10


def test_what_a_dead_process_had_claimed_is_taken_over_by_the_other(daemon: Daemon) -> None:
    # Q20, Q21: at once where the kernel says that it is dead, and sent once.
    share_with(daemon, 2)
    daemon.sink.replies["greeting"] = [HANG, HANG]
    process = daemon.start()
    try:
        eventually(lambda: len(_workers(process.pid)) == 2)
        daemon.put(("m0", ("a@live.test",)))
        eventually(lambda: daemon.sink.connections >= 1)
        (holder,) = {owner.partition("-")[0] for owner in holders(daemon)}
        os.kill(int(holder), signal.SIGKILL)
        eventually(daemon.is_empty, explain=lambda: process.output[-3000:])
    finally:
        process.stop()
    assert daemon.marks() == [("m0", "a@live.test")]


def holders(daemon: Daemon) -> list[str]:
    connection = open_database(daemon.paths.queue_db, read_only=True)
    try:
        return [
            owner
            for (owner,) in connection.execute("SELECT DISTINCT lease_owner FROM recipient WHERE state = 1")
        ]
    finally:
        connection.close()


def _workers(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children()]
