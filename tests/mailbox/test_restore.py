"""What was expunged or deleted comes back as it was, once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from mailstack.mailbox import aside, restore
from mailstack.mailbox.options import MailboxOptions
from mailstack.mailbox.restore import Wanted
from mailstack.mailbox.store import Account, MailStore
from mailstack.model.errors import PermanentFailure
from mailstack.model.mailbox import Flags, NewMessage
from tests.kit.clock import START, Clock
from tests.mailbox.conftest import ALICE

ALL = Wanted()
DAY_S = 86_400


def octets(word: str) -> bytes:
    return f"From: a@b.test\r\nSubject: {word}\r\nMessage-ID: <{word}@b.test>\r\n\r\n{word}\r\n".encode()


def add(account: Account, *words: str, folder: str = "INBOX", **marks: object) -> list[int]:
    new = [NewMessage(octets(word), **marks) for word in words]  # type: ignore[arg-type]
    return list(account.append(folder, new).uids)


def subjects(store: MailStore, account: Account, folder: str = "INBOX") -> list[str]:
    status = account.status(folder)
    fields = account.fields(status.id, [row.uid for row in account.rows(status.id)])
    return sorted(each.subject for each in fields.values())


def bring(store: MailStore, wanted: Wanted = ALL) -> list[str]:
    return [each.outcome for each in restore.restore(store, ALICE, restore.find(store, ALICE, wanted))]


def test_messages_come_back_with_flags_keywords_and_date(store: MailStore, account: Account) -> None:
    marks = {
        "flags": Flags.SEEN | Flags.FLAGGED,
        "keywords": ("$Work", "later"),
        "internal_at": 1_000_000_000,
    }
    uids = add(account, "one", "two", **marks)
    inbox = account.status("INBOX").id
    account.expunge(inbox, uids)
    found = restore.find(store, ALICE, ALL)
    assert [(kept.folder, kept.at) for kept in found] == [("INBOX", int(START))] * 2
    assert [each.outcome for each in restore.restore(store, ALICE, found)] == ["restored"] * 2
    rows = account.rows(inbox)
    assert [row.uid for row in rows] == [3, 4]
    assert {(row.flags, row.keywords, row.internal_at, row.saved_at) for row in rows} == {
        (Flags.SEEN | Flags.FLAGGED, ("$Work", "later"), 1_000_000_000, int(START))
    }
    assert subjects(store, account) == ["one", "two"]
    assert account.status("INBOX").messages == 2
    assert bring(store) == []
    assert not account.refresh(inbox)
    assert subjects(store, account) == ["one", "two"]


def test_what_is_wanted_can_be_told(store: MailStore, account: Account, clock: Clock) -> None:
    add(account, "early")
    add(account, "late", "other", folder="Sent")
    account.expunge(account.status("INBOX").id, [1])
    store.flush()
    clock.advance(3 * DAY_S)
    account.expunge(account.status("Sent").id, [1, 2])
    for wanted, words in (
        (Wanted(folder="INBOX"), ["early"]),
        (Wanted(since=START + DAY_S), ["late", "other"]),
        (Wanted(message_ids=frozenset({"<late@b.test>"})), ["late"]),
        (Wanted(folder="Sent", message_ids=frozenset({"other@b.test", "early@b.test"})), ["other"]),
        (Wanted(folder="Nix"), []),
    ):
        assert sorted(restore.head(kept).subject for kept in restore.find(store, ALICE, wanted)) == words
    assert bring(store, Wanted(message_ids=frozenset({"late@b.test"}))) == ["restored"]
    assert subjects(store, account, "Sent") == ["late"]


def test_a_deleted_folder_comes_back_whole(store: MailStore, account: Account, clock: Clock) -> None:
    account.create("a/é.b", special_use="\\Important")
    account.subscribe("a/é.b", subscribed=True)
    add(account, "one", "two", folder="a/é.b", flags=Flags.ANSWERED, keywords=("$Work",))
    add(account, "three", folder="a/é.b")
    folder = account.status("a/é.b").id
    account.change_flags(folder, [1], "+", flags=Flags.SEEN)
    account.expunge(folder, [3])
    store.flush()
    account.delete("a/é.b")
    account.subscribe("a/é.b", subscribed=False)
    assert restore.deleted_folders(store, ALICE, ALL) == ["a/é.b"]
    clock.advance(60)
    assert bring(store, Wanted(folder="a/é.b")) == ["restored"] * 3
    (entry,) = [entry for entry in account.folders() if entry.name == "a/é.b"]
    assert (entry.special_use, entry.subscribed) == ("\\Important", True)
    rows = account.rows(account.status("a/é.b").id)
    assert sorted((row.flags, row.keywords) for row in rows) == [
        (Flags.NONE, ()),
        (Flags.ANSWERED, ("$Work",)),
        (Flags.SEEN | Flags.ANSWERED, ("$Work",)),
    ]
    assert subjects(store, account, "a/é.b") == ["one", "three", "two"]
    assert restore.deleted_folders(store, ALICE, ALL) == [] and bring(store) == []


def test_a_deleted_folder_without_messages_comes_back_too(store: MailStore, account: Account) -> None:
    account.create("empty")
    account.delete("empty")
    names = restore.deleted_folders(store, ALICE, ALL)
    assert restore.restore_folders(store, ALICE, names) == ["empty"]
    assert account.status("empty").messages == 0
    assert restore.deleted_folders(store, ALICE, ALL) == []


def test_mail_of_a_deleted_folder_goes_into_a_new_one_of_that_name(
    store: MailStore, account: Account
) -> None:
    account.create("a")
    add(account, "old", folder="a")
    account.delete("a")
    account.create("a")
    add(account, "new", folder="a")
    assert bring(store) == ["restored"]
    assert subjects(store, account, "a") == ["new", "old"]


def test_what_moved_away_before_the_folder_was_deleted_does_not_come_twice(
    store: MailStore, account: Account
) -> None:
    account.create("a")
    add(account, "one", "two", folder="a")
    account.core.worker.doomed = lambda core: None  # type: ignore[method-assign,assignment]
    account.move(account.status("a").id, [1], "Archive")
    account.delete("a")
    assert bring(store) == ["restored"]
    assert subjects(store, account, "a") == ["two"]
    assert subjects(store, account, "Archive") == ["one"]


def test_a_message_that_is_still_somewhere_is_left_alone(store: MailStore, account: Account) -> None:
    add(account, "one")
    inbox = account.status("INBOX").id
    account.copy(inbox, [1], "Archive")
    account.expunge(inbox, [1])
    assert bring(store) == ["there"]
    assert subjects(store, account) == [] and subjects(store, account, "Archive") == ["one"]
    account.expunge(account.status("Archive").id, [1])
    assert sorted(bring(store)) in (["restored", "there"], ["restored", "restored"])
    assert len(subjects(store, account)) + len(subjects(store, account, "Archive")) == 1


def test_a_crash_in_the_middle_neither_loses_nor_doubles(store: MailStore, account: Account) -> None:
    uids = add(account, "one", "two", keywords=("$Work",))
    inbox = account.status("INBOX").id
    account.expunge(inbox, uids)
    found = restore.find(store, ALICE, ALL)
    for kept in found:  # as far as the link, without a row
        os.link(kept.path, account.core.maildir / "cur" / f"{kept.record.base}:2,")
    account.refresh(inbox)
    assert bring(store) == ["restored"] * 2
    assert subjects(store, account) == ["one", "two"]
    assert {row.keywords for row in account.rows(inbox)} == {("$Work",)}
    for kept in found:
        assert not kept.path.exists()


def test_lists_that_are_gone_or_broken_cost_only_the_marks(
    store: MailStore, account: Account, home: Path
) -> None:
    add(account, "one", "two", flags=Flags.SEEN)
    account.create("a")
    add(account, "three", folder="a", flags=Flags.FLAGGED, keywords=("$Work",))
    account.expunge(account.status("INBOX").id, [1, 2])
    store.flush()
    account.delete("a")
    (day,) = aside.days(home)
    (day / aside.INDEX).write_bytes(b'\x00\xff{"base"\n[]\n{"base": "x", "internal_at": 1e99}\n')
    for path in day.glob("folder-*.jsonl"):
        path.write_bytes(b"")
    assert bring(store) == ["restored"] * 3
    assert subjects(store, account) == ["one", "three", "two"]
    three = next(row for row in account.rows(account.status("INBOX").id) if row.flags & Flags.FLAGGED)
    assert three.flags == Flags.FLAGGED


def test_strange_entries_are_not_brought_back(
    store: MailStore, account: Account, home: Path, tmp_path: Path
) -> None:
    add(account, "one")
    account.expunge(account.status("INBOX").id, [1])
    store.flush()
    (day,) = aside.days(home)
    secret = tmp_path / "secret"
    secret.write_text("Subject: secret\n\n")
    (day / "1.x.1").symlink_to(secret)
    (day / "folder-9").symlink_to(tmp_path)
    (day / "dir").mkdir()
    (home / aside.PLACE / "2020-01-01").symlink_to(tmp_path)
    assert bring(store) == ["restored"]
    assert secret.exists()


def test_a_rebuilt_mailbox_can_still_be_restored(
    store: MailStore, account: Account, root: Path, home: Path, clock: Clock
) -> None:
    add(account, "one", keywords=("$Work",))
    account.expunge(account.status("INBOX").id, [1])
    store.close()
    (home / "account.db").unlink()
    again = MailStore(root, now=clock, random_bytes=os.urandom, boot="first boot")
    assert bring(again) == ["restored"]
    assert [row.keywords for row in again.account(ALICE).rows(again.account(ALICE).status("INBOX").id)] == [
        ("$Work",)
    ]
    again.close()


def test_nobody_is_nobody(store: MailStore) -> None:
    with pytest.raises(PermanentFailure):
        restore.find(store, ALICE, ALL)


# -- the time things are kept ----------------------------------------------------------------


def purge(home: Path, days: float, keep_days: int = 14) -> list[str]:
    return aside.purge(home, keep_days=keep_days, elapsed_s=days * DAY_S)


def test_a_day_goes_when_its_time_has_passed(
    store: MailStore, account: Account, home: Path, clock: Clock
) -> None:
    add(account, "one", "two")
    account.expunge(account.status("INBOX").id, [1])
    store.flush()
    assert purge(home, 100) == [] and purge(home, 113.9) == []
    clock.advance(3 * DAY_S)
    account.expunge(account.status("INBOX").id, [2])
    store.flush()
    assert purge(home, 114) == ["2026-01-01"]
    assert purge(home, 127.9) == [] and purge(home, 128) == ["2026-01-04"]
    assert bring(store) == []


@pytest.mark.parametrize("jump", [DAY_S, -DAY_S, 10 * 365 * DAY_S, -START])
def test_nothing_goes_early_whatever_the_clock_says(
    store: MailStore, account: Account, home: Path, clock: Clock, jump: float
) -> None:
    # F28: set aside on a wrong day, or added to a day that is nearly over
    add(account, "one", "two", "three")
    inbox = account.status("INBOX").id
    account.expunge(inbox, [1])
    store.flush()
    purge(home, 0)
    clock.advance(jump)
    account.expunge(inbox, [2])
    store.flush()
    purge(home, 13)
    clock.advance(-jump)
    account.expunge(inbox, [3])
    store.flush()
    assert purge(home, 14) == []
    assert bring(store) == ["restored"] * 3


def test_a_purge_that_was_cut_short_is_finished(store: MailStore, account: Account, home: Path) -> None:
    add(account, "one")
    account.expunge(account.status("INBOX").id, [1])
    store.flush()
    (day,) = aside.days(home)
    os.rename(day, day.with_name(".purged-2026-01-01"))
    assert aside.days(home) == [] and purge(home, 0) == []
    assert not list((home / aside.PLACE).glob(".purged*"))


def test_lost_ages_keep_things_longer(store: MailStore, account: Account, home: Path) -> None:
    add(account, "one")
    account.expunge(account.status("INBOX").id, [1])
    store.flush()
    purge(home, 0)
    (home / aside.PLACE / "seen.json").write_text("{")
    assert purge(home, 14) == [] and purge(home, 28) == ["2026-01-01"]


def test_with_nothing_to_be_kept_nothing_is(root: Path, clock: Clock, home: Path) -> None:
    store = MailStore(
        root, now=clock, random_bytes=os.urandom, options=MailboxOptions(expunged_keep_days=0), boot="b"
    )
    account = store.account(ALICE)
    add(account, "one")
    account.create("a")
    account.expunge(account.status("INBOX").id, [1])
    account.delete("a")
    store.close()
    assert purge(home, 0, keep_days=0) == ["2026-01-01"]


def test_a_crash_before_the_file_moves_is_made_good(account: Account, store: MailStore, home: Path) -> None:
    add(account, "one")
    doomed = aside.Doomed(1, "INBOX", "never-moved", 0, "", 0, 1)
    aside.prepare(account.core, [doomed])
    account.expunge(account.status("INBOX").id, [1])
    assert bring(store) == ["restored"]


def test_long_base_names_fit(account: Account, store: MailStore) -> None:
    base = "x" * 250
    account.folders()
    path = account.core.maildir / "cur" / f"{base}:2,S"
    path.write_bytes(octets("long"))
    inbox = account.status("INBOX")
    account.expunge(inbox.id, [row.uid for row in account.rows(inbox.id)])
    assert bring(store) == ["restored"]
    assert subjects(store, account) == ["long"]
    shutil.rmtree(account.core.home / aside.PLACE)


def test_a_mailbox_from_another_machine_is_not_purged_by_that_machines_clock(
    store: MailStore, account: Account, home: Path
) -> None:
    account.expunge(account.status("INBOX").id, add(account, "one"))
    store.flush()
    assert aside.purge(home, keep_days=14, elapsed_s=0, clock="here") == []
    assert aside.purge(home, keep_days=14, elapsed_s=900 * DAY_S, clock="there") == []
    assert aside.purge(home, keep_days=14, elapsed_s=913 * DAY_S, clock="there") == []
    assert aside.purge(home, keep_days=14, elapsed_s=914 * DAY_S, clock="there") == ["2026-01-01"]
