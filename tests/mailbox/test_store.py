"""Every method of AccountStore, and the store around it."""

from __future__ import annotations

import os
import random
import stat
import threading
from pathlib import Path

import pytest

from mailstack.mailbox.options import MailboxOptions
from mailstack.mailbox.store import Account, MailStore
from mailstack.mime import lines
from mailstack.model.address import Address
from mailstack.model.errors import ConfigError, TemporaryFailure
from mailstack.model.mailbox import DEFAULT_FOLDERS, AccountStore, Flags, NewMessage
from mailstack.model.quota import Limits, QuotaState
from tests.kit import corpus
from tests.kit.clock import START, Clock
from tests.kit.mailboxes import files, raises
from tests.kit.process import eventually

MESSAGE = b"From: a@b.example\r\nSubject: hello\r\n\r\nHello there.\r\n"


def add(account: Account, *subjects: str, folder: str = "INBOX", flags: Flags = Flags.NONE) -> list[int]:
    messages = [
        NewMessage(b"Subject: %b\r\n\r\nx\r\n" % subject.encode(), flags=flags) for subject in subjects
    ]
    return list(account.append(folder, messages).uids)


def folder_id(account: Account, name: str = "INBOX") -> int:
    return account.status(name).id


def uids(account: Account, name: str = "INBOX") -> list[int]:
    return [row.uid for row in account.rows(folder_id(account, name))]


def body(account: Account, uid: int, name: str = "INBOX") -> bytes:
    opened = account.open(folder_id(account, name), uid)
    try:
        return opened.read()
    finally:
        opened.close()


# -- folders ----------------------------------------------------------------------------


def test_it_is_what_imap_asks_for(account: Account) -> None:
    store: AccountStore = account
    assert store.quota() == QuotaState(0, None, 0, None)


def test_the_first_use_makes_the_default_folders(account: Account, maildir: Path) -> None:
    entries = account.folders()
    assert entries[0].name == "INBOX"
    assert {(entry.name, entry.special_use) for entry in entries} == set(DEFAULT_FOLDERS)
    assert all(entry.exists and entry.subscribed and not entry.has_children for entry in entries)
    for directory in (maildir, maildir / ".Spam"):
        assert {path.name for path in directory.iterdir()} >= {"tmp", "new", "cur"}
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_missing_parents_are_shown_and_vanish_with_their_last_child(account: Account, maildir: Path) -> None:
    account.create("abc/klm/xyz")
    assert (maildir / ".abc.klm.xyz" / "cur").is_dir()
    found = {entry.name: entry for entry in account.folders()}
    assert not found["abc"].exists
    assert not found["abc/klm"].exists
    assert found["abc"].has_children
    assert found["abc/klm/xyz"].exists
    names = [entry.name for entry in account.folders()]
    assert names.index("abc") < names.index("abc/klm") < names.index("abc/klm/xyz")
    account.delete("abc/klm/xyz")
    assert not [entry for entry in account.folders() if entry.name.startswith("abc")]


def test_a_parent_sorts_before_its_children_whatever_they_are_called(account: Account) -> None:
    for name in ("a", "a b", "a/z", "a!", "INBOX/x"):
        account.create(name)
    names = [entry.name for entry in account.folders()]
    assert names.index("a") + 1 == names.index("a/z")
    assert names[:2] == ["INBOX", "INBOX/x"]


def test_folders_that_cannot_be_made(account: Account) -> None:
    account.create("Work", special_use="")
    with raises("ALREADYEXISTS"):
        account.create("Work")
    with raises("ALREADYEXISTS"):
        account.create("inbox")
    with raises("CANNOT"):
        account.create("../x")
    add(account, "kept", folder="Spam")
    for role in ("\\Junk", "\\Nonsense", "\\Flagged", "\\All"):
        with raises("USEATTR"):
            account.create("Other", special_use=role)


def test_a_thousand_folders_and_not_one_more(root: Path, clock: Clock) -> None:
    # I16
    store = MailStore(root, now=clock, random_bytes=os.urandom, options=MailboxOptions(max_folders=20))
    account = store.account(Address.parse("a@b.test"))
    for n in range(20 - len(DEFAULT_FOLDERS)):
        account.create(f"x{n}")
    with raises("LIMIT"):
        account.create("one too many")
    store.close()


