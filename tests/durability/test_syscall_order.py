"""The order of system calls: nothing is said before it is on the disk (P1, P5; faults, section 4.3).

local:   fsync(tmp file) < rename(new) < fsync(new folder) < 250
remote:  fsync(spool file) < rename < fsync(spool folder) < fdatasync(queue.db-wal) < 250
attempt: fdatasync(queue.db-wal) of the claim < RCPT to the far server
outcome: the far server's answer < fdatasync(queue.db-wal) < unlink(spool file)
report:  as remote, in the COMMIT of the outcome it tells of; its own delivery as local < outcome

One trace of both daemons is looked at; that a missing sync would be noticed is tested by
taking each kind of them out of the trace.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.kit import debian
from tests.kit.accounting import Recorder, Sent
from tests.kit.counting import ALICE, BOB, CAROL, GONE
from tests.kit.demo import Demo
from tests.kit.process import eventually
from tests.kit.shapes import FRIEND, KEEPER, REFUSED, loop, submit
from tests.kit.syscalls import Call, is_traced, parse

pytestmark = [pytest.mark.debian, pytest.mark.root]

WRITES = ("write", "writev", "sendto", "sendmsg")
READS = ("read", "recvfrom", "recvmsg")
RENAMES = ("rename", "renameat", "renameat2")
UNLINKS = ("unlink", "unlinkat")
SYNCS = ("fsync", "fdatasync")
TRACED = ",".join((*WRITES, *READS, *RENAMES, *UNLINKS, *SYNCS))
WAL = r"queue\.db-wal>"
FAR_FRIEND = "friend@outside.test"


@dataclass(frozen=True)
class Trace:
    """System calls of the smtp and the queue daemon, in one order.

    Attributes:
        queue: thread ids of the queue daemon.
        accepted: accept id by name of what was sent.
    """

    calls: tuple[Call, ...]
    queue: frozenset[int] = frozenset()
    accepted: dict[str, str] = field(default_factory=dict)

    def all(
        self,
        names: tuple[str, ...],
        pattern: str,
        *,
        after: Call | None = None,
        before: Call | None = None,
        by_queue: bool = False,
    ) -> list[Call]:
        """Calls that succeeded, whose text matches, between two others."""
        wanted = re.compile(pattern)
        return [
            call
            for call in self.calls
            if call.name in names
            and (after is None or after.ended <= call.began)
            and (before is None or call.ended <= before.began)
            and (not by_queue or call.pid in self.queue)
            and call.ok
            and wanted.search(call.text)
        ]

    def first(self, names: tuple[str, ...], pattern: str, **where: Call | bool | None) -> Call:
        """The first of them; fails in words when there is none."""
        found = self.all(names, pattern, **where)  # type: ignore[arg-type]
        assert found, f"no {'/'.join(names)} of {pattern} where it must be"
        return found[0]


def in_order(*steps: Call) -> None:
    for earlier, later in itertools.pairwise(steps):
        assert earlier.ended <= later.began and earlier is not later, (
            f"{earlier.name} (line {earlier.ended}) must end before {later.name} (line {later.began})"
        )


# -- the trace


def attach(demo: Demo, log: Path) -> subprocess.Popen[bytes]:
    pids = [word for name in ("smtp", "queue") for pid in demo.pids(name) for word in ("-p", str(pid))]
    process = subprocess.Popen(
        [debian.need("strace"), "-f", "-yy", "-s", "300", "-e", f"trace={TRACED}", "-o", str(log), *pids],
        stderr=subprocess.DEVNULL,
    )
    traced = [pid for name in ("smtp", "queue") for pid in demo.pids(name)]
    try:
        eventually(lambda: all(is_traced(pid) for pid in traced) or process.poll() is not None)
    except AssertionError:
        process.kill()
        raise
    if process.poll() is not None:
        pytest.skip("strace may not attach here")
    return process


def threads(demo: Demo, daemon: str) -> frozenset[int]:
    return frozenset(
        int(task.name) for pid in demo.pids(daemon) for task in Path(f"/proc/{pid}/task").iterdir()
    )


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trace]:
    if os.geteuid() != 0:
        pytest.skip("strace of other processes needs root")
    debian.need("strace")
    folder = tmp_path_factory.mktemp("order")
    with loop(folder / "demo") as sent, sent.life() as demo:
        tracer = attach(demo, folder / "strace")
        try:
            accepted = send_everything(demo)
            queue = threads(demo, "queue")
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(20)
        calls = tuple(parse((folder / "strace").read_text(errors="replace").split("\n")))
    yield Trace(calls, queue, accepted)


def send_everything(demo: Demo) -> dict[str, str]:
    """One after the other: each has left the queue before the next comes."""
    recorder = Recorder(demo.host, demo.port("mx"))
    large = 400_000  # lies in a file, not in memory
    ways: dict[str, Callable[[str], Sent]] = {
        "local": lambda mark: recorder.send(mark, [ALICE, BOB, CAROL]),
        "large": lambda mark: recorder.send(mark, [ALICE], size_octets=large),
        "lmtp": lambda mark: by_lmtp(demo, mark, ALICE),
        "forward": lambda mark: recorder.send(mark, [GONE]),
        "large forward": lambda mark: recorder.send(mark, [GONE], size_octets=large),
        "both": lambda mark: recorder.send(mark, [BOB, GONE]),
        "rule": lambda mark: recorder.send(mark, [KEEPER]),
        "submitted": lambda mark: submit(demo, mark, FRIEND),
        "refused": lambda mark: submit(demo, mark, REFUSED),
    }
    messages = demo.folder / "state" / "queue" / "messages"
    accepted = {}
    for name, send in ways.items():
        accepted[name] = send(f"order-{name.replace(' ', '-')}").accept_id
        assert accepted[name], demo.log()[-2000:]
        eventually(lambda: not list(messages.iterdir()), explain=demo.log)
    demo.wait_for_message(ALICE, b"nobody of that name")
    return accepted


def by_lmtp(demo: Demo, mark: str, recipient: str) -> Sent:
    recorder = Recorder(demo.host, demo.port("lmtp"))
    recorder.send_each(mark, [recipient])
    return recorder.sent[0]


# -- the rules


def the_250(trace: Trace, name: str) -> Call:
    (found,) = trace.all(WRITES, rf"250 2\.0\.0 Ok id={trace.accepted[name]}")
    return found


def check_local(trace: Trace, key: str, *, copies: int, before: Call) -> None:
    """`key`: accept id, or queue id of what we composed."""
    renames = trace.all(RENAMES, rf"/tmp/[^\"]*{key}.*/new/[^\"]*{key}", before=before)
    assert len(renames) == copies
    for rename in renames:
        name = re.search(rf"/tmp/([^\"]*{key}[^\"]*)\"", rename.text)
        folder = re.search(r"\"([^\"]*/new)/[^\"]*\"", rename.text)
        assert name is not None
        assert folder is not None
        synced = trace.first(("fsync",), rf"/tmp/{re.escape(name.group(1))}>", before=rename)
        named = trace.first(("fsync",), rf"<{re.escape(folder.group(1))}>", after=rename, before=before)
        in_order(synced, rename, named, before)


def check_queued(trace: Trace, queue_id: str, *, before: Call) -> Call:
    """The file, its name and its row are durable; gives the rename."""
    rename = trace.first(RENAMES, rf"queue/tmp/{queue_id}\"", before=before)
    synced = trace.first(("fsync",), rf"queue/tmp/{queue_id}>", before=rename)
    named = trace.first(("fsync",), r"queue/messages>", after=rename, before=before)
    committed = trace.first(SYNCS, WAL, after=named, before=before)
    in_order(synced, rename, named, committed, before)
    return rename


def check_attempt(trace: Trace, queue_id: str, recipient: str, answer: str) -> Call:
    """Claim, attempt, outcome; gives the far server's answer."""
    rename = trace.first(RENAMES, rf"queue/tmp/{queue_id}\"")
    said = trace.first(WRITES, rf"RCPT TO:<{recipient}>", after=rename, by_queue=True)
    claimed = trace.first(SYNCS, WAL, after=rename, before=said, by_queue=True)
    answered = trace.first(READS, answer, after=said, by_queue=True)
    gone = trace.first(UNLINKS, rf"queue/messages/{queue_id}\"", by_queue=True)
    noted = trace.first(SYNCS, WAL, after=answered, before=gone, by_queue=True)
    in_order(rename, claimed, said, answered, noted, gone)
    return answered


