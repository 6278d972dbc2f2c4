"""Disks that are full, read-only, broken or slow, below a whole running instance."""

from __future__ import annotations

import contextlib
import imaplib
import os
import re
import resource
import smtplib
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import debian
from tests.kit.accounting import Recorder, Sent, check, marked
from tests.kit.counting import ALICE, BOB, GONE, HOMES, count, forgive_possible_duplicates, settle
from tests.kit.demo import Demo, running_demo
from tests.kit.process import alive, eventually
from tests.kit.shapes import loop
from tests.kit.syscalls import failing

pytestmark = [pytest.mark.root]

ROOMY = "size=2g,nr_inodes=100000"


def must(*command: str | Path) -> None:
    done = debian.run(command)
    assert done.returncode == 0, f"{command}: {done.stdout}"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system whose size can be changed."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount")
    at = tmp_path / "disk"
    at.mkdir()
    if debian.run(["mount", "-t", "tmpfs", "-o", ROOMY, "tmpfs", at]).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    yield at
    debian.run(["umount", "-l", at])


def resize(at: Path, options: str) -> None:
    must("mount", "-o", f"remount,{options}", at)


def fill(at: Path, what: str) -> None:
    """Leaves no room on the disk."""
    state = os.statvfs(at)
    if what == "inodes":
        resize(at, f"nr_inodes={state.f_files - state.f_ffree}")
        return
    used = (state.f_blocks - state.f_bfree) * state.f_frsize
    resize(at, f"size={used // 1024 + 512}k")
    with (at / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(b"x" * 4_096)


def send(demo: Demo, mark: str, to: str = ALICE, size_octets: int = 2_000) -> str:
    """The reply to the message: "250 ..." or what refused it."""
    try:
        with demo.smtp() as client:
            client.sendmail("tester@client.example", [to], marked(mark, size_octets=size_octets))
    except smtplib.SMTPSenderRefused as error:
        return f"{error.smtp_code} {error.smtp_error.decode()}"
    except smtplib.SMTPRecipientsRefused as error:
        code, text = error.recipients[to]
        return f"{code} {text.decode()}"
    except smtplib.SMTPResponseException as error:
        return f"{error.smtp_code} {error.smtp_error.decode()}"
    except OSError as error:
        return f"{error}"
    return "250"


def subjects(client: imaplib.IMAP4, uids: str = "1:*") -> int:
    """How many messages can be read whole."""
    _, found = client.fetch(uids, "(BODY.PEEK[])")
    return sum(isinstance(part, tuple) and b"X-Test-Mark" in part[1] for part in found)


@pytest.mark.parametrize("what", ["octets", "inodes"])
def test_a_full_disk_refuses_new_mail_shows_the_old_and_recovers_by_itself(
    small_disk: Path, what: str
) -> None:
    # F16, F17
    with running_demo(small_disk / "demo") as demo:
        assert [send(demo, f"before-{n}")[:3] for n in range(3)] == ["250"] * 3
        pids = {name: demo.pids(name) for name in ("smtp", "imap", "queue", "filter")}
        with demo.imap(ALICE) as client:
            client.select("INBOX")
            fill(small_disk, what)
            eventually(lambda: send(demo, "during").startswith("452"))
            assert re.match(r"452 4\.3\.1", send(demo, "during-2"))
            client.noop()
            shown = subjects(client)
            assert shown >= 3
            client.noop()
            assert client.append("INBOX", "", None, marked("appended", size_octets=50_000))[0] == "NO"
            resize(small_disk, ROOMY)
            (small_disk / "ballast").unlink(missing_ok=True)
            eventually(lambda: send(demo, "after") == "250")
            assert client.append("INBOX", "", None, marked("appended-after"))[0] == "OK"
            assert client.store("1", "+FLAGS", "\\Flagged")[0] == "OK"
            assert subjects(client) == shown + 2
        assert {name: demo.pids(name) for name in pids} == pids, "something was restarted"
        assert not [path for path in small_disk.rglob("Maildir/tmp/*")]


def test_one_account_without_room_does_not_hold_up_the_others(small_disk: Path) -> None:
    # F18: the tree of one user is full (EDQUOT and ENOSPC are one to us: tests/disk)
    with running_demo(small_disk / "demo") as demo:
        home = demo.maildir(BOB).parent
        with demo.imap(BOB) as client:
            client.select("INBOX")
        home.mkdir(parents=True, exist_ok=True)
        must("mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", home)
        try:
            assert send(demo, "fits", BOB) == "250"
            replies = [send(demo, f"big-{n}", BOB, 100_000) for n in range(5)]
            assert replies[-1].startswith("452 4.3.1"), replies
            assert send(demo, "alice", ALICE, 100_000) == "250"
            recorder = Recorder(demo.host, demo.port("mx"))
            assert recorder.send("both", [ALICE, BOB], size_octets=100_000).accept_id
            demo.wait_for_message(ALICE, b"X-Test-Mark: both ")
            assert BOB in demo.cli("queue", "list")
            must("mount", "-o", "remount,size=50m", home)
            demo.cli("queue", "retry", "--all")
            demo.wait_for_message(BOB, b"X-Test-Mark: both ")
            settle(demo)
        finally:
            must("umount", "-l", home)


def test_a_disk_that_becomes_read_only_is_read_on_and_nothing_crashes_in_a_loop(tmp_path: Path) -> None:
    # F21
    image, at = tmp_path / "disk.img", tmp_path / "disk"
    at.mkdir()
    with image.open("wb") as stream:
        stream.truncate(1 << 30)
    debian.need("mkfs.ext4")
    must("mkfs.ext4", "-q", "-F", image)
    if debian.run(["mount", "-o", "loop", image, at]).returncode:
        pytest.skip("loop mounts do not work here")
    try:
        with running_demo(at / "demo") as demo:
            recorder = Recorder(demo.host, demo.port("mx"))
            threads = recorder.start(2, [[ALICE], [BOB], [BOB, GONE]])
            eventually(lambda: len(recorder.acknowledged) > 10)
            with demo.imap(ALICE) as client:
                client.select("INBOX")
                shown = subjects(client)
                # An fsync under way gives EIO, which ends a daemon (P8); this is about what comes after.
                recorder.stop.set()
                for thread in threads:
                    thread.join(60)
                # What ext4 does to itself after an error.
                if debian.run(["mount", "-o", "remount,abort", at]).returncode:
                    pytest.skip("this kernel lets no file system be aborted")
                eventually(lambda: send(demo, "during")[:1] == "4", explain=demo.log)
                pids = {name: demo.pids(name) for name in ("smtp", "imap")}
                assert subjects(client) >= shown
                assert client.store("1", "+FLAGS", "\\Flagged")[0] == "NO"
                assert client.append("INBOX", "", None, marked("appended"))[0] == "NO"
                assert subjects(client) >= shown
            with demo.imap(ALICE) as client:
                client.select("INBOX", readonly=True)
                assert subjects(client) >= shown
            assert {name: demo.pids(name) for name in pids} == pids
        must("umount", at)
        must("mount", "-o", "loop", image, at)
        (at / "demo" / "demo.json").unlink(missing_ok=True)
        with running_demo(at / "demo") as demo:
            settle(demo)
            found = count(demo)
            # The sink may have answered when its outcome could not be noted any more.
            forgive_possible_duplicates(found)
            check(recorder.sent, found, HOMES)
    finally:
        debian.run(["umount", "-l", at])


def test_a_message_that_cannot_be_read_is_named_and_the_others_are_fine(tmp_path: Path) -> None:
    # F20
    with running_demo(tmp_path / "demo") as demo:
        for number in range(2):
            assert send(demo, f"m{number}") == "250"
        with demo.imap(ALICE) as client:
            client.select("INBOX")
            client.noop()
        broken = next(path for path in demo.maildir(ALICE).glob("*/*") if b"X-Test-Mark: m0 " in _read(path))
        with failing(demo.pids("imap")[1:], "read,pread64", broken):
            with demo.imap(ALICE) as client:
                client.select("INBOX")
                assert client.fetch("1:*", "(UID BODY.PEEK[])")[0] == "NO"
                shown = repr(client.untagged_responses["FETCH"])
                assert "X-Test-Mark: m1 " in shown and "X-Test-Mark: m0 " not in shown
                assert client.noop()[0] == "OK"
            eventually(lambda: broken.name in demo.log(), explain=demo.log)
            assert send(demo, "m2") == "250"
        with demo.imap(ALICE) as client:
            client.select("INBOX")
            assert subjects(client) == 3


@pytest.mark.parametrize(
    "what",
    [
        "queue.db-wal",
        pytest.param("queue/messages", marks=pytest.mark.slow),
        pytest.param("Maildir/new", marks=pytest.mark.slow),
    ],
)
def test_an_error_at_an_fsync_is_451_and_ends_the_daemon_for_a_restart(tmp_path: Path, what: str) -> None:
    # F19, P8: never tried again by the same process
    with running_demo(tmp_path / "demo") as demo:
        recorder = Recorder(demo.host, demo.port("mx"))
        to = ALICE if what == "Maildir/new" else GONE
        assert recorder.send("before", [to]).accept_id
        folder = demo.maildir(ALICE).parent if to == ALICE else demo.folder / "state" / "queue"
        path = folder / what.removeprefix("queue/")
        before = demo.pids("smtp")
        with failing(before, "fsync,fdatasync", path):
            assert re.match("451 |421 4.3.2 ", send(demo, "during", to))
            eventually(lambda: not any(map(alive, before)), explain=demo.log)
        recorder.sent.append(Sent("during", (to,)))
        eventually(lambda: send(demo, "after", to) == "250", explain=demo.log)
        recorder.sent.append(Sent("after", (to,), "some id"))
        settle(demo)
        found = count(demo)
        # Tried again while nobody answered yet, it may have been taken twice: each was one of its own.
        found.places["after", HOMES[to][0]] = min(found.places["after", HOMES[to][0]], 1)
        check(recorder.sent, found, HOMES)


def test_a_queued_message_that_cannot_be_read_waits_and_the_others_leave(tmp_path: Path) -> None:
    # F20
    with loop(tmp_path / "demo") as sent, sent.life() as demo:
        recorder = Recorder(demo.host, demo.port("mx"))
        sent.sink.replies["rcpt"] = "451 4.7.1 later"
        stuck = recorder.send("stuck", [GONE]).accept_id
        eventually(lambda: "deferred" in demo.log(), explain=demo.log)
        del sent.sink.replies["rcpt"]
        path = demo.folder / "state" / "queue" / "messages" / f"{stuck}-1"
        with failing(demo.pids("queue"), "read,pread64", path):
            demo.cli("queue", "retry", "--all")
            eventually(lambda: "cannot be read" in demo.log(), explain=demo.log)
            recorder.send("other", [GONE])
            sent.sink.wait_for(1)
        assert b"X-Test-Mark: other " in sent.sink.messages[0].data
        sent.sent = recorder.sent
        sent.check(demo)


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.parametrize("daemon", [pytest.param("smtp", marks=pytest.mark.slow), "queue"])
def test_a_daemon_without_descriptors_loses_nothing_and_recovers_by_itself(
    tmp_path: Path, daemon: str
) -> None:
    # F29
    with loop(tmp_path / "demo") as sent, sent.life() as demo:
        recorder = Recorder(demo.host, demo.port("mx"))
        recorder.send("before", [ALICE, GONE])
        pids = demo.pids(daemon)
        normal = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids}
        for pid in pids:
            hard = normal[pid][1]
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_files(pid) + 4, hard))
        said = demo.log().count("\n")
        crowd = [socket.create_connection((demo.host, demo.port("mx")), 20) for _ in range(100)]
        for number in range(10):
            recorder.send(f"during-{number}", [[ALICE], [GONE], [BOB, GONE]][number % 3], timeout_s=5)
        if daemon == "smtp":
            assert demo.log().count("\n") - said < 500, demo.log()[-3000:]
        for client in crowd:
            client.close()
        if daemon == "queue":
            for pid in pids:
                resource.prlimit(pid, resource.RLIMIT_NOFILE, normal[pid])
        eventually(lambda: bool(recorder.send("after", [ALICE, GONE]).accept_id), explain=demo.log)
        assert demo.pids(daemon) == pids
        sent.sent = [one for one in recorder.sent if one.mark != "after"]
        sent.check(demo)


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