def test_deleting_a_folder(account: Account, maildir: Path, home: Path) -> None:
    account.create("a")
    account.create("a/b")
    add(account, "kept aside", folder="a")
    gone = folder_id(account, "a")
    account.delete("a")
    assert not (maildir / ".a").exists()
    assert list((home / "expunged").rglob("cur/*"))  # its messages stay restorable
    assert {entry.name: entry.exists for entry in account.folders() if entry.name[0] == "a"} == {
        "a": False,
        "a/b": True,
    }
    for call in (account.highest_modseq, account.rows, account.claim_recent, account.refresh):
        with raises("NONEXISTENT"):
            call(gone)  # type: ignore[operator]
    for name, code in (("a", "HASCHILDREN"), ("INBOX", "CANNOT"), ("nix", "NONEXISTENT"), ("a//b", "CANNOT")):
        with raises(code):
            account.delete(name)


def test_a_folder_made_again_has_a_higher_uidvalidity(account: Account) -> None:
    # RFC 3501 section 2.3.1.1, also within one second
    seen = []
    for _ in range(3):
        seen.append(account.create("again").uid_validity)
        account.delete("again")
    assert seen == sorted(set(seen))


def test_renaming_takes_children_along_and_keeps_what_is_in_them(account: Account, maildir: Path) -> None:
    for name in ("a", "a/b", "a/b/c", "ab"):
        account.create(name)
    (uid,) = add(account, "inside", folder="a/b")
    before = account.status("a/b")
    account.change_flags(before.id, [uid], "+", flags=Flags.SEEN, keywords=["work"])
    account.rename("a", "x.y/z")
    assert not (maildir / ".a").exists()
    after = account.status("x.y/z/b")
    assert (after.id, after.uid_validity, after.object_id) == (
        before.id,
        before.uid_validity,
        before.object_id,
    )
    assert account.rows(after.id)[0].keywords == ("work",)
    assert b"inside" in body(account, uid, "x.y/z/b")
    names = {entry.name for entry in account.folders() if entry.exists}
    assert {"x.y/z", "x.y/z/b", "x.y/z/b/c", "ab"} <= names
    assert not {"a", "a/b"} & names


def test_a_missing_parent_can_be_renamed(account: Account) -> None:
    account.create("p/q/r")
    account.rename("p", "s")
    assert account.status("s/q/r")


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("nix", "x", "NONEXISTENT"),
        ("Sent", "Trash", "ALREADYEXISTS"),
        ("Sent", "inbox", "ALREADYEXISTS"),
        ("Sent", "Sent", "CANNOT"),
        ("Sent", "Sent/sub", "CANNOT"),  # I16: no orphan
        ("Sent", "a//b", "CANNOT"),
        ("Sent", "/".join("x" * 11), "CANNOT"),
        ("INBOX", "Sent", "ALREADYEXISTS"),
    ],
)
def test_renames_that_are_refused_change_nothing(account: Account, old: str, new: str, code: str) -> None:
    before = account.folders()
    with raises(code):
        account.rename(old, new)
    assert account.folders() == before


def test_a_child_whose_new_name_would_be_too_long_keeps_everything_in_place(account: Account) -> None:
    account.create("a/" + "x" * 200)
    with raises("CANNOT"):
        account.rename("a", "y" * 60)
    assert account.status("a/" + "x" * 200)


def test_renaming_inbox_moves_its_messages(account: Account) -> None:
    # RFC 3501 section 6.3.5
    account.create("INBOX/child")
    add(account, "one", "two", flags=Flags.FLAGGED)
    account.rename("INBOX", "old mail")
    assert uids(account) == []
    assert [row.flags for row in account.rows(folder_id(account, "old mail"))] == [Flags.FLAGGED] * 2
    assert account.status("INBOX/child")


def test_subscriptions_outlive_their_folders(account: Account) -> None:
    account.subscribe("not there", subscribed=True)
    account.subscribe("Sent", subscribed=False)
    found = {entry.name: entry for entry in account.folders()}
    assert (found["not there"].exists, found["not there"].subscribed) == (False, True)
    assert not found["Sent"].subscribed
    account.subscribe("not there", subscribed=False)
    assert "not there" not in {entry.name for entry in account.folders()}
    with raises("CANNOT"):
        account.subscribe("a//b", subscribed=True)


