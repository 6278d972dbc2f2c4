"""POP3 on real mailboxes: every odd message in full, kill -9 in QUIT, two hundred thousand messages."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mailstack.mailbox import MailStore
from mailstack.mailbox.recover import rebuild
from mailstack.mailbox.store import Account
from mailstack.model.maildrop import Maildrop
from tests.kit.bare_pop3 import BarePop3
from tests.kit.bare_session import ACCOUNT

ROOT = Path(__file__).resolve().parents[2]
ODD = {
    "nested": b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(1000)
    ),
    "no boundary": b"Content-Type: multipart/mixed; boundary=\n\n--\n.\n----",
    "long subject": b"Subject: " + b"x" * 1_000_000 + b"\n\nbody",
    "folded": b"Subject: x\n" + b" folded\n" * 1_000 + b"\nbody\n",
    "only a header": b"Subject: x",
    "no header": b"\n.\n..\n...\n",
    "binary": bytes(range(256)) * 100,
    "carriage returns": b"a: b\r\r\n\r\r\n\rtext\r.\r\n.\r",
    "dots": b"\r\n.\r\n" * 5_000,
    "one line": b"Subject: x\n\n" + b"." * 3_000_000,
    "empty": b"",
    "one line feed": b"\n",
    "control": b"Subject: a\x0bb\x0c\x1c\xc2\x85\xe2\x80\xa8c\n\n\0\n",
    "edge of a piece": b"a: b\r\n\r\n" + b"x" * (262_144 - 10) + b"\r\n.\r\n..\r\n",
    "behind the edge": b"a: b\r\n\r\n" + b"x" * (262_144 - 9) + b"\r\n.\r\n..\r\n",
}


def open_store(root: Path) -> MailStore:
    return MailStore(root, now=time.time, random_bytes=os.urandom)


def fill(account: Account, messages: dict[str, bytes]) -> None:
    """As another program would, without an fsync for each."""
    account.folders()
    folder = account.core.maildir / "cur"
    for number, data in enumerate(messages.values()):
        (folder / f"{1_700_000_000 + number}.M{number}.host:2,").write_bytes(data)


def test_list_says_what_retr_sends_for_every_odd_message(tmp_path: Path) -> None:
    # POP7, POP10 with the M rows
    store = open_store(tmp_path)
    account = store.account(ACCOUNT.address)
    fill(account, ODD)
    session = BarePop3(account).log_in()
    lines = session.ask(b"LIST").split(b"\r\n")[1:-2]
    sizes = [int(line.split()[1]) for line in lines]
    assert len(sizes) == len(ODD)
    total = int(session.ask(b"STAT").split()[2])
    for number, name in enumerate(ODD, 1):
        answer = session.ask(b"RETR %d" % number)
        status, _, wire = answer.partition(b"\r\n")
        assert status == b"+OK %d octets" % sizes[number - 1], name
        body = unstuffed(wire)
        assert len(body) == sizes[number - 1], name
        opened = account.open(account.status("INBOX").id, session.session.drop.uids[number - 1])
        stored = opened.read()
        assert body in (stored, stored + b"\r\n"), name
        top = unstuffed(session.ask(b"TOP %d 2000000000" % number).partition(b"\r\n")[2])
        assert top == body, name
    assert total == sum(sizes)
    store.close()


def unstuffed(wire: bytes) -> bytes:
    lines = wire.split(b"\r\n")
    assert lines[-2:] == [b".", b""] and b"." not in lines[:-2]
    return b"".join(line.removeprefix(b".") + b"\r\n" for line in lines[:-2])


def unique_ids(drop: Maildrop) -> list[bytes]:
    return [drop.unique_id(at) for at in range(len(drop))]


CHILD = """
import os, sys, time
from pathlib import Path
from mailstack.mailbox import MailStore
from tests.kit.bare_pop3 import BarePop3
from tests.kit.bare_session import ACCOUNT

account = MailStore(Path(sys.argv[1]), now=time.time, random_bytes=os.urandom).account(ACCOUNT.address)
expunge = account.expunge

def slowly(folder_id, uids):
    gone = expunge(folder_id, uids)
    print(len(gone), flush=True)
    return gone

account.expunge = slowly
session = BarePop3(account).log_in()
session.ask(b"\\r\\n".join(b"DELE %d" % number for number in range(1, int(sys.argv[2]) + 1)))
session.ask(b"QUIT")
sys.stdin.read()
"""


def test_a_kill_in_quit_leaves_each_message_deleted_or_not(tmp_path: Path) -> None:
    # POP3
    count = 2_500
    store = open_store(tmp_path)
    account = store.account(ACCOUNT.address)
    fill(account, {str(number): b"Subject: %d\r\n\r\n" % number for number in range(count)})
    before = unique_ids(account.maildrop(["INBOX"]))
    store.close()
    command = [sys.executable, "-c", CHILD, str(tmp_path), str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout is not None
        said = int(child.stdout.readline())
        child.kill()
        child.wait()
    store = open_store(tmp_path)
    account = store.account(ACCOUNT.address)
    account.folders()
    store.flush()
    drop = account.maildrop(["INBOX"])
    after = unique_ids(drop)
    assert said > 0 and len(after) <= count - said
    assert after == before[count - len(after) :]
    assert len(list((account.core.maildir / "cur").iterdir())) == len(after)
    for at in range(0, len(drop), 97):
        account.open(drop.folders[0], drop.uids[at]).close()
    store.close()


def test_quit_says_that_nothing_was_removed_after_a_rebuild(tmp_path: Path) -> None:
    # RFC 1939 section 6
    store = open_store(tmp_path)
    account = store.account(ACCOUNT.address)
    fill(account, {"one": b"Subject: 1\r\n\r\n", "two": b"Subject: 2\r\n\r\n"})
    session = BarePop3(account).log_in()
    session.ask(b"DELE 1")
    rebuild(store, ACCOUNT.address)
    assert session.ask(b"QUIT") == b"-ERR [SYS/TEMP] Some deleted messages were not removed\r\n"
    assert account.status("INBOX").messages == 2
    session = BarePop3(account).log_in()
    session.ask(b"DELE 1")
    assert session.ask(b"QUIT") == b"+OK Goodbye\r\n"
    assert account.status("INBOX").messages == 1
    store.close()


@pytest.mark.slow
def test_two_hundred_thousand_messages_cost_little_time_and_memory(tmp_path: Path) -> None:
    # POP9
    store = open_store(tmp_path)
    fill(store.account(ACCOUNT.address), {str(number): b"a: b\r\n\r\n" for number in range(200_000)})
    store.account(ACCOUNT.address).maildrop(["INBOX"])
    store.close()
    script = (
        "import os, sys, time, resource; from pathlib import Path; from mailstack.mailbox import MailStore;"
        "from tests.kit.bare_pop3 import BarePop3; from tests.kit.bare_session import ACCOUNT;"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "store = MailStore(Path(sys.argv[1]), now=time.time, random_bytes=os.urandom);"
        "account = store.account(ACCOUNT.address); account.quota();"
        "base = peak(); begin = time.perf_counter();"
        "session = BarePop3(account).log_in(); print(time.perf_counter() - begin, peak() - base);"
        "print(session.session.count); store.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    took, kib, count = done.stdout.split()
    assert count == "200000"
    assert float(took) < 10  # 3 s on a quiet machine
    assert int(kib) < 51_200
