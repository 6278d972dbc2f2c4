"""Pulling the plug: what is in the backing file of a loop-mounted ext4 is what a power cut leaves.

kill -9 does not test durability, because the page cache survives it.  Here the image is copied at
a random moment under load; every message acknowledged before the copy began must be on the copy
(F15; faults, section 4.2).  `make test-slow` cuts more often: `MAILSTACK_POWER_CUTS` says how often.
That the test would notice is tested too: with one kind of sync taken away it must fail.
"""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from tests.kit import debian
from tests.kit.accounting import Recorder, Sent
from tests.kit.counting import ALICE, BOB, GONE
from tests.kit.demo import Demo, running_demo
from tests.kit.process import descendants, eventually, mailstack
from tests.kit.shapes import FRIEND, REFUSED, REPLIES, SHAPES, Loop, loop, submit
from tests.kit.smtp_sink import Received, SmtpSink

pytestmark = [pytest.mark.root]

CUTS = int(os.environ.get("MAILSTACK_POWER_CUTS", "20"))
#: Sparse; mail is only taken while there are 500 MB free.
IMAGE_OCTETS = 1 << 30
#: The kernel may write in time what nobody asked it to, but not each time.
MAX_TRIES = 5
#: Processes that find it on their path leave syncs out.
LOSSY = Path(__file__).parents[1] / "kit" / "lossy"
OUTGOING = {"submitted": FRIEND, "refused": REFUSED}


@dataclass(frozen=True)
class Cut:
    """A copy of the disk, and what was known on both sides of it.

    Attributes:
        acknowledged: marks with a 250 before the copy was begun.
        arrived: what the rest of the world had taken when the copy was done.
    """

    image: Path
    acknowledged: frozenset[str]
    arrived: tuple[Received, ...]


def must(*command: str | Path) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[None]:
    must("mount", "-o", "loop", image, at)
    try:
        yield
    finally:
        must("umount", at)