def test_status_counts(account: Account) -> None:
    empty = account.status("INBOX")
    assert (empty.messages, empty.unseen, empty.recent, empty.deleted, empty.size_octets) == (0, 0, 0, 0, 0)
    assert empty.uid_next == 1
    add(account, "one")
    add(account, "two", flags=Flags.SEEN | Flags.DELETED)
    found = account.status("inbox")
    assert (found.messages, found.unseen, found.recent, found.deleted, found.uid_next) == (2, 1, 2, 1, 3)
    assert found.size_octets == sum(row.size_octets for row in account.rows(found.id))
    assert found.highest_modseq == account.highest_modseq(found.id) > empty.highest_modseq
    with raises("NONEXISTENT"):
        account.status("nix")


# -- append, open, texts ------------------------------------------------------------------


def test_an_appended_message_is_there_as_it_was_given(account: Account, maildir: Path) -> None:
    appended = account.append(
        "Sent",
        [NewMessage(MESSAGE, flags=Flags.SEEN, keywords=("Work", "$Forwarded"), internal_at=1_000_000)],
    )
    status = account.status("Sent")
    assert (appended.uid_validity, appended.uids) == (status.uid_validity, (1,))
    (row,) = account.rows(status.id)
    assert (row.flags, row.keywords, row.internal_at) == (Flags.SEEN, ("Work", "$Forwarded"), 1_000_000)
    assert (row.size_octets, row.saved_at) == (len(MESSAGE), int(START))
    assert body(account, 1, "Sent") == MESSAGE
    (name,) = files(maildir / ".Sent")
    assert name.endswith(":2,PS")
    path = maildir / ".Sent" / name
    assert path.read_bytes() == MESSAGE
    assert (stat.S_IMODE(path.stat().st_mode), int(path.stat().st_mtime)) == (0o600, 1_000_000)


def test_line_ends_are_made_crlf(account: Account) -> None:
    # I7
    account.append("INBOX", [NewMessage(b"A: b\n\nx\ry\n")])
    assert body(account, 1) == b"A: b\r\n\r\nx y\r\n"
    assert account.rows(folder_id(account))[0].size_octets == len(body(account, 1))