def check_report(trace: Trace, queue_id: str) -> None:
    answered = check_attempt(trace, queue_id, REFUSED, "550 5.1.1 nobody")
    gone = trace.first(UNLINKS, rf"queue/messages/{queue_id}\"", by_queue=True)
    rename = trace.first(RENAMES, r"queue/tmp/", after=answered, before=gone, by_queue=True)
    found = re.search(r"queue/tmp/([^\"]+)\"", rename.text)
    assert found is not None
    check_queued(trace, found.group(1), before=gone)
    report_gone = trace.first(UNLINKS, rf"queue/messages/{found.group(1)}\"", after=gone, by_queue=True)
    stored = trace.first(RENAMES, r"/new/", after=gone, before=report_gone, by_queue=True)
    key = re.search(r"/new/\d+\.([^_\"]+)_", stored.text)
    assert key is not None
    # Its own copy is durable, then its outcome, then its file goes.
    noted = trace.all(SYNCS, WAL, after=stored, before=report_gone, by_queue=True)
    assert noted
    check_local(trace, key.group(1), copies=1, before=noted[-1])


RULES: dict[str, Callable[[Trace], object]] = {
    "local": lambda t: check_local(t, t.accepted["local"], copies=3, before=the_250(t, "local")),
    "large": lambda t: check_local(t, t.accepted["large"], copies=1, before=the_250(t, "large")),
    "lmtp": lambda t: check_local(t, t.accepted["lmtp"], copies=1, before=the_250(t, "lmtp")),
    "forward": lambda t: check_queued(t, f"{t.accepted['forward']}-1", before=the_250(t, "forward")),
    "large forward": lambda t: check_queued(
        t, f"{t.accepted['large forward']}-1", before=the_250(t, "large forward")
    ),
    "both, kept": lambda t: check_local(t, t.accepted["both"], copies=1, before=the_250(t, "both")),
    "both, sent": lambda t: check_queued(t, f"{t.accepted['both']}-1", before=the_250(t, "both")),
    "rule, kept": lambda t: check_local(t, t.accepted["rule"], copies=1, before=the_250(t, "rule")),
    "rule, sent": lambda t: check_queued(t, f"{t.accepted['rule']}-1", before=the_250(t, "rule")),
    "attempt of a forward": lambda t: check_attempt(
        t, f"{t.accepted['forward']}-1", FAR_FRIEND, "250 2.0.0 queued"
    ),
    "attempt of a submission": lambda t: check_attempt(
        t, f"{t.accepted['submitted']}-1", FRIEND, "250 2.0.0 queued"
    ),
    "report": lambda t: check_report(t, f"{t.accepted['refused']}-1"),
}


