"""The one list of POP3: its order, its sizes, its ids, and what it fetched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mailstack.mailbox import MailStore
from mailstack.mailbox.recover import rebuild
from mailstack.mailbox.store import Account
from mailstack.model.address import Address
from mailstack.model.mailbox import Flags, NewMessage
from mailstack.model.maildrop import Maildrop

ALICE = Address("alice", "example.test")
LIST = ("INBOX", "Promotions", "SocialNetworks")


class Clock:
    """A clock that stands still."""

    time = 1_767_225_600.0

    def __call__(self) -> float:
        return self.time


def a_store(root: Path, clock: Clock | None = None) -> MailStore:
    return MailStore(root / "mail", now=clock or Clock(), random_bytes=os.urandom)


def unique_ids(drop: Maildrop) -> list[bytes]:
    return [drop.unique_id(at) for at in range(len(drop))]


def put(account: Account, folder: str, *texts: str) -> list[int]:
    return [
        account.append(folder, [NewMessage(f"Subject: {text}\r\n\r\n{text}\r\n".encode())]).uids[0]
        for text in texts
    ]


def subjects(account: Account, drop: Maildrop) -> list[str]:
    found = []
    for at in range(len(drop)):
        opened = account.open(drop.folders[drop.folder[at]], drop.uids[at])
        found.append(opened.read().split(b"\r\n")[0].removeprefix(b"Subject: ").decode())
        opened.close()
    return found


def test_several_folders_are_one_list_in_order_of_arrival(tmp_path: Path) -> None:
    clock = Clock()
    store = a_store(tmp_path, clock)
    account = store.account(ALICE)
    for folder, text in [("INBOX", "a"), ("Promotions", "b"), ("INBOX", "c"), ("SocialNetworks", "d")]:
        clock.time += 1
        put(account, folder, text)
    assert subjects(account, account.maildrop(LIST)) == ["a", "b", "c", "d"]
    assert subjects(account, account.maildrop(["INBOX"])) == ["a", "c"]
    assert subjects(account, account.maildrop(["INBOX", "No such folder", "INBOX"])) == ["a", "c"]
    store.close()


@pytest.mark.parametrize(
    ("data", "sent"),
    [
        (b"Subject: x\r\n\r\ntext\r\n", 20),
        (b"Subject: x\r\n\r\ntext", 20),
        (b"Subject: x\n\ntext", 20),
        (b"Subject: x\n\ntext\n", 20),
        (b"Subject: x\r\n\r\ntext\r", 21),
        (b"\r\n", 2),
        (b"x", 3),
        (b"", 0),
    ],
)
@pytest.mark.parametrize("way", ["append", "deliver", "file", "copy", "spool"])
def test_sizes_count_the_line_end_that_is_added(tmp_path: Path, data: bytes, sent: int, way: str) -> None:
    # POP10
    store = a_store(tmp_path)
    account = store.account(ALICE)
    folder = "INBOX"
    match way:
        case "append":
            account.append("INBOX", [NewMessage(data)])
        case "spool":
            (tmp_path / "spool").write_bytes(data)
            account.append("INBOX", [NewMessage(None, str(tmp_path / "spool"))])
        case "deliver":
            account.deliver("INBOX", NewMessage(data), base_name="1.x.y")
        case "file":
            account.folders()
            (tmp_path / "mail/example.test/alice/Maildir/new/1.x.y").write_bytes(data)
        case "copy":
            uids = account.append("INBOX", [NewMessage(data)]).uids
            account.copy(account.status("INBOX").id, uids, "Archive")
            folder = "Archive"
    assert list(account.maildrop([folder]).sizes) == [sent]
    store.close()


def test_ids_stay_whatever_happens_to_the_mailbox(tmp_path: Path) -> None:
    # POP4
    store = a_store(tmp_path)
    account = store.account(ALICE)
    uids = put(account, "INBOX", "a", "b", "c")
    before = unique_ids(account.maildrop(LIST))
    assert len(set(before)) == 3 and all(len(each) == 20 for each in before)
    inbox = account.status("INBOX").id
    account.change_flags(inbox, uids, "+", flags=Flags.SEEN | Flags.FLAGGED)
    moved = account.move(inbox, [uids[0]], "Archive")
    assert unique_ids(account.maildrop(LIST)) == before[1:]
    account.move(account.status("Archive").id, moved.target_uids, "Promotions")
    assert set(unique_ids(account.maildrop(LIST))) == set(before)
    store.close()

    (tmp_path / "mail/example.test/alice/cache.db").unlink(missing_ok=True)
    store = a_store(tmp_path)
    account = store.account(ALICE)
    assert set(unique_ids(account.maildrop(LIST))) == set(before)
    rebuild(store, ALICE)
    assert set(unique_ids(account.maildrop(LIST))) == set(before)
    store.close()


def test_ids_stay_when_another_program_adds_to_a_file_name(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    account = store.account(ALICE)
    put(account, "INBOX", "a")
    before = unique_ids(account.maildrop(LIST))
    store.flush()
    (file,) = (tmp_path / "mail/example.test/alice/Maildir/cur").iterdir()
    base, _, info = file.name.partition(":")
    file.rename(file.with_name(f"{base},U=17:{info}"))
    assert unique_ids(account.maildrop(LIST)) == before
    store.close()


def test_copies_have_ids_of_their_own(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    account = store.account(ALICE)
    uids = put(account, "INBOX", "a", "b")
    before = unique_ids(account.maildrop(LIST))
    for target in ("Promotions", "SocialNetworks", "INBOX"):
        account.copy(account.status("INBOX").id, uids, target)
    after = unique_ids(account.maildrop(LIST))
    assert after[:2] == before and len(set(after)) == len(after) == 8
    assert unique_ids(account.maildrop(LIST)) == after
    store.close()


def test_what_was_fetched_long_ago_goes_unless_it_is_flagged_or_was_filed(tmp_path: Path) -> None:
    clock = Clock()
    store = a_store(tmp_path, clock)
    account = store.account(ALICE)
    old, flagged, filed, unread, new = put(account, "INBOX", "old", "flagged", "filed", "unread", "new")
    inbox = account.status("INBOX").id
    account.change_flags(inbox, [flagged], "+", flags=Flags.FLAGGED)
    account.note_fetched(inbox, [old, flagged, filed])
    clock.time += 100
    account.note_fetched(inbox, [old, new])
    account.move(inbox, [filed], "Archive")
    assert account.expire_fetched(int(clock.time) - 100) == []
    assert account.expire_fetched(int(clock.time) - 50) == ["INBOX"]
    assert [row.uid for row in account.rows(inbox)] == [flagged, unread, new]
    assert len(account.rows(account.status("Archive").id)) == 1
    with account.core.db.read() as connection:
        left = connection.execute("SELECT uid FROM fetched ORDER BY uid").fetchall()
    assert left == [(flagged,), (new,)]
    assert account.expire_fetched(int(clock.time) - 50) == []
    store.close()


def test_what_was_fetched_while_the_clock_was_wrong_does_not_go_at_once(tmp_path: Path) -> None:
    # F28
    clock = Clock()
    store = a_store(tmp_path, clock)
    account = store.account(ALICE)
    first, second = put(account, "INBOX", "first", "second")
    inbox = account.status("INBOX").id
    account.note_fetched(inbox, [first])
    clock.time -= 1_000_000_000
    account.note_fetched(inbox, [second])
    clock.time += 1_000_000_000 + 50
    assert account.expire_fetched(int(clock.time) - 100) == []
    assert account.expire_fetched(int(clock.time)) == ["INBOX"]
    assert account.rows(inbox) == []
    store.close()


def test_what_is_flagged_at_the_last_moment_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    store = a_store(tmp_path, clock)
    account = store.account(ALICE)
    uids = put(account, "INBOX", "a", "b")
    inbox = account.status("INBOX").id
    account.note_fetched(inbox, uids)
    change = account.core.db.change

    def later(*args: Any, **options: Any) -> object:
        monkeypatch.undo()
        account.change_flags(inbox, uids[:1], "+", flags=Flags.FLAGGED)
        return change(*args, **options)

    monkeypatch.setattr(account.core.db, "change", later)
    assert account.expire_fetched(int(clock.time) + 1) == ["INBOX"]
    assert [row.uid for row in account.rows(inbox)] == uids[:1]
    store.close()