def test_a_message_may_come_from_a_file(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "big"
    data = b"A: b\r\n\r\n" + b"line\n" * 200_000
    path.write_bytes(data)
    account.append("INBOX", [NewMessage(None, str(path))])
    assert body(account, 1) == lines.normalise(data)
    opened = account.open(folder_id(account), 1)
    assert opened.read(6, 10) == b"\r\nline\r\nli"
    assert opened.read(opened.size_octets + 5) == b""
    assert opened.read(opened.size_octets - 3, 100) == b"e\r\n"
    opened.close()
    opened.close()


def test_appending_is_all_or_nothing(account: Account, maildir: Path, tmp_path: Path) -> None:
    # I6
    missing = NewMessage(None, str(tmp_path / "missing"))
    with raises("UNAVAILABLE"):
        account.append("INBOX", [NewMessage(MESSAGE), NewMessage(MESSAGE), missing])
    with raises("TRYCREATE"):
        account.append("nix", [NewMessage(MESSAGE)])
    with raises("LIMIT"):
        account.append("INBOX", [NewMessage(MESSAGE), NewMessage(MESSAGE, keywords=("x" * 51,))])
    assert files(maildir) == []
    assert list((maildir / "tmp").iterdir()) == []
    assert uids(account) == []


def test_no_append_copy_or_move_crosses_the_quota(store: MailStore, account: Account) -> None:
    size = len(MESSAGE)
    limited = store.account(Address.parse("alice@example.test"), Limits(3 * size + 1))
    with raises("OVERQUOTA"):
        limited.append("INBOX", [NewMessage(MESSAGE)] * 4)
    limited.append("INBOX", [NewMessage(MESSAGE)] * 3)
    assert limited.quota() == QuotaState(3 * size, 3 * size + 1, 3, None)
    with raises("OVERQUOTA"):
        limited.append("INBOX", [NewMessage(MESSAGE)])
    with raises("OVERQUOTA"):
        limited.copy(folder_id(account), [1], "Sent")
    assert limited.move(folder_id(account), [1], "Sent").target_uids == (1,)
    limited.move(folder_id(account), [2, 3], "Trash")  # counted on its own
    assert limited.quota().used_octets == size  # what is in Sent
    limited.append("INBOX", [NewMessage(MESSAGE)] * 2)
    limited.copy(folder_id(account), [4], "Trash")
    with raises("OVERQUOTA"):
        limited.copy(folder_id(account), [4], "Trash")
    assert limited.move(folder_id(account), [4], "Trash").target_uids  # throwing away always works
    with raises("OVERQUOTA"):
        limited.move(limited.status("Trash").id, [1, 2], "INBOX")
    few = store.account(Address.parse("alice@example.test"), Limits(messages=3))
    few.append("INBOX", [NewMessage(MESSAGE)])
    with raises("OVERQUOTA"):
        few.append("INBOX", [NewMessage(MESSAGE)])


def test_texts_are_made_and_kept(store: MailStore, account: Account, home: Path) -> None:
    account.append("INBOX", [NewMessage(MESSAGE), NewMessage(b"\xff\x00 no header at all")])
    inbox = folder_id(account)
    found = account.texts(inbox, [1, 2, 3])
    assert sorted(found) == [1, 2]
    assert b'"hello"' in found[1].envelope
    assert found[1].header_octets == MESSAGE.index(b"Hello")
    assert found[1].preview == "Hello there."
    store.flush()
    for path in home.glob("cache.db*"):  # deletable at any time, also while it is open
        path.unlink()
    assert account.texts(inbox, [1, 2]) == found
    assert (home / "cache.db").exists()
    assert account.texts(inbox, []) == {}


def test_a_damaged_cache_is_thrown_away(store: MailStore, account: Account, home: Path) -> None:
    account.append("INBOX", [NewMessage(MESSAGE)] * 20)
    inbox = folder_id(account)
    found = account.texts(inbox, range(1, 21))
    store.close()
    (home / "cache.db").write_bytes(b"junk" * 5000)
    assert account.texts(inbox, range(1, 21)) == found
    store.close()
    data = bytearray((home / "cache.db").read_bytes())
    data[4096:12_000] = random.Random(7).randbytes(12_000 - 4096)
    (home / "cache.db").write_bytes(data)
    assert account.texts(inbox, range(1, 21)) == found


def test_object_ids_are_stable_and_copies_share_theirs(account: Account) -> None:
    # RFC 8474 section 5.1
    add(account, "one", "two")
    inbox = folder_id(account)
    account.copy(inbox, [2], "Archive")
    ids = [row.email_id for row in account.rows(inbox)]
    assert len(set(ids)) == 2
    assert account.rows(folder_id(account, "Archive"))[0].email_id == ids[1]
    assert account.texts(folder_id(account, "Archive"), [1])[1] == account.texts(inbox, [2])[2]


# -- flags ---------------------------------------------------------------------------------


def test_flags_are_added_removed_and_replaced(account: Account) -> None:
    add(account, "one", "two", "three")
    inbox = folder_id(account)
    changed = account.change_flags(inbox, [1, 2, 9], "+", flags=Flags.SEEN | Flags.FLAGGED).rows
    assert [(row.uid, row.flags) for row in changed] == [
        (1, Flags.SEEN | Flags.FLAGGED),
        (2, Flags.SEEN | Flags.FLAGGED),
    ]
    assert len({row.modseq for row in changed}) == 1
    changed = account.change_flags(inbox, [2, 3], "-", flags=Flags.SEEN).rows
    assert [(row.uid, row.flags) for row in changed] == [(2, Flags.FLAGGED)]  # 3 did not change
    changed = account.change_flags(inbox, [1, 2, 3], "=", flags=Flags.FLAGGED, keywords=["a", "B"]).rows
    assert [(row.uid, row.flags, row.keywords) for row in changed] == [
        (u, Flags.FLAGGED, ("a", "B")) for u in (1, 2, 3)
    ]
    status = account.status("INBOX")
    assert (status.unseen, status.deleted) == (3, 0)
    assert status.highest_modseq == changed[0].modseq


def test_a_change_that_changes_nothing_takes_no_modseq(account: Account) -> None:
    add(account, "one")
    inbox = folder_id(account)
    account.change_flags(inbox, [1], "+", flags=Flags.SEEN, keywords=["a"])
    before = account.highest_modseq(inbox)
    assert account.change_flags(inbox, [1], "+", flags=Flags.SEEN, keywords=["A"]).rows == []
    assert account.change_flags(inbox, [1], "-", flags=Flags.DRAFT).rows == []
    assert account.change_flags(inbox, [1], "=", flags=Flags.SEEN, keywords=["a"]).rows == []
    assert account.change_flags(inbox, [], "+", flags=Flags.SEEN).rows == []
    assert account.highest_modseq(inbox) == before


def test_keywords_are_one_whatever_their_case(account: Account) -> None:
    add(account, "one", "two")
    inbox = folder_id(account)
    account.change_flags(inbox, [1], "+", flags=Flags.NONE, keywords=["Work"])
    (row,) = account.change_flags(inbox, [2], "+", flags=Flags.NONE, keywords=["WORK", "work"]).rows
    assert row.keywords == ("Work",)
    assert account.status("INBOX").keywords == ("Work",)
    (row,) = account.change_flags(inbox, [2], "-", flags=Flags.NONE, keywords=["wORK"]).rows
    assert row.keywords == ()


@pytest.mark.parametrize(
    ("keyword", "code"),
    [
        ("x" * 51, "LIMIT"),
        ("", "LIMIT"),
        ("ü", "CANNOT"),
        ("a b", "CANNOT"),
        ("\\Recent", "CANNOT"),
        ("a(", "CANNOT"),
    ],
)
def test_keywords_that_are_refused(account: Account, keyword: str, code: str) -> None:
    # I18
    add(account, "one")
    with raises(code):
        account.change_flags(folder_id(account), [1], "+", flags=Flags.NONE, keywords=[keyword])


def test_a_hundred_keywords_and_not_one_more(account: Account) -> None:
    # limits, section 6
    add(account, "one")
    inbox = folder_id(account)
    words = [f"k{n}" for n in range(100)]
    account.change_flags(inbox, [1], "+", flags=Flags.NONE, keywords=words)
    with raises("LIMIT"):
        account.change_flags(inbox, [1], "+", flags=Flags.NONE, keywords=["more"])
    account.change_flags(inbox, [1], "-", flags=Flags.NONE, keywords=words[:50])
    account.change_flags(inbox, [1], "+", flags=Flags.NONE, keywords=["more"])  # unused ones made room
    assert len(account.status("INBOX").keywords) == 51


def test_file_names_follow_the_flags(store: MailStore, account: Account, maildir: Path) -> None:
    account.deliver("INBOX", NewMessage(MESSAGE), base_name="1.x")
    assert files(maildir) == ["new/1.x"]
    inbox = folder_id(account)
    account.change_flags(inbox, [1], "+", flags=Flags.SEEN | Flags.DRAFT, keywords=["$forwarded"])
    eventually(lambda: files(maildir) == ["cur/1.x:2,DPS"])
    account.change_flags(inbox, [1], "=", flags=Flags.NONE)
    store.close()
    assert files(maildir) == ["cur/1.x:2,"]
    assert account.rows(inbox)[0].flags == Flags.NONE


def test_messages_a_client_was_told_of_leave_new(store: MailStore, account: Account, maildir: Path) -> None:
    for n in (1, 2):
        account.deliver("INBOX", NewMessage(MESSAGE), base_name=f"{n}.x")
    inbox = folder_id(account)
    assert account.claim_recent(inbox) == 1
    assert account.claim_recent(inbox) == 3
    account.deliver("INBOX", NewMessage(MESSAGE), base_name="3.x")
    assert account.status("INBOX").recent == 1
    store.flush()
    assert files(maildir) == ["cur/1.x:2,", "cur/2.x:2,", "new/3.x"]
    assert not account.refresh(inbox)


def test_changes_since_a_modseq(account: Account) -> None:
    # RFC 7162
    add(account, "one", "two", "three")
    inbox = folder_id(account)
    before = account.highest_modseq(inbox)
    assert account.rows(inbox, since_modseq=before) == []
    account.change_flags(inbox, [2], "+", flags=Flags.SEEN)
    add(account, "four")
    assert [row.uid for row in account.rows(inbox, since_modseq=before)] == [2, 4]
    account.expunge(inbox, [1, 3])
    assert account.expunged(inbox, since_modseq=before) == [(1, 1), (3, 3)]
    assert account.expunged(inbox, since_modseq=account.highest_modseq(inbox)) == []
    modseqs = [row.modseq for row in account.rows(inbox)]
    assert max(modseqs) < account.highest_modseq(inbox)


def test_a_forgotten_expunge_log_gives_every_uid_that_is_gone(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mailstack.mailbox import messages

    monkeypatch.setattr(messages, "MAX_EXPUNGED_RANGES", 4)
    monkeypatch.setattr(messages, "LOOK_EVERY", 1)
    add(account, *(str(n) for n in range(30)))
    inbox = folder_id(account)
    start = account.highest_modseq(inbox)
    for n in range(1, 30, 2):
        account.expunge(inbox, [n])
    with account.core.db.read() as connection:
        assert connection.execute("SELECT count(*) FROM expunged").fetchone()[0] <= 6
    assert account.expunged(inbox, since_modseq=start) == [(uid, uid) for uid in range(1, 30, 2)]


# -- expunge, copy, move ---------------------------------------------------------------------


def test_expunging(store: MailStore, account: Account, maildir: Path, home: Path) -> None:
    add(account, "one", "two", "three")
    inbox = folder_id(account)
    assert account.expunge(inbox, [1, 3, 7]) == [1, 3]
    assert account.expunge(inbox, [1]) == []
    assert uids(account) == [2]
    with raises("EXPUNGEISSUED"):
        account.open(inbox, 1)
    store.flush()
    assert len(files(maildir)) == 1
    assert len([path for path in (home / "expunged").rglob("*.mailstack.*") if path.is_file()]) == 2
    assert not account.refresh(inbox)
    assert account.status("INBOX").messages == 1


def test_expunged_files_never_come_back_before_they_are_removed(account: Account) -> None:
    add(account, "one", "two")
    inbox = folder_id(account)
    account.core.worker.doomed = lambda core: None  # type: ignore[method-assign,assignment]
    account.expunge(inbox, [1])
    assert not account.refresh(inbox)
    assert uids(account) == [2]


def test_copying_links_the_file_and_keeps_everything(account: Account, maildir: Path, clock: Clock) -> None:
    account.append("INBOX", [NewMessage(MESSAGE, flags=Flags.SEEN, keywords=("a",), internal_at=77)])
    inbox = folder_id(account)
    clock.advance(100)
    copied = account.copy(inbox, [1, 5], "Archive")
    archive = account.status("Archive")
    assert (copied.uid_validity, copied.source_uids, copied.target_uids) == (archive.uid_validity, (1,), (1,))
    (row,) = account.rows(archive.id)
    assert (row.flags, row.keywords, row.internal_at) == (Flags.SEEN, ("a",), 77)
    assert row.saved_at == int(START) + 100  # RFC 8514
    assert body(account, 1, "Archive") == MESSAGE
    (one,), (two,) = files(maildir), files(maildir / ".Archive")
    assert (maildir / one).samefile(maildir / ".Archive" / two)
    again = account.copy(inbox, [1], "Archive")
    assert again.target_uids == (2,)
    assert len(files(maildir / ".Archive")) == 2
    assert account.copy(inbox, [1], "INBOX").target_uids == (2,)
    assert uids(account) == [1, 2]


def test_moving(account: Account, store: MailStore, maildir: Path) -> None:
    # RFC 6851
    add(account, "one", "two", "three", flags=Flags.FLAGGED)
    inbox = folder_id(account)
    before = account.highest_modseq(inbox)
    moved = account.move(inbox, [1, 3], "Trash")
    assert (moved.source_uids, moved.target_uids) == ((1, 3), (1, 2))
    assert uids(account) == [2]
    assert account.expunged(inbox, since_modseq=before) == [(1, 1), (3, 3)]
    assert body(account, 2, "Trash").startswith(b"Subject: three")
    store.flush()
    assert (len(files(maildir)), len(files(maildir / ".Trash"))) == (1, 2)
    back = account.move(folder_id(account, "Trash"), [1, 2], "INBOX")
    assert back.target_uids == (4, 5)
    store.flush()
    assert [body(account, uid)[9:12] for uid in uids(account)] == [b"two", b"one", b"thr"]


def test_moving_there_and_back_before_the_old_file_is_gone(account: Account, store: MailStore) -> None:
    add(account, "one")
    inbox, trash = folder_id(account), folder_id(account, "Trash")
    for n in range(5):
        account.move(inbox, [2 * n + 1] if n == 0 else uids(account), "Trash")
        account.move(trash, uids(account, "Trash"), "INBOX")
    store.flush()
    account.refresh(inbox)
    assert len(uids(account)) == 1
    assert b"one" in body(account, uids(account)[0])


def test_moving_within_a_folder_gives_new_uids(account: Account, store: MailStore) -> None:
    add(account, "one", "two")
    moved = account.move(folder_id(account), [1], "INBOX")
    assert moved.target_uids == (3,)
    store.flush()
    assert uids(account) == [2, 3]
    assert b"one" in body(account, 3)


def test_copies_that_are_refused_leave_nothing(account: Account, maildir: Path) -> None:
    add(account, "one", "two")
    inbox = folder_id(account)
    for target, code in (("nix", "TRYCREATE"), ("a//b", "CANNOT")):
        for method in (account.copy, account.move):
            with raises(code):
                method(inbox, [1], target)
    (maildir / files(maildir)[1]).unlink()
    with raises("EXPUNGEISSUED"):
        account.copy(inbox, [1, 2], "Archive")
    assert files(maildir / ".Archive") == []
    assert uids(account, "Archive") == []
    assert account.copy(inbox, [99], "Archive").target_uids == ()


# -- the store --------------------------------------------------------------------------------


def test_everything_is_there_after_a_restart(
    store: MailStore, account: Account, root: Path, clock: Clock
) -> None:
    add(account, "one", "two")
    account.change_flags(folder_id(account), [1], "+", flags=Flags.SEEN, keywords=["a"])
    account.create("x/y")
    before = account.rows(folder_id(account)), account.folders(), account.status("INBOX")
    store.close()
    other = MailStore(root, now=clock, random_bytes=os.urandom, boot="first boot")
    account = other.account(Address.parse("Alice@Example.test"))
    assert (account.rows(folder_id(account)), account.folders(), account.status("INBOX")) == before
    other.close()


def test_only_so_many_accounts_stay_open(root: Path, clock: Clock) -> None:
    options = MailboxOptions(max_open_accounts=3)
    store = MailStore(root, now=clock, random_bytes=os.urandom, options=options)
    accounts = [store.account(Address.parse(f"u{n}@b.test")) for n in range(8)]
    for _ in range(2):
        for n, account in enumerate(accounts):
            add(account, f"mail {n}")
    assert sum(account.core.db.is_open for account in accounts) <= 3
    assert all(len(uids(account)) == 2 for account in accounts)
    store.close()
    assert not any(account.core.db.is_open for account in accounts)


def test_threads_may_use_one_account_at_once(account: Account, store: MailStore) -> None:
    inbox = folder_id(account)
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for n in range(15):
                uid = account.deliver("INBOX", NewMessage(MESSAGE), base_name=f"1.t{number}n{n}").uid
                account.change_flags(inbox, [uid], "+", flags=Flags.SEEN)
                account.refresh(inbox)
                if n % 3 == 0:
                    account.move(inbox, [uid], "Archive")
                account.texts(inbox, [uid])
                account.highest_modseq(inbox)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    store.flush()
    account.refresh(inbox)
    found = uids(account)
    assert (len(found), len(uids(account, "Archive"))) == (60, 30)
    assert found == sorted(set(found))


def test_a_symbolic_link_for_a_home_is_refused(store: MailStore, root: Path, tmp_path: Path) -> None:
    # T65
    (tmp_path / "elsewhere").mkdir()
    (root / "b.test").mkdir(parents=True)
    (root / "b.test" / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TemporaryFailure, match="refusing"):
        store.account(Address.parse("a@b.test"))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_options_check_themselves() -> None:
    assert MailboxOptions(expunged_keep_days=0).expunged_keep_days == 0
    with pytest.raises(ConfigError, match=r"mailbox\.max_open_accounts"):
        MailboxOptions(max_open_accounts=0)


def test_the_corpus_comes_back_as_it_went_in(account: Account, store: MailStore) -> None:
    sent = {}
    for name, raw in corpus.messages(every=12, limit=300):
        data = lines.normalise(raw)
        uid = account.deliver("INBOX", NewMessage(data), base_name=f"1.{name.replace('/', '_')}").uid
        sent[uid] = data
    inbox = folder_id(account)
    assert {row.uid: row.size_octets for row in account.rows(inbox)} == {u: len(d) for u, d in sent.items()}
    assert all(body(account, uid) == data for uid, data in sent.items())
    made = account.texts(inbox, list(sent))
    store.flush()
    account.core.cache.remove()
    assert account.texts(inbox, list(sent)) == made
    assert sorted(made) == sorted(sent)
