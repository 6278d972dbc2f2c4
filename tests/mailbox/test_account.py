"""account.db: numbers that never repeat, whatever happens to the file."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from mailstack.mailbox import account as account_module
from mailstack.mailbox import disposable
from mailstack.mailbox.account import BLOCK
from mailstack.mailbox.counting import read_witness
from mailstack.mailbox.store import Account, MailStore
from mailstack.model.address import Address
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import Flags, MailboxError, NewMessage
from mailstack.model.ranges import numbers
from tests.kit.clock import Clock
from tests.kit.process import eventually

MESSAGE = b"Subject: hello\r\n\r\n"
ALICE = Address.parse("alice@example.test")


def deliver(account: Account, *numbers: int) -> list[int]:
    return [account.deliver("INBOX", NewMessage(MESSAGE), base_name=f"1.n{n}").uid for n in numbers]


def uids(account: Account) -> list[int]:
    return [row.uid for row in account.rows(account.status("INBOX").id)]


def save(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.glob("account.db*")}


def put_back(home: Path, saved: dict[str, bytes], *, same_file: bool = False) -> None:
    for path in home.glob("account.db*"):
        if not (same_file and path.name == "account.db"):
            path.unlink()
    for name, data in saved.items():
        (home / name).write_bytes(data)


def reopened(root: Path, clock: Clock, boot: str = "first boot") -> tuple[MailStore, Account]:
    store = MailStore(root, now=clock, random_bytes=os.urandom, boot=boot)
    return store, store.account(ALICE)


def test_uids_and_modseqs_grow_across_blocks(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_module, "BLOCK", 3)
    assert deliver(account, *range(10)) == list(range(1, 11))
    inbox = account.status("INBOX")
    account.append("INBOX", [NewMessage(MESSAGE)] * 20)
    for n in range(8):
        account.change_flags(inbox.id, [1], "+" if n % 2 else "-", flags=Flags.SEEN)
        account.change_flags(inbox.id, [1], "-" if n % 2 else "+", flags=Flags.SEEN)
    assert uids(account) == list(range(1, 31))
    modseqs = [row.modseq for row in account.rows(inbox.id)]
    assert account.highest_modseq(inbox.id) == max(modseqs)


def test_rows_the_power_took_are_found_again_under_new_uids(
    store: MailStore, account: Account, root: Path, home: Path, clock: Clock
) -> None:
    # Promise: faults, section 2, step 8.  The reservation was synced, the rows were not.
    deliver(account, 0)
    inbox = account.status("INBOX")
    saved = save(home)
    lost = deliver(account, 1, 2, 3)
    seen_modseq = account.highest_modseq(inbox.id)
    store.close()
    put_back(home, saved)
    other, account = reopened(root, clock, "second boot")
    after = account.status("INBOX")
    found = uids(account)
    assert after.uid_validity == inbox.uid_validity
    assert len(found) == 4
    assert found[0] == 1
    assert not set(found[1:]) & set(lost)
    assert found[1] > BLOCK
    assert after.highest_modseq > seen_modseq
    # A client that had seen the lost UIDs is told that they are gone (RFC 7162).
    assert set(lost) <= numbers(account.expunged(after.id, since_modseq=seen_modseq))
    assert deliver(account, 4)[0] == found[-1] + 1
    other.close()


def test_a_boot_alone_loses_nothing_but_numbers(
    store: MailStore, account: Account, root: Path, clock: Clock
) -> None:
    deliver(account, 0, 1)
    store.close()
    other, account = reopened(root, clock, "second boot")
    assert uids(account) == [1, 2]
    uid_next = account.status("INBOX").uid_next
    assert uid_next == 1 + BLOCK + 1
    other.close()
    other, account = reopened(root, clock, "second boot")
    assert account.status("INBOX").uid_next == uid_next
    other.close()


@pytest.mark.parametrize("same_file", [False, True])
def test_an_older_copy_of_the_database_gives_a_new_uidvalidity(
    store: MailStore, account: Account, root: Path, home: Path, clock: Clock, same_file: bool
) -> None:
    # F24: the copy does not know which UIDs were given out since
    deliver(account, 0)
    before = account.status("INBOX")
    store.close()
    saved = save(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(account_module, "BLOCK", 1)
        deliver(account, *range(1, BLOCK // 100))
        account.core.db.reserve(before.id, 5)
    store.close()
    put_back(home, saved, same_file=same_file)
    other, account = reopened(root, clock)
    after = account.status("INBOX")
    assert after.uid_validity > before.uid_validity
    assert after.messages == BLOCK // 100
    other.close()


def test_numbers_from_before_a_lost_database_lead_to_no_message(account: Account, home: Path) -> None:
    # a POP3 or IMAP session that goes on would remove another message
    held = deliver(account, *range(5))
    inbox = account.status("INBOX").id
    account.expunge(inbox, held[:2])
    account.core.worker.flush()
    put_back(home, {})
    with pytest.raises(MailboxError, match="gone"):
        account.expunge(inbox, held)
    assert account.status("INBOX").messages == 3


def test_numbers_an_older_copy_does_not_know_lead_to_no_message(
    account: Account, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_module, "BLOCK", 1)
    deliver(account, 0)
    inbox = account.status("INBOX").id
    account.core.close()
    saved = save(home)
    account.core.db.reserve(inbox, 5)
    held = deliver(account, *range(1, 5))
    account.expunge(inbox, held[:2])
    account.core.worker.flush()
    account.core.close()
    put_back(home, saved)
    assert account.status("INBOX").messages == 3
    with pytest.raises(MailboxError, match="gone"):
        account.expunge(inbox, held)
    assert account.expunge(account.status("INBOX").id, held) == []
    assert account.status("INBOX").messages == 3


def test_what_waits_for_a_database_that_is_replaced_is_not_written_to_the_old_one(
    account: Account, home: Path
) -> None:
    # "mailbox rebuild" and "verify --repair" hold the lock while they replace it
    deliver(account, 0)
    inbox = account.status("INBOX").id
    holder = sqlite3.connect(home / "account.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    failures: list[str] = []

    def mark() -> None:
        try:
            account.change_flags(inbox, [1], "+", flags=Flags.FLAGGED)
        except MailboxError as failure:
            failures.append(failure.text)

    thread = threading.Thread(target=mark)
    thread.start()
    with (home / "turn").open("rb") as turn:
        eventually(lambda: not is_free(turn.fileno()))
    for path in home.glob("account.db*"):
        path.rename(home / f"old-{path.name}")
    holder.close()
    thread.join(20)
    assert failures == ["the folder is gone"]


def is_free(fd: int) -> bool:
    """Nobody has this file locked."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(fd, fcntl.LOCK_UN)
    return True


