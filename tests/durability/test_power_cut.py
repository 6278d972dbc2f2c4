"""Pulling the plug: what is in the backing file of a loop-mounted ext4 is what a power cut leaves.

kill -9 does not test durability, because the page cache survives it.  Here the image is copied at
a random moment under load; every message acknowledged before the copy began must be on the copy
(faults, section 4.2).  `MAILSTACK_POWER_CUTS` asks for more rounds.
"""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.kit import debian
from tests.kit.accounting import Recorder, Sent, check
from tests.kit.counting import ALICE, BOB, HOMES, MIX, count, settle
from tests.kit.demo import Demo, running_demo
from tests.kit.process import mailstack

pytestmark = [pytest.mark.root]

CUTS = int(os.environ.get("MAILSTACK_POWER_CUTS", "3"))
#: Sparse; mail is only taken while there are 500 MB free.
IMAGE_OCTETS = 1 << 30


@dataclass(frozen=True)
class Cut:
    """A copy of the disk, and what had been acknowledged before it was begun."""

    image: Path
    acknowledged: frozenset[str]


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


def cut_under_load(demo: Demo, image: Path, folder: Path) -> tuple[list[Sent], list[Cut]]:
    chance = random.Random(20)
    recorder = Recorder(demo.host, demo.port("mx"))
    threads = recorder.start(8, MIX, prefix="cut")
    cuts = []
    for number in range(CUTS):
        time.sleep(1.0 + chance.random() * 1.5)
        acknowledged = frozenset(sent.mark for sent in recorder.acknowledged)
        copy = folder / f"cut{number}.img"
        must("cp", "--sparse=always", image, copy)
        cuts.append(Cut(copy, acknowledged))
    recorder.stop.set()
    for thread in threads:
        thread.join(60)
    return recorder.sent, cuts


def test_everything_acknowledged_survives_a_power_cut(disk: tuple[Path, Path], tmp_path: Path) -> None:
    image, at = disk
    with mounted(image, at), running_demo(at / "demo", "--outside", "127.0.0.1:9") as demo:
        sent, cuts = cut_under_load(demo, image, tmp_path)
    assert len(cuts[-1].acknowledged) > 20
    usable = 0
    for cut in cuts:
        usable += recovers(cut, sent, at)
    assert usable, "no copy could be mounted"


def is_torn(image: Path, at: Path) -> bool:
    """Copied while the kernel wrote: no power cut looks like that, ext4 says so after its replay."""
    try:
        with mounted(image, at):
            pass
    except AssertionError:
        return True
    return subprocess.run(["e2fsck", "-f", "-n", image], capture_output=True, check=False).returncode != 0


def recovers(cut: Cut, sent: list[Sent], at: Path) -> bool:
    if is_torn(cut.image, at):
        return False
    must("mount", "-o", "loop", cut.image, at)
    try:
        config = at / "demo" / "mailstack.toml"
        repaired = debian.run(mailstack("--config", config, "verify", "--repair"))
        assert repaired.returncode == 0, repaired.stdout
        (at / "demo" / "demo.json").unlink()  # of the run that was cut off
        with running_demo(at / "demo") as demo:
            settle(demo)
            before = [s if s.mark in cut.acknowledged else replace(s, accept_id="") for s in sent]
            check(before, count(demo), HOMES)
            uids_only_grow(demo)
    finally:
        must("umount", at)
    return True


def uids_only_grow(demo: Demo) -> None:
    for address in (ALICE, BOB):
        with demo.imap(address) as client:
            client.select("INBOX", readonly=True)
            _, found = client.fetch("1:*", "(UID RFC822.SIZE)")
            uids = [int(line.split(b"UID ")[1].split()[0].rstrip(b")")) for line in found if line]
            assert uids == sorted(set(uids))
            assert all(b"RFC822.SIZE 0" not in line for line in found if line)


def test_a_single_message_is_on_the_disk_when_its_250_comes(disk: tuple[Path, Path], tmp_path: Path) -> None:
    # Without other load no later sync helps: this is what fails when one sync is left out.
    image, at = disk
    cuts = []
    with mounted(image, at), running_demo(at / "demo", "--outside", "127.0.0.1:9") as demo:
        recorder = Recorder(demo.host, demo.port("mx"))
        for recipient in (ALICE, "gone@example.test", BOB):
            recorder.send(f"warm-{recipient}", [recipient])
        time.sleep(1)
        for number, recipient in enumerate((ALICE, "gone@example.test", BOB)):
            mark = f"single-{number}"
            assert recorder.send(mark, [recipient]).accept_id
            copy = tmp_path / f"{mark}.img"
            must("cp", "--sparse=always", image, copy)
            cuts.append((mark, copy, recipient))
    for mark, copy, recipient in cuts:
        with mounted(copy, at):
            state = at / "demo" / "state"
            where = state / "queue" / "messages"
            if recipient != "gone@example.test":
                where = state / "mail" / "example.test" / recipient.partition("@")[0] / "Maildir" / "new"
            found = [
                path for path in where.rglob("*") if path.is_file() and mark.encode() in path.read_bytes()
            ]
            assert len(found) == 1, f"{mark} was acknowledged and is not in {where}"
            assert b"This is single" in found[0].read_bytes()
            if recipient == "gone@example.test":
                assert row_exists(state / "queue" / "queue.db", found[0].name)


def row_exists(database: Path, queue_id: str) -> bool:
    with closing(sqlite3.connect(database)) as connection:
        return bool(connection.execute("SELECT 1 FROM message WHERE id = ?", (queue_id,)).fetchall())
