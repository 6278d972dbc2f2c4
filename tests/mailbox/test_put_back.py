"""Another account.db in the place of the one that is, or was, open: an older copy, or that of a new home."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailstack.mailbox import expiry, homes, recover, scan
from mailstack.mailbox.core import Core
from mailstack.mailbox.options import MailboxOptions
from mailstack.mailbox.store import Account, MailStore
from mailstack.model.address import Address
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import Flags, FolderStatus, MailboxError, NewMessage
from tests.kit.clock import Clock

ALICE = Address.parse("alice@example.test")


@pytest.fixture
def other(root: Path, clock: Clock) -> Iterator[MailStore]:
    """Another process."""
    options = MailboxOptions(flag_names_delay_s=0.01)
    store = MailStore(root, now=clock, random_bytes=os.urandom, options=options, boot="first boot")
    yield store
    store.close()


@pytest.fixture
def copy(account: Account, home: Path, tmp_path: Path) -> Path:
    """A copy of account.db, as a backup makes it; much has happened since."""
    account.append("INBOX", [message(number) for number in range(1, 4)])
    copy = tmp_path / "copy.db"
    connection = sqlite3.connect(home / "account.db")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("VACUUM INTO ?", (str(copy),))
    connection.close()
    return copy


def message(number: int) -> NewMessage:
    return NewMessage(b"Subject: %d\r\n\r\nbody\r\n" % number)


def go_on(account: Account, store: MailStore, *, many: int) -> None:
    """What happens after the copy; then nothing for a while."""
    inbox = account.status("INBOX").id
    account.append("INBOX", [message(4), message(5)])
    account.append("INBOX", [message(number) for number in range(6, 6 + many)])
    account.create("made since")
    account.append("made since", [message(9_999)])
    account.expunge(inbox, [2, 4])
    account.change_flags(inbox, [1], "+", flags=Flags.NONE, keywords=["mine"])
    store.flush()
    for entry in account.folders():
        path = account.core.path_of("" if entry.name == "INBOX" else f".{entry.name}")
        for directory in (f"{path}/new", f"{path}/cur", account.core.maildir):
            os.utime(directory, (1e9, 1e9))
    assert all(account.status(entry.name) for entry in account.folders())


def subjects(account: Account, name: str = "INBOX") -> dict[int, bytes]:
    """By UID."""
    folder = account.status(name).id
    return {row.uid: first_line(account, folder, row.uid) for row in account.rows(folder)}


def first_line(account: Account, folder: int, uid: int) -> bytes:
    file = account.open(folder, uid)
    try:
        return file.read().partition(b"\r\n")[0]
    finally:
        file.close()


def check(account: Account, was: FolderStatus, before: dict[int, bytes]) -> None:
    """Every message is there; what clients know of a UID is still true, or its UIDVALIDITY is another."""
    names = [entry.name for entry in account.folders()]
    now, status = subjects(account), account.status("INBOX")
    assert sorted(now.values()) == sorted(before.values())
    assert "made since" in names
    assert list(subjects(account, "made since").values()) == [b"Subject: 9999"]
    if status.uid_validity == was.uid_validity:
        known = set(range(1, was.uid_next))
        assert {uid: text for uid, text in now.items() if uid in known}.items() <= before.items()
        # Whoever knew later changes hears of all flags anew.
        told = account.rows(status.id, since_modseq=was.highest_modseq)
        assert [row.uid for row in told] == sorted(now)
    else:
        with pytest.raises(MailboxError, match="gone"):
            account.highest_modseq(was.id)


def put_in_place(copy: Path, database: Path) -> None:
    database.write_bytes(copy.read_bytes())


PUTTING: dict[str, Callable[[Path, Path], object]] = {"in place": put_in_place, "renamed": os.rename}


@pytest.mark.parametrize("many", [0, 1_500])
def test_an_older_copy_under_an_open_mailbox(
    account: Account, store: MailStore, home: Path, copy: Path, many: int
) -> None:
    # Its -wal is that of the other one, and what a process has looked at is not true of it.
    go_on(account, store, many=many)
    before, was = subjects(account), account.status("INBOX")
    os.rename(copy, home / "account.db")
    account.core.db._checked = 0
    check(account, was, before)
    assert recover.verify(store, ALICE, repair=False) == []


@pytest.mark.parametrize("many", [0, 1_500])
@pytest.mark.parametrize("put", PUTTING)
def test_an_older_copy_while_nobody_is_there(
    account: Account, store: MailStore, home: Path, copy: Path, other: MailStore, many: int, put: str
) -> None:
    go_on(account, store, many=many)
    before, was = subjects(account), account.status("INBOX")
    store.close()
    PUTTING[put](copy, home / "account.db")
    recover.verify(other, ALICE, repair=True)
    check(other.account(ALICE), was, before)


def test_an_older_copy_after_a_crash_is_not_damaged_by_what_was_left(
    account: Account, store: MailStore, home: Path, copy: Path, other: MailStore, tmp_path: Path
) -> None:
    go_on(account, store, many=0)
    before, was = subjects(account), account.status("INBOX")
    note = (home / "in-use").read_bytes()
    os.link(home / "account.db-wal", tmp_path / "wal")
    store.close()
    os.rename(tmp_path / "wal", home / "account.db-wal")
    (home / "in-use").write_bytes(note)
    os.rename(copy, home / "account.db")
    check(other.account(ALICE), was, before)
    assert recover.verify(other, ALICE, repair=False) == []


def test_a_whole_home_put_back_gives_out_no_uid_again(
    account: Account, store: MailStore, home: Path, other: MailStore, tmp_path: Path
) -> None:
    # What was given out after the backup is noted nowhere: clients may still have those messages.
    account.append("INBOX", [message(1)])
    store.close()
    subprocess.run(["cp", "-a", home, tmp_path / "backup"], check=True)
    given = account.append("INBOX", [message(number) for number in range(2, 2_500)]).uids
    was = account.status("INBOX")
    store.close()
    os.rename(home, tmp_path / "lost")
    os.rename(tmp_path / "backup", home)
    again = other.account(ALICE)
    assert again.status("INBOX").uid_validity == was.uid_validity
    assert again.append("INBOX", [message(3_000)]).uids[0] > given[-1]
    assert again.status("INBOX").highest_modseq > was.highest_modseq


def test_a_mailbox_that_was_closed_counts_on_where_it_was(
    account: Account, store: MailStore, other: MailStore
) -> None:
    account.append("INBOX", [message(1)])
    store.close()
    assert other.account(ALICE).append("INBOX", [message(2)]).uids == (2,)
    other.close()
    assert account.append("INBOX", [message(3)]).uids == (3,)


def test_a_home_that_was_removed_and_made_again_is_another_one(
    account: Account, store: MailStore, root: Path
) -> None:
    # A session of the old account removes and shows nothing of the new one.
    account.append("INBOX", [message(1), message(2)])
    inbox = account.status("INBOX").id
    assert homes.remove(root, ALICE, is_removed=lambda: True)
    again = store.account(ALICE)
    assert again.append("INBOX", [message(3)]).uids == (1,)
    with pytest.raises(MailboxError, match="gone"):
        account.open(inbox, 1)
    with pytest.raises(MailboxError, match="gone"):
        account.expunge(inbox, [1])
    assert list(subjects(again).values()) == [b"Subject: 3"]


def test_the_event_loop_is_told_that_the_database_is_another(
    account: Account, home: Path, copy: Path
) -> None:
    # To open it may take long: there may be a lock to wait for.
    account.status("INBOX")
    assert account.is_open()
    os.rename(copy, home / "account.db")
    account.core.db._checked = 0
    assert not account.is_open()
    account.status("INBOX")
    assert account.is_open()
    account.core.db._checked = 0
    assert account.is_open()


def test_a_folder_is_not_trash_for_longer_after_a_rebuild(
    account: Account, store: MailStore, clock: Clock
) -> None:
    # What lay in it long before it became that was never thrown away.
    account.create("Projects")
    account.append("Projects", [message(1)])
    clock.advance(40 * 86_400)
    account.annotate("Projects", {"/private/specialuse": b"\\Trash"})
    recover.rebuild(store, ALICE)
    expired = expiry.expire(account, [expiry.Rule("\\Trash", 30)], now=clock(), most=100)
    assert expired == []
    assert account.status("Projects").messages == 1


def facts(account: Account) -> tuple[object, ...]:
    """What clients see of the folder INBOX, without its UIDVALIDITY."""
    inbox = account.status("INBOX")
    rows = account.rows(inbox.id)
    return (
        [(row.uid, row.flags, row.keywords, row.internal_at, row.saved_at) for row in rows],
        (inbox.messages, inbox.unseen, inbox.deleted, inbox.size_octets),
        account.folders(),
        account.annotations("INBOX"),
        account.access("INBOX"),
    )


def test_nobody_sees_half_of_a_rebuild(
    account: Account, store: MailStore, other: MailStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever keeps a copy acts on what is missing; keywords that come later without a MODSEQ never reach it.
    marked = NewMessage(b"x: y\r\n\r\n", flags=Flags.SEEN, keywords=("mine",), internal_at=1_000)
    account.append("INBOX", [message(1), message(2), marked])
    account.expunge(account.status("INBOX").id, [1])
    account.subscribe("Trash", subscribed=False)
    account.subscribe("elsewhere", subscribed=True)
    account.annotate("INBOX", {"/private/comment": b"mine"})
    account.grant("INBOX", "bob@example.test", "lr")
    store.flush()
    before, seen = facts(account), []
    refresh = scan.refresh

    def look(core: Core, folder_id: int, *, force: bool = False) -> bool:
        account.core.db._checked = 0
        if core.db is not account.core.db:
            seen.append(facts(account))
        return refresh(core, folder_id, force=force)

    monkeypatch.setattr(scan, "refresh", look)
    recover.rebuild(other, ALICE)
    account.core.db._checked = 0
    assert len(seen) > 9 and all(each == before for each in seen)
    assert facts(account) == before


def test_what_happens_during_a_rebuild_is_in_it(
    account: Account, store: MailStore, other: MailStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.append("INBOX", [message(number) for number in range(1, 6)])
    inbox = account.status("INBOX")
    refresh, todo = scan.refresh, [True]

    def look(core: Core, folder_id: int, *, force: bool = False) -> bool:
        looked = refresh(core, folder_id, force=force)
        if core.db is not account.core.db and todo and todo.pop():
            account.append("INBOX", [message(6)])
            account.deliver("INBOX", message(7), base_name="1.seven")
            account.expunge(inbox.id, [1])
            account.change_flags(inbox.id, [2], "+", flags=Flags.FLAGGED, keywords=["mine"])
            account.create("made since")
            account.move(inbox.id, [3], "made since")
            account.delete("Drafts")
        return looked

    monkeypatch.setattr(scan, "refresh", look)
    for job in ("names", "doomed"):  # neither file names say it yet, nor files that are there
        monkeypatch.setattr(account.core.worker, job, lambda core: None)
    recover.rebuild(other, ALICE)
    account.core.db._checked = 0
    assert subjects(account) == {uid: b"Subject: %d" % uid for uid in (2, 4, 5, 6, 7)}
    [row] = [row for row in account.rows(account.status("INBOX").id) if row.uid == 2]
    assert (row.flags, row.keywords) == (Flags.FLAGGED, ("mine",))
    assert list(subjects(account, "made since").values()) == [b"Subject: 3"]
    assert "Drafts" not in [entry.name for entry in account.folders() if entry.exists]
    assert account.status("INBOX").uid_validity > inbox.uid_validity
    assert account.append("INBOX", [message(8)]).uids == (8,)
    assert recover.verify(store, ALICE, repair=False) == []


def test_two_do_not_rebuild_at_once(
    account: Account, store: MailStore, other: MailStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.append("INBOX", [message(1)])

    def look(*_: object, force: bool = False) -> bool:
        with pytest.raises(TemporaryFailure, match="being rebuilt already"):
            recover.rebuild(store, ALICE)
        raise TemporaryFailure("the disk is full")

    monkeypatch.setattr(scan, "refresh", look)
    with pytest.raises(TemporaryFailure, match="the disk is full"):
        recover.rebuild(other, ALICE)
    monkeypatch.undo()
    assert subjects(account) == {1: b"Subject: 1"}
    assert recover.rebuild(other, ALICE).messages == 1