@pytest.mark.parametrize("rule", RULES)
def test_nothing_is_said_before_it_is_on_the_disk(traced: Trace, rule: str) -> None:
    RULES[rule](traced)


MISSING = {
    "file of a mailbox": ("fsync", r"Maildir/tmp/"),
    "folder of a mailbox": ("fsync", r"Maildir/new>"),
    "file of the queue": ("fsync", r"queue/tmp/"),
    "folder of the queue": ("fsync", r"queue/messages>"),
    "rows of the queue": ("fdatasync", WAL),
}
NOTICED = {
    "file of a mailbox": ("local", "large", "lmtp", "both, kept", "rule, kept", "report"),
    "folder of a mailbox": ("local", "large", "lmtp", "both, kept", "rule, kept", "report"),
    "file of the queue": ("forward", "large forward", "both, sent", "rule, sent", "report"),
    "folder of the queue": ("forward", "large forward", "both, sent", "rule, sent", "report"),
    "rows of the queue": ("forward", "attempt of a forward", "attempt of a submission", "report"),
}


@pytest.mark.parametrize("missing", MISSING)
def test_a_missing_sync_is_noticed(traced: Trace, missing: str) -> None:
    name, pattern = MISSING[missing]
    left = tuple(c for c in traced.calls if not (c.name == name and re.search(pattern, c.text)))
    assert len(left) < len(traced.calls)
    for rule in NOTICED[missing]:
        with pytest.raises(AssertionError):
            RULES[rule](replace(traced, calls=left))


def test_an_answer_that_comes_too_early_is_noticed(traced: Trace) -> None:
    for name in ("local", "forward"):
        said = the_250(traced, name)
        early = tuple(replace(c, began=0, ended=0) if c is said else c for c in traced.calls)
        with pytest.raises(AssertionError):
            RULES[name](replace(traced, calls=early))