@pytest.mark.slow
@pytest.mark.parametrize("to", [BOB, GONE])
def test_a_locked_database_is_451_and_nobody_spins(tmp_path: Path, to: str) -> None:
    # F35
    with running_demo(tmp_path / "demo") as demo:
        assert send(demo, "before", to) == send(demo, "before") == "250"
        settle(demo)
        queue = demo.folder / "state" / "queue" / "queue.db"
        holder = sqlite3.connect(
            demo.maildir(BOB).parent / "account.db" if to == BOB else queue, isolation_level=None
        )
        holder.execute("BEGIN IMMEDIATE")
        used = _cpu_s(demo)
        replies: list[str] = []
        waiting = threading.Thread(target=lambda: replies.append(send(demo, "during", to)))
        waiting.start()
        assert send(demo, "others") == "250"
        waiting.join(60)
        assert replies[0].startswith("451"), replies
        assert _cpu_s(demo) - used < 5
        holder.execute("ROLLBACK")
        holder.close()
        assert send(demo, "after", to) == "250"
        settle(demo)


def _cpu_s(demo: Demo) -> float:
    ticks = 0
    for pid in (pid for name in ("smtp", "queue", "imap") for pid in demo.pids(name)):
        with contextlib.suppress(FileNotFoundError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def test_a_backup_under_load_is_consistent(tmp_path: Path) -> None:
    # F36: what had been acknowledged when the backup began is in it
    with running_demo(tmp_path / "demo") as demo:
        recorder = Recorder(demo.host, demo.port("mx"))
        threads = recorder.start(3, [[ALICE], [ALICE, BOB]])
        eventually(lambda: len(recorder.acknowledged) > 20)
        known = {sent.mark for sent in recorder.acknowledged}
        home, copy = demo.maildir(ALICE).parent, tmp_path / "restored"
        started = time.monotonic()
        # Files first: a row without a file is dropped, a file without a row is taken in.
        copy.mkdir()
        connection = sqlite3.connect(home / "account.db")
        connection.execute("VACUUM INTO ?", (str(copy / "account.db"),))
        connection.close()
        # A message may move from new/ to cur/ while it is copied.
        eventually(lambda: debian.run(["cp", "-a", home / "Maildir", copy]).returncode == 0)
        assert time.monotonic() - started < 120
        before = len(recorder.acknowledged)
        eventually(lambda: len(recorder.acknowledged) > before + 5)
        recorder.stop.set()
        for thread in threads:
            thread.join(60)
        found = b"".join(_read(path) for path in (copy / "Maildir").glob("*/*"))
        for mark in known:
            assert f"X-Test-Mark: {mark} ".encode() in found
        connection = sqlite3.connect(copy / "account.db")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
        assert "everything is in order" in demo.cli("mailbox", "verify", ALICE)