def test_a_lost_database_is_made_from_the_maildir(
    store: MailStore, account: Account, root: Path, home: Path, clock: Clock
) -> None:
    # P6
    deliver(account, 0)
    account.append("Sent", [NewMessage(MESSAGE, flags=Flags.SEEN | Flags.ANSWERED, internal_at=5000)])
    account.create("a/b", special_use="\\Important")
    before = {name: account.status(name) for name in ("INBOX", "Sent", "a/b")}
    store.close()
    for path in home.glob("account.db*"):
        path.unlink()
    clock.advance(-1_000_000)  # even when the clock is wrong
    other, account = reopened(root, clock)
    after = {name: account.status(name) for name in before}
    assert {name: status.messages for name, status in after.items()} == {"INBOX": 1, "Sent": 1, "a/b": 0}
    for name in before:
        assert after[name].uid_validity > before[name].uid_validity
    assert after["Sent"].object_id == before["Sent"].object_id
    (row,) = account.rows(after["Sent"].id)
    assert (row.flags, row.internal_at) == (Flags.SEEN | Flags.ANSWERED, 5000)
    found = {entry.name: entry for entry in account.folders()}
    assert found["Spam"].special_use == "\\Junk"
    assert found["a/b"].subscribed
    other.close()


def test_a_database_removed_while_it_is_open_is_noticed(account: Account, home: Path) -> None:
    deliver(account, 0, 1)
    before = account.status("INBOX")
    for path in home.glob("account.db*"):
        path.unlink()
    assert deliver(account, 2)
    after = account.status("INBOX")
    assert after.uid_validity > before.uid_validity
    assert after.messages == 3


def test_a_leftover_wal_of_a_lost_database_is_not_used(
    store: MailStore, account: Account, root: Path, home: Path, clock: Clock
) -> None:
    deliver(account, 0)
    wal = (home / "account.db-wal").read_bytes()
    store.close()
    (home / "account.db").unlink()
    (home / "account.db-wal").write_bytes(wal)
    (home / "account.db-shm").write_bytes(b"\0" * 32_768)
    other, account = reopened(root, clock)
    assert account.status("INBOX").messages == 1
    other.close()


