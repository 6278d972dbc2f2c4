"""account.db lost, damaged, rolled back: what is kept, what is said (F23, F24, F40)."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mailstack.mailbox import recover, restore
from mailstack.mailbox.presence import Presence
from mailstack.mailbox.store import Account, MailStore
from mailstack.model.mailbox import Flags, NewMessage
from tests.kit.clock import START, Clock
from tests.kit.mailboxes import build_index
from tests.mailbox.conftest import ALICE

PAGE = 4_096


def message(number: int) -> bytes:
    return b"Subject: n%d\r\n\r\nText of %d.\r\n" % (number, number)


def reopened(root: Path, clock: Clock) -> MailStore:
    return MailStore(root, now=clock, random_bytes=os.urandom, boot="first boot")


def fill(account: Account, store: MailStore) -> None:
    account.append("INBOX", [NewMessage(message(n), internal_at=1_000 + n) for n in range(20)])
    inbox = account.status("INBOX").id
    account.change_flags(inbox, [1, 2, 3], "+", flags=Flags.SEEN | Flags.FLAGGED, keywords=["$Work"])
    account.rename("Spam", "Müll")
    account.create("a/é.b", special_use="\\Important")
    account.append("a/é.b", [NewMessage(message(77), keywords=("later", "$Forwarded"))])
    account.subscribe("Archive", subscribed=False)
    account.subscribe("not/there", subscribed=True)
    store.flush()


def facts(account: Account) -> dict[str, object]:
    """All that should be the same after a rebuild."""
    found: dict[str, object] = {
        entry.name: (entry.exists, entry.subscribed, entry.special_use) for entry in account.folders()
    }
    for entry in account.folders():
        if entry.exists:
            rows = account.rows(account.status(entry.name).id)
            found[f"mail in {entry.name}"] = sorted(
                (row.flags, tuple(sorted(row.keywords)), row.internal_at, row.size_octets) for row in rows
            )
    return found


def said(store: MailStore, *, repair: bool) -> list[str]:
    return [
        f"{'repaired' if each.repaired else 'found'}: {each.what}"
        for each in recover.verify(store, ALICE, repair=repair)
    ]


def test_a_rebuild_keeps_what_can_be_read(
    store: MailStore, account: Account, root: Path, clock: Clock
) -> None:
    fill(account, store)
    before, validity = facts(account), account.status("INBOX").uid_validity
    clock.advance(1_000)
    rebuilt = recover.rebuild(store, ALICE)
    assert "were kept" in rebuilt.kept and rebuilt.messages == 21
    assert facts(account) == before
    assert account.status("INBOX").uid_validity > validity
    assert {row.saved_at for row in account.rows(account.status("INBOX").id)} == {int(START)}


def test_what_was_expunged_or_moved_does_not_come_back(
    store: MailStore, account: Account, root: Path, clock: Clock
) -> None:
    fill(account, store)
    inbox = account.status("INBOX").id
    account.core.worker.doomed = lambda core: None  # type: ignore[method-assign,assignment]
    account.expunge(inbox, [1, 2])
    account.move(inbox, [3, 4], "Archive")
    before = facts(account)
    del account.core.worker.doomed
    recover.rebuild(store, ALICE)
    assert facts(account) == before
    assert (account.status("INBOX").messages, account.status("Archive").messages) == (16, 2)
    kept = restore.find(store, ALICE, restore.Wanted())
    assert len(kept) == 4  # also what was moved: the old index may have lied
    restored = restore.restore(store, ALICE, [each for each in kept if restore.head(each).subject == "n0"])
    assert [each.outcome for each in restored] == ["restored"]
    [row] = [row for row in account.rows(account.status("INBOX").id) if row.internal_at == 1_000]
    assert (row.keywords, row.flags) == (("$Work",), Flags.SEEN | Flags.FLAGGED)


def test_a_file_that_has_a_row_is_not_removed_whatever_else_is_said_of_it(
    store: MailStore, account: Account
) -> None:
    fill(account, store)
    with account.core.db.write("lying", durable_commit=True) as connection:
        connection.execute(
            "INSERT INTO doomed (folder, base, sub, letters, keep, mid)"
            " SELECT folder, base, sub, letters, 0, mid FROM messages"
        )
    recover.rebuild(store, ALICE)
    store.flush()
    assert (account.status("INBOX").messages, account.status("a/é.b").messages) == (20, 1)
    assert restore.find(store, ALICE, restore.Wanted()) == []


def test_a_message_from_before_1970_keeps_its_keywords(store: MailStore, account: Account) -> None:
    account.append("INBOX", [NewMessage(message(1), keywords=("$Work",), internal_at=-86_400)])
    recover.rebuild(store, ALICE)
    [row] = account.rows(account.status("INBOX").id)
    assert (row.keywords, row.internal_at) == (("$Work",), -86_400)


def broken_page(home: Path, table: str, offset: int) -> None:
    connection = sqlite3.connect(home / "account.db")
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    connection.close()
    with (home / "account.db").open("r+b") as file:
        file.seek((page - 1) * PAGE + offset)
        file.write(random.Random(7).randbytes(64))


@pytest.mark.parametrize("index", ["message_modseq", "message_base"])
def test_a_damaged_index_costs_no_uid(
    store: MailStore, account: Account, root: Path, home: Path, clock: Clock, index: str
) -> None:
    fill(account, store)
    deleted = account.create("deleted").id
    account.delete("deleted")
    before, status = facts(account), account.status("INBOX")
    store.close()
    broken_page(home, index, 0)
    other = reopened(root, clock)
    [line] = said(other, repair=True)
    assert line.startswith("repaired: account.db is damaged (") and "nothing is lost" in line
    account = other.account(ALICE)
    assert facts(account) == before
    after = account.status("INBOX")
    assert (after.uid_validity, after.uid_next >= status.uid_next) == (status.uid_validity, True)
    assert [row.uid for row in account.rows(after.id)] == list(range(1, 21))
    assert said(other, repair=False) == []
    assert account.create("made").id > deleted
    other.close()


def test_a_row_that_differs_from_its_index_is_not_believed(
    store: MailStore, account: Account, root: Path, home: Path, clock: Clock
) -> None:
    fill(account, store)
    validity = account.status("INBOX").uid_validity
    store.close()
    data = (home / "account.db").read_bytes()
    base = next(iter((home / "Maildir/cur").iterdir())).name.partition(":")[0].encode()
    at = data.index(base)  # in the table or in the index: nobody can tell
    (home / "account.db").write_bytes(data[:at] + b"2" + data[at + 1 :])
    other = reopened(root, clock)
    lines = said(other, repair=True)
    assert "mail programs will fetch everything again" in lines[0]
    account = other.account(ALICE)
    assert (account.status("INBOX").messages, account.status("INBOX").uid_validity > validity) == (20, True)
    other.close()


@pytest.mark.parametrize("table", ["messages", "folders", "meta", "message_base", "subscriptions"])
def test_a_bad_page_is_repaired_with_flags_from_the_file_names(
    store: MailStore, account: Account, root: Path, home: Path, clock: Clock, table: str
) -> None:
    fill(account, store)
    inbox = account.rows(account.status("INBOX").id)
    store.close()
    broken_page(home, table, 0)
    other = reopened(root, clock)
    damaged = said(other, repair=False)
    assert "damaged" in damaged[0] and damaged[0].startswith("found")
    lines = said(other, repair=True)
    assert all(line.startswith("repaired") for line in lines), lines
    assert "the old one is kept as" in lines[0] or "indexes were made anew" in lines[0]
    account = other.account(ALICE)
    assert [row.flags for row in account.rows(account.status("INBOX").id)] == [row.flags for row in inbox]
    assert account.status("a/é.b").messages == 1
    assert said(other, repair=False) == []
    other.close()


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bits_never_cost_a_message(
    store: MailStore, account: Account, root: Path, home: Path, clock: Clock, seed: int
) -> None:
    # F23: bits anywhere; what cannot be noticed must at least not hide or double mail
    fill(account, store)
    store.close()
    chance = random.Random(seed)
    data = bytearray((home / "account.db").read_bytes())
    for _ in range(chance.randint(1, 40)):
        data[chance.randrange(100, len(data))] ^= 1 << chance.randrange(8)
    (home / "account.db").write_bytes(data)
    (home / "uidvalidity").write_text("0 0\n") if seed % 3 == 0 else None
    other = reopened(root, clock)
    said(other, repair=True)
    account = other.account(ALICE)
    octets = []
    for entry in account.folders():
        if entry.exists:
            folder = account.status(entry.name).id
            for row in account.rows(folder):
                opened = account.open(folder, row.uid)
                octets.append(opened.read())
                opened.close()
    assert sorted(octets) == sorted([message(n) for n in range(20)] + [message(77)])
    other.close()


@pytest.mark.parametrize("octets", [0, 10, 100, 5_000])
def test_a_truncated_database_is_rebuilt(
    store: MailStore, account: Account, root: Path, home: Path, clock: Clock, octets: int
) -> None:
    fill(account, store)
    before = account.status("INBOX")
    store.close()
    os.truncate(home / "account.db", octets)
    other = reopened(root, clock)
    lines = said(other, repair=True)
    assert lines and all(line.startswith("repaired") for line in lines), lines
    after = other.account(ALICE).status("INBOX")
    assert (after.messages, after.unseen) == (20, 17)
    assert after.uid_validity > before.uid_validity
    other.close()


def test_a_missing_database_is_said_and_made_anew(
    store: MailStore, account: Account, root: Path, home: Path, clock: Clock
) -> None:
    fill(account, store)
    store.close()
    (home / "account.db").unlink()
    other = reopened(root, clock)
    assert said(other, repair=False)[0].startswith("repaired: account.db is missing and is made anew")
    assert other.account(ALICE).status("INBOX").messages == 20
    other.close()


def test_yesterdays_backup_is_noticed_and_nothing_is_removed(
    store: MailStore, account: Account, root: Path, home: Path, clock: Clock
) -> None:
    # F40, F24: the database of yesterday, the files of today
    fill(account, store)
    validity = account.status("INBOX").uid_validity
    store.close()
    shutil.copy(home / "account.db", home.parent / "yesterday")
    other = reopened(root, clock)
    account = other.account(ALICE)
    account.append("INBOX", [NewMessage(message(n)) for n in range(1_000, 1_010)])
    account.core.db.reserve(account.status("INBOX").id, 5)
    account.expunge(account.status("INBOX").id, [1])
    other.close()
    shutil.copy(home.parent / "yesterday", home / "account.db")
    other = reopened(root, clock)
    lines = said(other, repair=False)
    assert any("older than the numbers given out" in line for line in lines)
    files = sorted((home / "Maildir").rglob("*.mailstack*"))
    said(other, repair=True)
    assert sorted((home / "Maildir").rglob("*.mailstack*")) == files
    account = other.account(ALICE)
    assert account.status("INBOX").messages == 29
    assert account.status("INBOX").uid_validity > validity
    assert said(other, repair=False) == []
    other.close()


KILLED = textwrap.dedent(
    """
    import os, sys
    from pathlib import Path
    from mailstack.mailbox.store import MailStore
    from mailstack.model.address import Address
    from mailstack.model.mailbox import NewMessage
    store = MailStore(Path(sys.argv[1]), now=lambda: 1.8e9, random_bytes=os.urandom, boot="first boot")
    account = store.account(Address.parse("alice@example.test"))
    for n in range(5):
        account.deliver("INBOX", NewMessage(b"Subject: k%d\\r\\n\\r\\n" % n), base_name=f"{n}.killed")
    print(account.status("INBOX").uid_next, flush=True)
    os.kill(os.getpid(), 9)
    """
)


@pytest.mark.parametrize("lost", [False, True])
def test_a_wal_lost_after_a_kill_gives_no_uid_twice(
    store: MailStore, account: Account, root: Path, home: Path, clock: Clock, lost: bool
) -> None:
    # F23: the block of UIDs is durable in the database, the rows were only in the -wal
    account.append("INBOX", [NewMessage(message(1))])
    store.close()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(root)], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    if lost:
        (home / "account.db-wal").unlink()
    other = reopened(root, clock)
    account = other.account(ALICE)
    status = account.status("INBOX")
    uids = [row.uid for row in account.rows(status.id)]
    assert status.messages == 6
    if lost:
        assert min(uids[1:]) >= int(done.stdout)
    else:
        assert uids == [1, 2, 3, 4, 5, 6]
    other.close()


@pytest.mark.parametrize("name", ["account.db-wal", "account.db-shm"])
def test_a_log_deleted_under_us_is_noticed(account: Account, home: Path, name: str) -> None:
    account.append("INBOX", [NewMessage(message(1))])
    (home / name).unlink()
    account.append("INBOX", [NewMessage(message(2))])
    rows = account.rows(account.status("INBOX").id)
    assert len(rows) == 2 and len({row.uid for row in rows}) == 2
    connection = sqlite3.connect(home / "account.db")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_presence_tells_who_was_killed(tmp_path: Path) -> None:
    one, two, three = Presence(tmp_path), Presence(tmp_path), Presence(tmp_path)
    assert one.enter() and two.enter()
    one.leave()
    assert three.enter()
    three.leave()
    os.close(two._fd)  # killed
    assert not one.enter()
    one.leave()
    assert one.enter()
    one.leave()
    assert (tmp_path / "in-use").read_bytes() == b""


@pytest.mark.parametrize("repair", [False, True])
@pytest.mark.parametrize("name", ["cache.db", "search.db"])
def test_damaged_databases_that_can_be_made_again_are_thrown_away(
    store: MailStore, account: Account, root: Path, home: Path, clock: Clock, name: str, repair: bool
) -> None:
    fill(account, store)
    inbox = account.status("INBOX").id
    texts = account.texts(inbox, [1, 2])
    build_index(account)
    store.close()
    data = bytearray((home / name).read_bytes())
    for page in range(1, len(data) // PAGE):
        data[page * PAGE : page * PAGE + 64] = random.Random(7).randbytes(64)
    (home / name).write_bytes(data)
    other = reopened(root, clock)
    word = "repaired" if repair else "found"
    assert said(other, repair=repair) == [f"{word}: {name} is damaged; it is only thrown away"]
    assert all(line.startswith("repaired") for line in said(other, repair=True))
    assert said(other, repair=False) == []
    assert other.account(ALICE).texts(inbox, [1, 2]) == texts
    other.close()


def test_a_database_nobody_may_read_is_said(account: Account, store: MailStore, home: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    store.close()
    (home / "account.db").chmod(0)
    assert any("account.db" in line for line in said(store, repair=False))
    (home / "account.db").chmod(0o600)
