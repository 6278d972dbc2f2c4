"""What was acknowledged is on the disk when the power goes (faults, section 4.2).

The store works on a loop-mounted image; at random moments its backing file is copied:
that is what a power cut would have left.  The copy is mounted and looked at.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailstack.mailbox import recover
from mailstack.mailbox.store import MailStore
from mailstack.model.address import Address
from mailstack.model.mailbox import Flags
from tests.kit.clock import Clock
from tests.kit.process import eventually

pytestmark = [pytest.mark.root]

CUTS = int(os.environ.get("MAILSTACK_POWER_CUTS", "3"))
ALICE = Address.parse("alice@example.test")

PROGRAM = textwrap.dedent(
    """
    import os, sys, threading, time
    from pathlib import Path
    from mailstack.mailbox import MailStore
    from mailstack.mailbox.options import MailboxOptions
    from mailstack.model.address import Address
    from mailstack.model.mailbox import *
    options = MailboxOptions(flag_names_delay_s=0.05)
    root = Path(sys.argv[1])
    store = MailStore(root, now=time.time, random_bytes=os.urandom, boot="before", options=options)
    account = store.account(Address.parse("alice@example.test"))
    inbox = account.status("INBOX").id
    def acknowledge(*words): os.write(1, (" ".join(map(str, words)) + "\\n").encode())
    def text(mark): return b"Subject: %s\\r\\n\\r\\n%s\\r\\n" % (mark.encode(), mark.encode() * 300)
    def work(name):
        n = 0
        while True:
            n += 1
            mark = f"{name}n{n}"
            delivery = account.deliver("INBOX", NewMessage(text(mark)), base_name=f"1.{mark}")
            acknowledge("got", mark, delivery.uid)
            if n % 3 == 0:
                (uid,) = account.append("INBOX", [NewMessage(text(mark + "a"))]).uids
                acknowledge("got", mark + "a", uid)
                account.change_flags(inbox, [uid], "+", flags=Flags.FLAGGED, keywords=["work"])
                acknowledge("flagged", mark + "a", uid)
            if n % 5 == 0:
                (uid,) = account.append("INBOX", [NewMessage(text(mark + "x"))]).uids
                account.expunge(inbox, [uid])
                acknowledge("expunged", mark + "x", uid)
            if n % 7 == 0:
                (uid,) = account.append("INBOX", [NewMessage(text(mark + "m"))]).uids
                account.move(inbox, [uid], "Archive")
                acknowledge("moved", mark + "m", uid)
    for name in ("p", "q"):
        threading.Thread(target=work, args=(name,)).start()
    """
)


def must(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"loop mounts do not work here: {done.stderr}")


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[None]:
    at.mkdir(exist_ok=True)
    must("mount", "-o", "loop", image, at)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", at], check=True)  # also when a failed check left files open


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mkfs.ext4"), reason="needs root and mkfs.ext4")
def test_what_was_acknowledged_survives_a_power_cut(tmp_path: Path, clock: Clock) -> None:
    # F15, promise P1
    image, at = tmp_path / "disk.img", tmp_path / "disk"
    with image.open("wb") as stream:
        stream.truncate(96 * 1024 * 1024)
    must("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
    cuts = []
    chance = random.Random(7)
    acknowledged: list[str] = []
    with mounted(image, at):
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(at / "mail")], stdout=subprocess.PIPE, text=True
        )
        try:
            assert child.stdout is not None
            reader = threading.Thread(target=lambda: acknowledged.extend(child.stdout or ()), daemon=True)
            reader.start()
            eventually(lambda: len(acknowledged) > 5)
            for number in range(CUTS):
                time.sleep(0.3 + chance.random() * 0.4)
                child.send_signal(signal.SIGSTOP)  # so that the copy is of one moment
                time.sleep(0.02)
                copy = tmp_path / f"cut{number}.img"
                known = list(acknowledged)
                subprocess.run(["cp", "--sparse=always", image, copy], check=True)
                child.send_signal(signal.SIGCONT)
                cuts.append((copy, known))
        finally:
            child.kill()
            child.wait()
            reader.join()
            assert child.stdout is not None
            child.stdout.close()
    for number, (copy, known) in enumerate(cuts):
        assert len(known) > 5
        with mounted(copy, tmp_path / f"at{number}"):
            check(tmp_path / f"at{number}" / "mail", known, clock)


def check(root: Path, known: list[str], clock: Clock) -> None:
    store = MailStore(root, now=clock, random_bytes=os.urandom, boot="after")
    account = store.account(ALICE)
    inbox = account.status("INBOX")
    there: dict[str, int] = {}
    rows = {row.uid: row for row in account.rows(inbox.id)}
    assert list(rows) == sorted(rows)
    for uid in rows:
        there[marked(account, inbox.id, uid)] = uid
    assert len(there) == len(rows), "a message is there twice"
    archive = account.status("Archive").id
    moved = {marked(account, archive, row.uid) for row in account.rows(archive)}
    given: dict[int, str] = {}
    for line in known:
        what, mark, uid = line.split()
        given[int(uid)] = mark
        match what:
            case "got":
                assert mark in there, f"{line.strip()} was lost"
            case "flagged":
                row = rows[there[mark]]
                assert (row.uid, row.flags, row.keywords) == (int(uid), Flags.FLAGGED, ("work",)), line
            case "expunged":
                assert mark not in there, f"{line.strip()} came back"
            case "moved":
                assert mark in moved, f"{line.strip()} was lost"
                assert mark not in there, f"{line.strip()} is in both"
    # A UID stands for the message it was given to, or for none.
    assert all(given.get(uid, mark) == mark for mark, uid in there.items())
    assert inbox.uid_next > max(given)
    findings = recover.verify(store, ALICE, repair=True)
    assert not [each for each in findings if not each.repaired], findings
    store.flush()
    store.close()
    again = MailStore(root, now=clock, random_bytes=os.urandom, boot="after")
    assert recover.verify(again, ALICE, repair=False) == []
    again.close()


def marked(account, folder_id: int, uid: int) -> str:  # type: ignore[no-untyped-def]
    opened = account.open(folder_id, uid)
    data = opened.read()
    opened.close()
    header, _, body = data.partition(b"\r\n\r\n")
    mark = header.removeprefix(b"Subject: ")
    assert body == mark * 300 + b"\r\n", "a message is not whole"
    return mark.decode()