@pytest.fixture
def disk(tmp_path: Path) -> tuple[Path, Path]:
    if os.geteuid() != 0:
        pytest.skip("loop mounts need root")
    for program in ("mkfs.ext4", "mount"):
        debian.need(program)
    image, at = tmp_path / "disk.img", tmp_path / "disk"
    at.mkdir()
    with image.open("wb") as stream:
        stream.truncate(IMAGE_OCTETS)
    must("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
    try:
        with mounted(image, at):
            at.chmod(0o755)
    except AssertionError as error:
        pytest.skip(f"loop mounts do not work here: {error}")
    return image, at


# -- under load: in, out, forwards, reports


@contextmanager
def stopped(demo: Demo) -> Iterator[None]:
    """Nobody writes meanwhile: a copy takes time, and must not show a later act without an earlier one."""
    processes = [psutil.Process(demo.process.pid), *descendants(demo.process.pid)]
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # a worker that was being replaced
            process.suspend()
    try:
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def cut_under_load(sent: Loop, image: Path, folder: Path, cuts: int) -> list[Cut]:
    """Mail comes, leaves and is bounced while the disk is copied again and again."""
    chance = random.Random(20)
    made = []
    with sent.life() as demo:
        recorder = Recorder(demo.host, demo.port("mx"))
        threads = recorder.start(8, list(SHAPES.values()), prefix="cut")
        outgoing: list[Sent] = []
        eventually(lambda: len(recorder.acknowledged) > 20, explain=demo.log)
        for number in range(cuts):
            time.sleep(0.3 + chance.random())
            outgoing += [submit(demo, f"{name}-{number}", to) for name, to in OUTGOING.items()]
            acknowledged = frozenset(one.mark for one in [*recorder.acknowledged, *outgoing] if one.accept_id)
            copy = folder / f"cut{number}.img"
            with stopped(demo):
                time.sleep(0.2)  # what the kernel is writing already is written; else the copy is torn
                must("cp", "--sparse=always", image, copy)
            made.append(Cut(copy, acknowledged, tuple(sent.sink.messages)))
        recorder.stop.set()
        for thread in threads:
            thread.join(60)
    sent.sent = [*recorder.sent, *outgoing]
    return made


def check_cuts(disk: tuple[Path, Path], folder: Path, cuts: int) -> None:
    image, at = disk
    with mounted(image, at), loop(at / "demo") as sent:
        made = cut_under_load(sent, image, folder, cuts)
        everything = sent.sent
    usable = [recovers(cut, everything, at) for cut in made]
    assert any(usable), "no copy could be mounted"


def test_everything_acknowledged_survives_a_power_cut(disk: tuple[Path, Path], tmp_path: Path) -> None:
    check_cuts(disk, tmp_path, 2)


@pytest.mark.slow
def test_everything_acknowledged_survives_many_power_cuts(disk: tuple[Path, Path], tmp_path: Path) -> None:
    check_cuts(disk, tmp_path, CUTS)


def is_torn(image: Path, at: Path) -> bool:
    """Copied while the kernel wrote: no power cut looks like that, ext4 says so after its replay."""
    try:
        with mounted(image, at):
            pass
    except AssertionError:
        return True
    return subprocess.run(["e2fsck", "-f", "-n", image], capture_output=True, check=False).returncode != 0


def recovers(cut: Cut, sent: list[Sent], at: Path) -> bool:
    """Starts on the copy, lets the queue drain, and applies the accounting rule."""
    if is_torn(cut.image, at):
        return False
    must("mount", "-o", "loop", cut.image, at)
    try:
        config = at / "demo" / "mailstack.toml"
        repaired = debian.run(mailstack("--config", config, "verify", "--repair"))
        assert repaired.returncode == 0, repaired.stdout
        with SmtpSink(replies=REPLIES) as sink:
            # What the world had before and is sent again was cut between its 250 and our COMMIT.
            sink.all += cut.arrived
            after = Loop(at / "demo", sink)
            after.sent = [one if one.mark in cut.acknowledged else replace(one, accept_id="") for one in sent]
            with after.life() as demo:
                after.check(demo, may_come_twice=True)
                uids_only_grow(demo)
    finally:
        must("umount", at)
        cut.image.unlink()
    return True


def uids_only_grow(demo: Demo) -> None:
    for address in (ALICE, BOB):
        with demo.imap(address) as client:
            client.select("INBOX", readonly=True)
            _, found = client.fetch("1:*", "(UID RFC822.SIZE)")
            uids = [int(line.split(b"UID ")[1].split()[0].rstrip(b")")) for line in found if line]
            assert uids == sorted(set(uids))
            assert all(b"RFC822.SIZE 0" not in line for line in found if line)


# -- alone: without other load no later sync helps, so this fails when one is left out


def lost_after_250(
    disk: tuple[Path, Path], folder: Path, recipients: Sequence[str], environ: Mapping[str, str] | None = None
) -> list[str]:
    """Recipients whose message was not on the disk when its 250 had come."""
    image, at = disk
    nowhere = ("--outside", "127.0.0.1:9")
    cuts = []
    with mounted(image, at), running_demo(at / "demo", *nowhere, environ=environ) as demo:
        recorder = Recorder(demo.host, demo.port("mx"))
        for recipient in dict.fromkeys(recipients):
            recorder.send(f"warm-{recipient}", [recipient])
        time.sleep(1)
        for number, recipient in enumerate(recipients):
            mark = f"single-{number}"
            assert recorder.send(mark, [recipient]).accept_id
            copy = folder / f"{mark}.img"
            must("cp", "--sparse=always", image, copy)
            cuts.append((mark, copy, recipient))
    lost = []
    for mark, copy, recipient in cuts:
        with mounted(copy, at):
            if not is_kept(at / "demo" / "state", mark, recipient):
                lost.append(recipient)
        copy.unlink()
    return lost


def is_kept(state: Path, mark: str, recipient: str) -> bool:
    """True when the message is whole where it belongs, with its row if it is queued."""
    where = state / "queue" / "messages"
    if recipient != GONE:
        where = state / "mail" / "example.test" / recipient.partition("@")[0] / "Maildir" / "new"
    found = [path for path in where.rglob("*") if path.is_file() and mark.encode() in path.read_bytes()]
    if len(found) != 1 or f"This is {mark}".encode() not in found[0].read_bytes():
        return False
    return recipient != GONE or row_exists(state / "queue" / "queue.db", found[0].name)


def row_exists(database: Path, queue_id: str) -> bool:
    with closing(sqlite3.connect(database)) as connection:
        return bool(connection.execute("SELECT 1 FROM message WHERE id = ?", (queue_id,)).fetchall())


def test_a_single_message_is_on_the_disk_when_its_250_comes(disk: tuple[Path, Path], tmp_path: Path) -> None:
    assert lost_after_250(disk, tmp_path, (ALICE, GONE, BOB)) == []


@pytest.mark.parametrize(
    ("sync", "recipient"),
    [("normal", GONE), ("folder", ALICE), pytest.param("file", ALICE, marks=pytest.mark.slow)],
)
def test_it_would_be_noticed_if_a_sync_were_missing(
    disk: tuple[Path, Path], tmp_path: Path, sync: str, recipient: str
) -> None:
    environ = {"PYTHONPATH": str(LOSSY), "MAILSTACK_LOSE": sync}
    for _ in range(MAX_TRIES):
        if lost_after_250(disk, tmp_path, [recipient] * 4, environ):
            return
    raise AssertionError("each time all of them were on the disk")
