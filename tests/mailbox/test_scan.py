"""What other programs do to the files is seen, and shown correctly (F25, I25)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mailstack.mailbox import scan
from mailstack.mailbox.store import Account, MailStore
from mailstack.model.mailbox import Flags, MailboxError, NewMessage
from tests.kit.clock import Clock

MESSAGE = b"Subject: hello\r\n\r\nHello there.\r\n"


def put(maildir: Path, name: str, data: bytes = MESSAGE) -> Path:
    path = maildir / name
    path.write_bytes(data)
    return path


def inbox(account: Account) -> int:
    return account.status("INBOX").id


def shown(account: Account) -> list[tuple[int, Flags, bytes]]:
    """UID, flags and octets of everything in INBOX, after a look at the disk."""
    folder_id = inbox(account)
    account.refresh(folder_id)
    out = []
    for row in account.rows(folder_id):
        opened = account.open(folder_id, row.uid)
        data = opened.read()
        opened.close()
        assert len(data) == row.size_octets
        out.append((row.uid, row.flags, data))
    status = account.status("INBOX")
    assert status.messages == len(out)
    assert status.unseen == sum(1 for _, flags, _ in out if not flags & Flags.SEEN)
    assert status.size_octets == sum(len(data) for _, _, data in out)
    return out


def unchanged(account: Account) -> None:
    """A second look finds nothing more."""
    assert not account.refresh(inbox(account))


def test_files_another_program_put_there_are_shown_oldest_first(account: Account, maildir: Path) -> None:
    folder_id = inbox(account)
    before = account.highest_modseq(folder_id)
    for name, age in (("new/3.young", 10), ("cur/2.old:2,FS", 1000), ("cur/1.x:2,P", 100)):
        path = put(maildir, name, b"Subject: " + name.encode() + b"\r\n\r\n")
        os.utime(path, (time.time() - age, time.time() - age))
    assert account.refresh(folder_id)
    found = shown(account)
    assert [(uid, flags) for uid, flags, _ in found] == [
        (1, Flags.SEEN | Flags.FLAGGED),
        (2, Flags.NONE),
        (3, Flags.NONE),
    ]
    assert b"old" in found[0][2]
    rows = account.rows(folder_id, since_modseq=before)
    assert [row.keywords for row in rows] == [(), ("$Forwarded",), ()]
    assert abs(rows[0].internal_at - (time.time() - 1000)) < 60
    assert account.status("INBOX").recent == 3
    unchanged(account)


@pytest.mark.parametrize(
    ("data", "served"),
    [
        (b"A: b\n\nx\n", b"A: b\r\n\r\nx\r\n"),
        (b"A: b\r\n\nx", b"A: b\r\n\r\nx"),
        (b"A: b\r\n\r\nx\ry\r\n", b"A: b\r\n\r\nx y\r\n"),
        (b"", b""),
        (b"\n" * 200_000, b"\r\n" * 200_000),
    ],
    ids=["lf", "mixed", "cr", "empty", "large"],
)
def test_a_file_with_other_line_ends_is_left_alone_and_served_with_crlf(
    account: Account, maildir: Path, data: bytes, served: bytes
) -> None:
    inbox(account)
    path = put(maildir, "cur/1.x:2,", data)
    assert [octets for _, _, octets in shown(account)] == [served]
    assert path.read_bytes() == data
    texts = account.texts(inbox(account), [1])[1]
    assert b" %d " % (len(served) - texts.header_octets) in texts.body
    account.copy(inbox(account), [1], "Archive")
    opened = account.open(account.status("Archive").id, 1)
    assert opened.read() == served


def test_names_that_others_spell_otherwise_are_put_in_order(account: Account, maildir: Path) -> None:
    inbox(account)
    for name in ("cur/1.x", "cur/2.x:2,SF", "new/3.x:2,S", "cur/4.x:1,y", "new/5.x"):
        put(maildir, name, name.encode())
    found = {data: flags for _, flags, data in shown(account)}
    assert found[b"cur/2.x:2,SF"] == Flags.SEEN | Flags.FLAGGED
    assert found[b"new/3.x:2,S"] == Flags.SEEN
    assert sorted(os.listdir(maildir / "cur")) == ["1.x:2,", "2.x:2,FS", "3.x:2,S", "4.x:2,"]
    (maildir / "cur/1.x:2,").rename(maildir / "cur/1.x:2,TSa")
    assert Flags.DELETED in dict(enumerate(flags for _, flags, _ in shown(account)))[0]
    assert "1.x:2,STa" in os.listdir(maildir / "cur")
    unchanged(account)


def test_a_message_is_known_again_when_its_base_name_got_an_addition(account: Account, maildir: Path) -> None:
    for n in (1, 2):
        account.deliver("INBOX", NewMessage(MESSAGE, keywords=("mine",)), base_name=f"{n}.x")
    folder_id = inbox(account)
    (maildir / "new/1.x").rename(maildir / "cur/1.x,U=7:2,S")  # as mbsync does
    (maildir / "new/2.x").rename(maildir / "new/2.x,U=8")
    found = shown(account)
    assert [(uid, flags) for uid, flags, _ in found] == [(1, Flags.SEEN), (2, Flags.NONE)]
    assert [row.keywords for row in account.rows(folder_id)] == [("mine",), ("mine",)]
    unchanged(account)


def test_two_files_of_one_name_are_one_message(account: Account, maildir: Path, store: MailStore) -> None:
    inbox(account)
    for name, data in (("cur/1.x:2,S", b"one"), ("cur/1.x:2,", b"three"), ("new/1.x", b"four")):
        put(maildir, name, data)
    assert len(shown(account)) == 1
    store.flush()
    assert len(shown(account)) == 1
    assert len([*(maildir / "cur").iterdir(), *(maildir / "new").iterdir()]) == 3


def test_a_removed_file_is_expunged(account: Account, maildir: Path) -> None:
    account.append("INBOX", [NewMessage(MESSAGE)] * 3)
    folder_id = inbox(account)
    before = account.highest_modseq(folder_id)
    sorted((maildir / "cur").iterdir())[1].unlink()
    assert account.refresh(folder_id)
    assert len(shown(account)) == 2
    ((first, last),) = account.expunged(folder_id, since_modseq=before)
    assert first == last
    unchanged(account)


def test_flags_in_a_name_are_taken_over(account: Account, maildir: Path, store: MailStore) -> None:
    account.deliver("INBOX", NewMessage(MESSAGE), base_name="1.x")
    folder_id = inbox(account)
    before = account.highest_modseq(folder_id)
    (maildir / "new/1.x").rename(maildir / "cur/1.x:2,RSa")  # as mutt does; "a" is somebody's keyword
    assert account.refresh(folder_id)
    assert [flags for _, flags, _ in shown(account)] == [Flags.SEEN | Flags.ANSWERED]
    assert [row.uid for row in account.rows(folder_id, since_modseq=before)] == [1]
    account.change_flags(folder_id, [1], "-", flags=Flags.SEEN)
    store.flush()
    assert os.listdir(maildir / "cur") == ["1.x:2,Ra"]  # which stays
    (maildir / "cur/1.x:2,Ra").rename(maildir / "cur/1.x:2,")
    assert [flags for _, flags, _ in shown(account)] == [Flags.NONE]
    unchanged(account)


def test_a_move_to_cur_without_flags_is_no_change(account: Account, maildir: Path) -> None:
    account.deliver("INBOX", NewMessage(MESSAGE), base_name="1.x")
    folder_id = inbox(account)
    before = account.highest_modseq(folder_id)
    (maildir / "new/1.x").rename(maildir / "cur/1.x:2,")
    assert not account.refresh(folder_id)
    assert account.highest_modseq(folder_id) == before
    assert len(shown(account)) == 1


def test_flags_changed_on_both_sides_are_merged(account: Account, maildir: Path, store: MailStore) -> None:
    account.append("INBOX", [NewMessage(MESSAGE, flags=Flags.DRAFT | Flags.SEEN)])
    folder_id = inbox(account)
    (name,) = os.listdir(maildir / "cur")
    account.core.worker.names = lambda core: None  # type: ignore[method-assign,assignment]
    account.change_flags(folder_id, [1], "+", flags=Flags.FLAGGED)
    account.change_flags(folder_id, [1], "-", flags=Flags.DRAFT)
    (maildir / "cur" / name).rename(maildir / "cur" / name.replace("DS", "DR"))
    assert [flags for _, flags, _ in shown(account)] == [Flags.FLAGGED | Flags.ANSWERED]


def test_a_rename_whose_row_was_lost_by_a_crash_changes_nothing(account: Account, maildir: Path) -> None:
    account.append("INBOX", [NewMessage(MESSAGE, flags=Flags.SEEN)])
    folder_id = inbox(account)
    account.core.worker.names = lambda core: None  # type: ignore[method-assign,assignment]
    account.change_flags(folder_id, [1], "=", flags=Flags.FLAGGED)
    (name,) = os.listdir(maildir / "cur")
    (maildir / "cur" / name).rename(maildir / "cur" / name.replace(":2,S", ":2,F"))
    assert not account.refresh(folder_id)
    assert [flags for _, flags, _ in shown(account)] == [Flags.FLAGGED]


def test_after_a_boot_the_rows_win_over_older_names(
    account: Account, maildir: Path, store: MailStore, root: Path, clock: Clock
) -> None:
    account.append("INBOX", [NewMessage(MESSAGE)])
    account.change_flags(inbox(account), [1], "+", flags=Flags.SEEN)
    store.close()
    (name,) = os.listdir(maildir / "cur")
    (maildir / "cur" / name).rename(
        maildir / "cur" / name.replace(":2,S", ":2,")
    )  # the power took the rename
    other = MailStore(root, now=clock, random_bytes=os.urandom, boot="second boot")
    account = other.account(store_address())
    assert [flags for _, flags, _ in shown(account)] == [Flags.SEEN]
    other.close()
    assert os.listdir(maildir / "cur") == [name]


def store_address():  # type: ignore[no-untyped-def]
    from mailstack.model.address import Address

    return Address.parse("alice@example.test")


def test_what_is_no_message_is_left_alone(account: Account, maildir: Path) -> None:
    # F25, T65
    folder_id = inbox(account)
    (maildir / "cur" / "directory").mkdir()
    (maildir / "cur" / "link:2,S").symlink_to(put(maildir, "tmp/target"))
    (maildir / "cur" / "broken").symlink_to("/nowhere")
    os.mkfifo(maildir / "new" / "pipe")
    put(maildir, "cur/.hidden")
    put(maildir, "cur/x.lock")
    with open(os.fsencode(maildir / "new") + b"/\xff\xfe", "wb") as file:
        file.write(MESSAGE)
    put(maildir, "cur/good:2,")
    assert account.refresh(folder_id)
    assert len(shown(account)) == 1
    assert not account.refresh(folder_id)
    assert len(os.listdir(maildir / "cur")) == 6


def test_a_file_that_changed_its_size_is_another_message(account: Account, maildir: Path) -> None:
    # I25: never a literal shorter than announced, never octets of another message
    account.append("INBOX", [NewMessage(MESSAGE)] * 3)
    folder_id = inbox(account)
    account.texts(folder_id, [1, 2, 3])
    one, two, three = sorted((maildir / "cur").iterdir(), key=lambda path: path.stat().st_ino)
    one.write_bytes(MESSAGE[:10])
    two.write_bytes(MESSAGE + b"more\r\n")
    three.write_bytes(b"")
    for uid in (1, 2, 3):
        with pytest.raises(MailboxError) as caught:
            account.open(folder_id, uid)
        assert caught.value.code == "EXPUNGEISSUED"
    found = shown(account)
    assert {uid for uid, _, _ in found} == {4, 5, 6}
    assert sorted(data for _, _, data in found) == sorted([MESSAGE[:10], MESSAGE + b"more\r\n", b""])
    assert (
        b"hello"
        not in account.texts(folder_id, [uid for uid, _, data in found if not data]).popitem()[1].envelope
    )


@pytest.mark.parametrize("what", ["directory", "link", "missing"])
def test_a_message_whose_file_cannot_be_read_is_unavailable_or_gone(
    account: Account, maildir: Path, what: str
) -> None:
    # F20, F25
    account.append("INBOX", [NewMessage(MESSAGE)] * 2)
    folder_id = inbox(account)
    with account.core.db.read() as connection:
        (base,) = connection.execute("SELECT base FROM messages WHERE uid = 1").fetchone()
    path = maildir / f"cur/{base}:2,"
    path.unlink()
    if what == "directory":
        path.mkdir()
    elif what == "link":
        path.symlink_to(next((maildir / "cur").iterdir()))
    with pytest.raises(MailboxError) as caught:
        account.open(folder_id, 1)
    assert caught.value.code in ("UNAVAILABLE", "EXPUNGEISSUED")
    assert sorted(account.texts(folder_id, [1, 2])) == [2]


def test_a_message_renamed_between_two_commands_is_still_read(account: Account, maildir: Path) -> None:
    account.append("INBOX", [NewMessage(MESSAGE)])
    folder_id = inbox(account)
    (name,) = os.listdir(maildir / "cur")
    (maildir / "cur" / name).rename(maildir / "cur" / (name + "FS"))
    opened = account.open(folder_id, 1)
    assert opened.read() == MESSAGE
    opened.close()


def test_folders_made_renamed_and_removed_by_hand(account: Account, maildir: Path) -> None:
    account.create("work")
    account.append("work", [NewMessage(MESSAGE, keywords=("mine",))])
    before = account.status("work")
    (maildir / ".work").rename(maildir / ".jobs.old")  # known again by its marker file
    after = account.status("jobs/old")
    assert (after.id, after.uid_validity, after.messages) == (before.id, before.uid_validity, 1)
    for name in ("tmp", "new", "cur"):
        (maildir / ".by hand" / name).mkdir(parents=True)
    put(maildir, ".by hand/cur/1.x:2,S")
    (maildir / ".notes").mkdir()  # somebody's, but no folder
    (maildir / ".caf\u00e9" / "cur").mkdir(parents=True)  # not modified UTF-7
    names = {entry.name for entry in account.folders() if entry.exists}
    assert {"by hand", "jobs/old"} <= names
    assert not {"work", "notes", "café"} & names
    assert account.status("by hand").messages == 1
    for path in sorted((maildir / ".by hand").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (maildir / ".by hand").rmdir()
    assert "by hand" not in {entry.name for entry in account.folders() if entry.exists}


def test_a_copied_folder_is_a_folder_of_its_own(account: Account, maildir: Path) -> None:
    account.create("work")
    account.append("work", [NewMessage(MESSAGE)])
    subprocess.run(["cp", "-r", maildir / ".work", maildir / ".copy"], check=True)
    one, two = account.status("work"), account.status("copy")
    assert (one.messages, two.messages) == (1, 1)
    assert one.object_id != two.object_id


def test_a_whole_maildir_may_be_taken_away(account: Account, maildir: Path) -> None:
    account.append("INBOX", [NewMessage(MESSAGE)])
    maildir.rename(maildir.parent / "elsewhere")
    assert shown(account) == []
    assert [entry.name for entry in account.folders() if entry.exists] == ["INBOX"]
    account.append("INBOX", [NewMessage(MESSAGE)])
    assert [uid for uid, _, _ in shown(account)] == [2]


def test_a_look_is_cheap_when_nothing_changed(
    account: Account, maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.append("INBOX", [NewMessage(MESSAGE)] * 10)
    folder_id = inbox(account)
    time.sleep(0.06)  # directory times must be older than a clock tick to be trusted
    account.refresh(folder_id)
    monkeypatch.setattr(os, "listdir", lambda path: pytest.fail("it listed a directory"))
    assert not account.refresh(folder_id)


def test_a_folder_is_settled_until_another_program_touches_it(account: Account, maildir: Path) -> None:
    folder_id = inbox(account)
    assert not account.is_settled(folder_id)  # what has only just changed may change again
    aged(maildir)
    account.refresh(folder_id)
    assert account.is_settled(folder_id)
    file = put(maildir, "new/1.x")
    assert not account.is_settled(folder_id)
    aged(maildir)
    account.refresh(folder_id)
    assert account.is_settled(folder_id)
    file.unlink()
    assert not account.is_settled(folder_id)
    subprocess.run(["rm", "-r", maildir / "new"], check=True)
    assert not account.is_settled(folder_id)
    folder = account.create("gone").id
    account.delete("gone")
    assert not account.is_settled(folder)


def aged(maildir: Path) -> None:
    """The folder was last changed long ago."""
    for name in ("new", "cur"):
        os.utime(maildir / name, (time.time() - 100, time.time() - 100))


def test_a_change_within_the_same_clock_tick_is_not_missed(account: Account, maildir: Path) -> None:
    folder_id = inbox(account)
    for n in range(30):
        put(maildir, f"cur/{n}.x:2,")
        account.refresh(folder_id)
        assert len(account.rows(folder_id)) == n + 1


def test_many_files_are_taken_in_at_once(
    account: Account, maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "BATCH", 7)
    folder_id = inbox(account)
    for n in range(50):
        put(maildir, f"new/{n}.x")
    assert account.refresh(folder_id)
    assert len(shown(account)) == 50
    unchanged(account)


OTHER = """
import os, sys, time
from pathlib import Path
maildir = Path(sys.argv[1])
until = time.monotonic() + 1.5
n = 0
while time.monotonic() < until:
    n += 1
    (maildir / f"tmp/o{n}").write_bytes(b"Subject: o%d\\r\\n\\r\\n" % n)
    (maildir / f"tmp/o{n}").rename(maildir / f"new/o{n}")
    if n % 2:
        (maildir / f"new/o{n}").rename(maildir / f"cur/o{n}:2,")
        (maildir / f"cur/o{n}:2,").rename(maildir / f"cur/o{n}:2,S")
    if n % 3 == 0:
        for path in [*maildir.glob(f"new/o{n}"), *maildir.glob(f"cur/o{n}:*")]:
            path.unlink()
    time.sleep(0.002)
print(n)
"""


def test_another_program_at_work_at_the_same_time(account: Account, maildir: Path, store: MailStore) -> None:
    folder_id = inbox(account)
    other = subprocess.Popen([sys.executable, "-c", OTHER, str(maildir)], stdout=subprocess.PIPE)
    ours = 0
    seen: dict[int, str] = {}
    while other.poll() is None:
        account.deliver("INBOX", NewMessage(MESSAGE), base_name=f"1.ours{ours}")
        ours += 1
        account.refresh(folder_id)
        for row in account.rows(folder_id):
            assert seen.setdefault(row.uid, row.email_id) == row.email_id
        if ours % 10 == 0:
            account.change_flags(
                folder_id, [row.uid for row in account.rows(folder_id)][-5:], "+", flags=Flags.FLAGGED
            )
            store.flush()
        time.sleep(0.005)
    assert other.stdout is not None
    theirs = int(other.stdout.read())
    other.stdout.close()
    time.sleep(0.06)
    store.flush()
    found = shown(account)
    assert len(found) == ours + theirs - theirs // 3
    assert len({uid for uid, _, _ in found}) == len(found)
