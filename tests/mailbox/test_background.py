"""Files that follow rows, while other processes are at the same work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from mailstack.mailbox import aside, background, restore
from mailstack.mailbox.aside import Doomed
from mailstack.mailbox.core import Core
from mailstack.mailbox.options import MailboxOptions
from mailstack.mailbox.store import Account, MailStore
from mailstack.model.mailbox import Flags, NewMessage
from tests.kit.clock import Clock
from tests.mailbox.conftest import ALICE

MESSAGE = b"Subject: hello\r\n\r\nbody\r\n"


@pytest.fixture
def other(root: Path, clock: Clock) -> Iterator[Account]:
    """The account as another process sees it, which leaves files to us."""
    options = MailboxOptions(flag_names_delay_s=60)
    store = MailStore(root, now=clock, random_bytes=os.urandom, options=options, boot="first boot")
    account = store.account(ALICE)
    account.core.worker.doomed = lambda core: None  # type: ignore[method-assign,assignment]
    yield account
    store.close()


def meanwhile(monkeypatch: pytest.MonkeyPatch, core: Core, act: Callable[[], None]) -> None:
    """Has something happen when `core` knows which files to remove, and has not yet begun."""
    prepare = aside.prepare

    def late(each: Core, messages: Sequence[Doomed]) -> list[Path]:
        places = prepare(each, messages)
        if each is core:
            monkeypatch.setattr(aside, "prepare", prepare)
            act()
        return places

    monkeypatch.setattr(aside, "prepare", late)


def remove_all(core: Core) -> None:
    while background.remove_doomed(core):
        pass


def texts(account: Account, folder: str) -> list[bytes]:
    status = account.status(folder)
    return [account.open(status.id, row.uid).read() for row in account.rows(status.id)]


def test_a_message_moved_back_is_not_taken_for_the_one_that_left(
    store: MailStore, account: Account, other: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.append("INBOX", [NewMessage(MESSAGE)])
    inbox, trash = account.status("INBOX").id, account.status("Trash").id
    other.move(inbox, [1], "Trash")

    def undo() -> None:
        remove_all(other.core)
        assert other.move(trash, [1], "INBOX").target_uids == (2,)
        remove_all(other.core)

    meanwhile(monkeypatch, account.core, undo)
    remove_all(account.core)
    assert texts(account, "INBOX") == [MESSAGE]
    assert texts(account, "Trash") == []


def test_a_folder_renamed_meanwhile_brings_nothing_back(
    account: Account, other: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.create("work")
    account.append("work", [NewMessage(MESSAGE)] * 2)
    other.expunge(account.status("work").id, [1])
    meanwhile(monkeypatch, account.core, lambda: other.rename("work", "play"))
    remove_all(account.core)
    account.core.forget_looks()
    assert [row.uid for row in account.rows(account.status("play").id)] == [2]


def test_what_is_restored_while_its_old_file_is_still_to_go_stays(
    store: MailStore, account: Account, other: Account
) -> None:
    account.append("INBOX", [NewMessage(MESSAGE)])
    inbox = account.status("INBOX").id
    other.expunge(inbox, [1])
    with other.core.db.read() as connection:
        rows = connection.execute("SELECT * FROM doomed").fetchall()
    remove_all(other.core)
    with other.core.db.write("as before a crash", durable_commit=True) as connection:
        connection.executemany(f"INSERT INTO doomed VALUES ({','.join('?' * len(rows[0]))})", rows)
    found = restore.find(store, ALICE, restore.Wanted())
    assert [each.outcome for each in restore.restore(store, ALICE, found)] == ["restored"]
    remove_all(account.core)
    assert texts(account, "INBOX") == [MESSAGE]


@pytest.mark.parametrize("base", ["b" * 250, "b" * 255, "ü" * 127], ids=["some", "all", "utf-8"])
def test_a_file_with_a_name_too_long_for_flags_holds_up_no_other(
    store: MailStore, account: Account, maildir: Path, base: str
) -> None:
    inbox = account.status("INBOX").id
    (maildir / "new" / base).write_bytes(MESSAGE)
    account.refresh(inbox)
    account.append("INBOX", [NewMessage(MESSAGE)])
    account.claim_recent(inbox)
    account.change_flags(inbox, [1, 2], "+", flags=Flags.SEEN | Flags.FLAGGED | Flags.ANSWERED)
    store.flush()
    assert len(list((maildir / "cur").glob("*:2,FRS"))) == 2
    account.refresh(inbox)
    assert [row.uid for row in account.rows(inbox)] == [1, 2]
    copied = account.copy(inbox, [1, 2], "Archive")
    moved = account.move(inbox, [1], "Trash")
    assert (len(copied.target_uids), len(moved.target_uids)) == (2, 1)
    store.flush()
    assert [row.flags for row in account.rows(inbox)] == [Flags.SEEN | Flags.FLAGGED | Flags.ANSWERED]
    assert texts(account, "Archive") == [MESSAGE] * 2
    trash = account.status("Trash").id
    account.expunge(trash, [1])
    store.flush()
    assert texts(account, "Trash") == []
    assert list((maildir / ".Trash" / "cur").iterdir()) == []


def test_a_file_with_too_long_a_name_comes_back_with_its_folder(
    store: MailStore, account: Account, maildir: Path
) -> None:
    account.create("work")
    (maildir / ".work" / "cur" / ("b" * 250 + ":2,S")).write_bytes(MESSAGE)
    account.delete("work")
    found = restore.find(store, ALICE, restore.Wanted())
    assert [one.outcome for one in restore.restore(store, ALICE, found)] == ["restored"]
    assert texts(account, "work") == [MESSAGE]