@pytest.mark.parametrize("damage", ["junk", "truncated", "header"])
def test_a_damaged_database_is_refused_in_words(
    store: MailStore, account: Account, root: Path, home: Path, clock: Clock, damage: str
) -> None:
    # F23
    deliver(account, 0)
    store.close()
    data = (home / "account.db").read_bytes()
    broken = {
        "junk": random.Random(7).randbytes(len(data)),
        "truncated": data[:6000],
        "header": b"\0" * 100 + data[100:],
    }[damage]
    (home / "account.db").write_bytes(broken)
    other, account = reopened(root, clock)
    with pytest.raises(TemporaryFailure, match=r"mailstack mailbox rebuild alice@example\.test"):
        account.status("INBOX")
    with pytest.raises(TemporaryFailure, match="rebuild"):
        deliver(account, 1)
    other.close()
    assert (home / "account.db").read_bytes() == broken


def test_a_newer_schema_is_refused(
    store: MailStore, account: Account, root: Path, home: Path, clock: Clock
) -> None:
    deliver(account, 0)
    store.close()
    connection = sqlite3.connect(home / "account.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    other, account = reopened(root, clock)
    with pytest.raises(TemporaryFailure, match="install the newer mailstack"):
        account.status("INBOX")
    other.close()


def test_a_missing_shm_and_a_lost_wal_are_no_trouble(
    store: MailStore, account: Account, root: Path, home: Path, clock: Clock
) -> None:
    # F23: the WAL held rows; their files are found
    deliver(account, 0, 1)
    saved = save(home)
    store.close()
    for lost in ("account.db-shm", "account.db-wal"):
        put_back(home, {name: data for name, data in saved.items() if name != lost})
        other, account = reopened(root, clock, lost)
        assert account.status("INBOX").messages == 2
        other.close()


def test_a_held_lock_is_a_temporary_failure(store: MailStore, account: Account, home: Path) -> None:
    # F35
    deliver(account, 0)
    with account.core.db.write("test", durable_commit=False) as connection:
        connection.execute("SELECT 1")
    assert account.core.db._writer is not None
    account.core.db._writer.execute("PRAGMA busy_timeout = 50")
    holder = sqlite3.connect(home / "account.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(TemporaryFailure, match="locked"):
        deliver(account, 1)
    # P7: reading goes on, also of what cannot be indexed now
    (home / "Maildir" / "new" / "1.other").write_bytes(MESSAGE)
    inbox = account.status("INBOX")
    assert inbox.messages == 1
    assert account.claim_recent(inbox.id) == 1
    assert len(account.texts(inbox.id, [1])) == 1
    account.open(inbox.id, 1).close()
    assert store.last_trouble is not None
    store.last_trouble = None
    holder.execute("ROLLBACK")
    holder.close()
    assert len(deliver(account, 1)) == 1
    assert account.status("INBOX").messages == 3


def test_a_stopped_process_that_has_the_turn_is_not_waited_for_for_ever(
    account: Account, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(account, 0)
    monkeypatch.setattr(account_module, "TURN_TIMEOUT_S", 0.05)
    with (home / "turn").open("wb") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        with pytest.raises(TemporaryFailure, match="locked"):
            deliver(account, 1)
        assert account.status("INBOX").messages == 1
    deliver(account, 1)


def test_a_stopped_process_that_opens_a_mailbox_is_not_waited_for_for_ever(
    store: MailStore, account: Account, root: Path, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(account, 0)
    store.close()
    monkeypatch.setattr(account_module, "TURN_TIMEOUT_S", 0.05)
    monkeypatch.setattr(disposable, "_WAIT_S", 0.05)
    with (home / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        other, account = reopened(root, clock, "second boot")
        with pytest.raises(TemporaryFailure, match="is held by another process"):
            deliver(account, 1)
        inbox = account.status("INBOX")
        assert inbox.messages == 1
        assert len(account.texts(inbox.id, [1])) == 1
        assert other.last_trouble is not None
        other.last_trouble = None
    deliver(account, 1)
    assert account.status("INBOX").messages == 2
    other.close()


def test_an_account_can_be_opened_for_reading_while_another_process_holds_its_lock(
    store: MailStore, account: Account, root: Path, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # P7
    deliver(account, 0)
    store.close()
    holder = sqlite3.connect(home / "account.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    real = account_module.open_database
    monkeypatch.setattr(account_module, "open_database", lambda path, **k: real(path, timeout_s=0.05, **k))
    other, account = reopened(root, clock, "second boot")
    inbox = account.status("INBOX")
    assert inbox.messages == 1
    assert account.rows(inbox.id)[0].email_id
    with pytest.raises(TemporaryFailure, match="locked"):
        deliver(account, 1)
    holder.execute("ROLLBACK")
    holder.close()
    deliver(account, 1)
    assert account.status("INBOX").messages == 2
    other.close()


def test_reading_does_not_wait_for_a_writer(account: Account) -> None:
    deliver(account, 0)
    inbox = account.status("INBOX").id
    held, done = threading.Event(), threading.Event()

    def write() -> None:
        with account.core.db.write("test", durable_commit=False):
            held.set()
            done.wait(60)

    writer = threading.Thread(target=write)
    writer.start()
    held.wait(60)
    started = time.monotonic()
    assert account.highest_modseq(inbox)
    assert len(account.rows(inbox)) == 1
    assert time.monotonic() - started < 30
    done.set()
    writer.join()


def test_the_witness_outlives_the_database(account: Account, home: Path) -> None:
    deliver(account, 0)
    generation, validity = read_witness(home)
    assert generation > 0
    assert validity == max(account.status(entry.name).uid_validity for entry in account.folders())
    for content in ("", "x y", "1"):
        (home / "uidvalidity").write_text(content)
        assert read_witness(home) == (0, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make files it may not read")
def test_a_home_of_somebody_else_is_a_temporary_failure(root: Path, clock: Clock) -> None:
    # F27
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.chmod(root.parent, 0o755)
            (root / "example.test" / "alice").mkdir(parents=True, mode=0o700)
            for path in (root, *root.rglob("*")):
                os.chown(path, 12_345, 12_345)
            (root / "example.test" / "bob").mkdir()
            os.chown(root / "example.test" / "alice", 0, 0)
            os.chown(root / "example.test" / "bob", 12_345, 12_345)
            os.setuid(12_345)
            store = MailStore(root, now=clock, random_bytes=os.urandom, boot="x")
            try:
                deliver(store.account(ALICE), 0)
            except TemporaryFailure as error:
                code = 2 if error.fatal else 0
            deliver(store.account(Address.parse("bob@example.test")), 0)
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
@pytest.mark.root
@pytest.mark.parametrize("options", ["size=1m", "nr_inodes=60"])
def test_a_full_disk_refuses_and_recovers(tmp_path: Path, clock: Clock, options: str) -> None:
    # F16, F17
    import subprocess

    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=False).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        store, account = reopened(disk / "mail", clock)
        stored = 0
        with pytest.raises(TemporaryFailure, match="full") as caught:
            for stored in range(2000):
                account.deliver("INBOX", NewMessage(MESSAGE + b"x" * 4000), base_name=f"1.n{stored}")
        assert caught.value.status == "3.1"
        assert not caught.value.fatal
        inbox = account.status("INBOX").id
        assert len(account.rows(inbox)) == stored  # reading works
        opened = account.open(inbox, 1)
        assert opened.read().startswith(MESSAGE)
        with pytest.raises(TemporaryFailure):
            account.append("Sent", [NewMessage(b"y" * 20_000)] * 3)
        assert list((disk / "mail/example.test/alice/Maildir/tmp").iterdir()) == []
        for path in sorted((disk / "mail/example.test/alice/Maildir/new").iterdir())[: stored // 2 + 1]:
            path.unlink()
        account.refresh(inbox)
        account.deliver("INBOX", NewMessage(MESSAGE), base_name="1.again")
        assert account.append("Sent", [NewMessage(MESSAGE)]).uids == (1,)
        store.close()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_reads_work_on_a_copy_of_everything(
    store: MailStore, account: Account, root: Path, tmp_path: Path, clock: Clock
) -> None:
    # F36, and moving an account to another machine
    deliver(account, 0, 1)
    account.change_flags(account.status("INBOX").id, [1], "+", flags=Flags.NONE, keywords=["mine"])
    store.close()
    shutil.copytree(root, tmp_path / "copy")
    other, copied = reopened(tmp_path / "copy", clock, "another machine")
    assert [row.keywords for row in copied.rows(copied.status("INBOX").id)] == [("mine",), ()]
    assert copied.status("INBOX").uid_validity == account.status("INBOX").uid_validity
    other.close()


@pytest.mark.parametrize("jump", [86_400, -86_400, 10 * 365 * 86_400, -1_767_225_600, 3_600])
def test_numbers_only_grow_whatever_the_clock_does(account: Account, clock: Clock, jump: float) -> None:
    # F28
    (before,) = account.append("INBOX", [NewMessage(MESSAGE)]).uids
    modseq, made = account.status("INBOX").highest_modseq, account.create("a")
    account.delete("a")
    clock.advance(jump)
    (after,) = account.append("INBOX", [NewMessage(MESSAGE)]).uids
    assert after == before + 1
    assert account.status("INBOX").highest_modseq > modseq
    assert account.create("a").uid_validity > made.uid_validity
    clock.advance(-jump)
    account.delete("a")
    assert account.create("a").uid_validity > made.uid_validity + 1
    assert account.append("INBOX", [NewMessage(MESSAGE)]).uids == (after + 1,)
