"""Delivery: durable, once, and what a crash leaves behind (F1 to F7)."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mailstack.delivery.local import Job, base_name
from mailstack.mailbox import recover, scan
from mailstack.mailbox.store import Account, MailStore
from mailstack.model.address import Address
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import Flags, MailboxError, NewMessage
from mailstack.model.quota import Limits
from tests.kit.clock import Clock
from tests.kit.mailboxes import files, uids

MESSAGE = b"Subject: hello\r\nX: y\r\n\r\nHello there.\r\n"
ALICE = Address.parse("alice@example.test")


def body(account: Account, folder: str, uid: int) -> bytes:
    opened = account.open(account.status(folder).id, uid)
    try:
        return opened.read()
    finally:
        opened.close()


def test_a_delivered_message_is_stored_with_its_prefix_and_without_the_cuts(
    account: Account, maildir: Path
) -> None:
    cut = MESSAGE.index(b"X: y")
    delivery = account.deliver(
        "INBOX",
        NewMessage(MESSAGE, internal_at=1000),
        base_name="1.a_1_1.mx",
        prefix=b"Received: x\r\n",
        cuts=[(cut, cut + 6)],
    )
    assert (delivery.folder, delivery.uid, delivery.again) == ("INBOX", 1, False)
    assert files(maildir) == ["new/1.a_1_1.mx"]
    assert body(account, "INBOX", 1) == b"Received: x\r\nSubject: hello\r\n\r\nHello there.\r\n"
    assert account.rows(account.status("INBOX").id)[0].internal_at == 1000
    assert list((maildir / "tmp").iterdir()) == []


@pytest.mark.parametrize("size", [10, 300_000, 1_000_000])
def test_prefix_and_cuts_work_for_a_file_too(account: Account, tmp_path: Path, size: int) -> None:
    data = b"A: b\r\nX: y\r\n\r\n" + b"0123456\r\n" * (size // 9)
    path = tmp_path / "spooled"
    path.write_bytes(data)
    for number, message in enumerate((NewMessage(None, str(path)), NewMessage(data))):
        account.deliver(
            "INBOX", message, base_name=f"1.{number}", prefix=b"P: q\r\n", cuts=[(6, 12), (14, 14), (23, 32)]
        )
    assert (
        body(account, "INBOX", 1)
        == body(account, "INBOX", 2)
        == b"P: q\r\n" + data[:6] + data[12:23] + data[32:]
    )
    assert path.read_bytes() == data


def test_the_same_name_is_delivered_once(account: Account, store: MailStore, maildir: Path) -> None:
    # P3
    first = account.deliver("INBOX", NewMessage(MESSAGE), base_name="1.a")
    again = account.deliver("INBOX", NewMessage(b"something else"), base_name="1.a")
    assert (again.uid, again.again) == (first.uid, True)
    account.move(account.status("INBOX").id, [first.uid], "Archive")
    moved = account.deliver("INBOX", NewMessage(MESSAGE), base_name="1.a")
    assert (moved.folder, moved.uid, moved.again) == ("Archive", 1, True)
    store.flush()
    assert (files(maildir), len(files(maildir / ".Archive"))) == ([], 1)


def test_a_file_whose_row_was_lost_is_not_written_again(account: Account, maildir: Path) -> None:
    # P3: the crash came between rename and row
    (maildir / "new").mkdir(parents=True, exist_ok=True)
    account.status("INBOX")
    (maildir / "new" / "1.a").write_bytes(MESSAGE)
    inode = (maildir / "new" / "1.a").stat().st_ino
    delivery = account.deliver("INBOX", NewMessage(MESSAGE), base_name="1.a")
    assert delivery.uid == 1
    assert (maildir / "new" / "1.a").stat().st_ino == inode
    assert uids(account) == [1]


def test_flags_are_in_the_name_from_the_start(account: Account, maildir: Path) -> None:
    message = NewMessage(MESSAGE, flags=Flags.SEEN | Flags.FLAGGED, keywords=("$Forwarded", "work"))
    account.deliver("Spam", message, base_name="1.a")
    assert files(maildir / ".Spam") == ["cur/1.a:2,FPS"]
    (row,) = account.rows(account.status("Spam").id)
    assert (row.flags, row.keywords) == (Flags.SEEN | Flags.FLAGGED, ("$Forwarded", "work"))


def test_a_missing_folder_is_made_when_wanted_else_it_is_inbox(account: Account) -> None:
    # V10
    assert account.deliver("nix", NewMessage(MESSAGE), base_name="1.a").folder == "INBOX"
    assert account.deliver("a/b", NewMessage(MESSAGE), base_name="1.b", create=True).folder == "a/b"
    assert account.deliver("../x", NewMessage(MESSAGE), base_name="1.c", create=True).folder == "INBOX"
    assert account.deliver("x" * 300, NewMessage(MESSAGE), base_name="1.d", create=True).folder == "INBOX"
    assert account.deliver("inbox", NewMessage(MESSAGE), base_name="1.e").folder == "INBOX"
    assert (uids(account), uids(account, "a/b")) == ([1, 2, 3, 4], [1])


def test_a_word_that_cannot_be_a_keyword_does_not_stop_the_mail(account: Account) -> None:
    words = ("good", "not good", "", "x" * 51, "ü", "GOOD", "\\Recent", "fine")
    account.deliver("INBOX", NewMessage(MESSAGE, keywords=words), base_name="1.a")
    assert account.rows(account.status("INBOX").id)[0].keywords == ("good", "fine")


def test_more_keywords_than_a_folder_can_know_are_left_out(account: Account) -> None:
    words = tuple(f"k{n}" for n in range(101))
    account.deliver("INBOX", NewMessage(MESSAGE, keywords=words), base_name="1.a")
    assert account.rows(account.status("INBOX").id)[0].keywords == words[:100]


@pytest.mark.parametrize("gone", ["tmp", "new", "cur"])
def test_a_maildir_that_lost_a_directory_gets_it_back(account: Account, maildir: Path, gone: str) -> None:
    # F26
    for folder in ("INBOX", "Sent"):
        account.status(folder)
        directory = maildir if folder == "INBOX" else maildir / ".Sent"
        (directory / gone).rmdir()
        delivery = account.deliver(folder, NewMessage(MESSAGE), base_name=f"1.{folder}{gone}")
        assert delivery.folder == folder
        assert len(uids(account, folder)) == 1


def test_a_folder_that_was_removed_by_hand_leads_to_inbox(account: Account, maildir: Path) -> None:
    # F26
    account.status("Sent")
    (maildir / ".Sent").rename(maildir.parent / "elsewhere")
    assert account.deliver("Sent", NewMessage(MESSAGE), base_name="1.a").folder == "INBOX"
    assert "Sent" not in {entry.name for entry in account.folders() if entry.exists}


@pytest.mark.parametrize("base", ["../x", "a:2,S", ".x", "", "a/b"])
def test_a_bad_base_name_is_our_mistake(account: Account, base: str) -> None:
    with pytest.raises(ValueError, match="base name"):
        account.deliver("INBOX", NewMessage(MESSAGE), base_name=base)


def test_a_source_that_is_gone_or_shorter_stores_nothing(
    account: Account, tmp_path: Path, maildir: Path
) -> None:
    path = tmp_path / "spooled"
    path.write_bytes(MESSAGE)
    with pytest.raises(MailboxError):
        account.deliver("INBOX", NewMessage(None, str(path)), base_name="1.a", cuts=[(500, 600)])
    path.unlink()
    with pytest.raises(MailboxError):
        account.deliver("INBOX", NewMessage(None, str(path)), base_name="1.a")
    assert uids(account) == []
    assert list((maildir / "tmp").iterdir()) == []


# -- crashes ------------------------------------------------------------------------------

POINTS = (
    "mailbox.tmp_half",
    "mailbox.synced",
    "mailbox.renamed",
    "mailbox.folder_synced",
    "mailbox.row",
)
PROGRAM = textwrap.dedent(
    """
    import os, sys, time
    from pathlib import Path
    from mailstack.mailbox import MailStore
    from mailstack.model.address import Address
    from mailstack.model.errors import TemporaryFailure
    from mailstack.model.mailbox import *
    store = MailStore(Path(sys.argv[1]), now=time.time, random_bytes=os.urandom, boot="first boot")
    account = store.account(Address.parse("alice@example.test"))
    def acknowledged(text): print(text, flush=True)
    """
)
DELIVER = """
for n in range(4):
    try:
        message = NewMessage(b"Subject: %d\\r\\n\\r\\nbody\\r\\n" % n)
        d = account.deliver("INBOX", message, base_name=f"1.n{n}")
        acknowledged(f"{n} {d.uid}")
    except TemporaryFailure as error:
        print(f"failed {n} {error.status} {error.fatal}", flush=True)
"""


def run(root: Path, code: str, fault: str = "") -> tuple[int, list[str]]:
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM + code, str(root)],
        env={**os.environ, "MAILSTACK_FAULT": fault},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert found.returncode in (0, 137), found.stderr
    return found.returncode, found.stdout.split("\n")[:-1]


def check(root: Path, clock: Clock, sent: Sequence[bytes], acked: Sequence[str]) -> MailStore:
    """The accounting rule: acknowledged means once and whole; else zero or one, and whole."""
    store = MailStore(root, now=clock, random_bytes=os.urandom, boot="first boot")
    account = store.account(ALICE)
    inbox = account.status("INBOX")
    rows = account.rows(inbox.id)
    found = {}
    for row in rows:
        data = body(account, "INBOX", row.uid)
        assert data in sent, "a message is not whole"
        assert data not in found, "a message is there twice"
        found[data] = row.uid
    for line in acked:
        number, uid = map(int, line.split())
        assert found[sent[number]] == uid
    assert inbox.messages == len(rows)
    assert inbox.uid_next > max((row.uid for row in rows), default=0)
    return store


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("occurrence", [1, 3])
def test_a_crash_at_any_point_loses_nothing_that_was_acknowledged(
    root: Path, clock: Clock, point: str, occurrence: int
) -> None:
    # F1 to F5
    status, lines = run(root, DELIVER, f"{point}:exit:{occurrence}")
    assert status == 137
    assert len(lines) == occurrence - 1
    sent = [b"Subject: %d\r\n\r\nbody\r\n" % n for n in range(4)]
    store = check(root, clock, sent, lines)
    account = store.account(ALICE)
    # The queue, or the client, tries again: everything is there once in the end.
    for n, data in enumerate(sent):
        account.deliver("INBOX", NewMessage(data), base_name=f"1.n{n}")
    assert sorted(body(account, "INBOX", uid) for uid in uids(account)) == sorted(sent)
    store.close()
    tmp = list((root / "example.test" / "alice" / "Maildir" / "tmp").iterdir())
    assert len(tmp) == (point in ("mailbox.tmp_half", "mailbox.synced"))


@pytest.mark.parametrize("point", POINTS[:-1])
@pytest.mark.parametrize("action", ["enospc", "eio"])
def test_a_failure_at_any_point_is_named_and_leaves_nothing(
    root: Path, clock: Clock, point: str, action: str
) -> None:
    # F16, F19, P7, P8
    status, lines = run(root, DELIVER, f"{point}:{action}:2")
    assert status == 0
    assert lines[1] == ("failed 1 3.1 False" if action == "enospc" else "failed 1 3.0 True")
    acked = [line for line in lines if not line.startswith("failed")]
    assert len(acked) == 3
    sent = [b"Subject: %d\r\n\r\nbody\r\n" % n for n in (0, 2, 3)]
    check(root, clock, [sent[0], b"never", sent[1], sent[2]], acked).close()
    maildir = root / "example.test" / "alice" / "Maildir"
    assert list((maildir / "tmp").iterdir()) == []
    assert len(files(maildir)) == 3


@pytest.mark.parametrize("point", POINTS[1:])
def test_a_crash_in_append_copy_or_move_leaves_zero_or_one_copy(root: Path, clock: Clock, point: str) -> None:
    code = """
account.append("INBOX", [NewMessage(b"Subject: 0\\r\\n\\r\\nbody\\r\\n")])
acknowledged("0 1")
inbox = account.status("INBOX").id
account.copy(inbox, [1], "Archive")
acknowledged("copied")
account.move(inbox, [1], "Sent")
acknowledged("moved")
"""
    data = b"Subject: 0\r\n\r\nbody\r\n"
    for occurrence in (1, 2, 3):
        place = root / str(occurrence)
        # COPY and MOVE write nothing, so "synced" belongs to APPEND alone.
        status, lines = run(place, code, f"{point}:exit:{occurrence}")
        if point == "mailbox.synced" and occurrence > 1:
            assert status == 0
            continue
        assert status == 137
        assert len(lines) == occurrence - 1
        store = MailStore(place, now=clock, random_bytes=os.urandom, boot="first boot")
        account = store.account(ALICE)
        there = {
            name: [body(account, name, uid) for uid in uids(account, name)]
            for name in ("INBOX", "Archive", "Sent")
        }
        assert all(found in ([], [data]) for found in there.values())
        if occurrence > 1:
            assert there["INBOX"] or there["Sent"]
        if occurrence > 2:
            assert there["Archive"]
        store.close()


def test_expunged_messages_stay_expunged_after_a_crash(root: Path, clock: Clock) -> None:
    code = """
account.append("INBOX", [NewMessage(b"Subject: 0\\r\\n\\r\\n"), NewMessage(b"Subject: 1\\r\\n\\r\\n")])
inbox = account.status("INBOX").id
account.expunge(inbox, [1])
account.change_flags(inbox, [2], "+", flags=Flags.SEEN, keywords=["work"])
os._exit(137)
"""
    run(root, code)
    store = MailStore(root, now=clock, random_bytes=os.urandom, boot="first boot")
    account = store.account(ALICE)
    (row,) = account.rows(account.status("INBOX").id)
    assert (row.uid, row.flags, row.keywords) == (2, Flags.SEEN, ("work",))
    store.flush()
    assert len(files(root / "example.test" / "alice" / "Maildir")) == 1
    store.close()


# -- several processes -----------------------------------------------------------------------

MANY = """
name = sys.argv[2]
acked = []
for n in range(40):
    message = NewMessage(b"Subject: %s-%d\\r\\n\\r\\n" % (name.encode(), n))
    d = account.deliver("INBOX", message, base_name=f"1.{name}n{n}")
    acked.append(d.uid)
    if n % 8 == 0:
        inbox = account.status("INBOX").id
        account.change_flags(inbox, [d.uid], "+", flags=Flags.SEEN, keywords=[name])
        account.append("Sent", [NewMessage(b"Subject: sent\\r\\n\\r\\n")])
        account.claim_recent(inbox)
        account.refresh(inbox)
assert acked == sorted(set(acked)), acked
print(" ".join(map(str, acked)))
store.close()
"""


def test_processes_deliver_into_one_account_at_once(root: Path, clock: Clock) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM + MANY, str(root), f"p{n}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for n in range(3)
    ]
    taken: list[int] = []
    for worker in workers:
        out, err = worker.communicate(timeout=60)
        assert worker.returncode == 0, err.decode()
        taken += map(int, out.split())
    assert len(taken) == len(set(taken)) == 120
    store = MailStore(root, now=clock, random_bytes=os.urandom, boot="first boot")
    account = store.account(ALICE)
    assert uids(account) == sorted(taken)
    assert len(uids(account, "Sent")) == 15
    status = account.status("INBOX")
    assert (status.messages, status.unseen) == (120, 105)
    assert not account.refresh(status.id)
    store.close()


def other_process(root: Path, clock: Clock) -> MailStore:
    return MailStore(root, now=clock, random_bytes=os.urandom, boot="first boot")


def meanwhile(account: Account, monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Has something happen once when a delivery's file has its name, and no row yet."""
    sync = account.core.group.sync

    def late(folder: Path | str) -> None:
        monkeypatch.undo()
        act()
        sync(folder)

    monkeypatch.setattr(account.core.group, "sync", late)


def test_what_was_taken_back_after_somebody_saw_it_is_delivered_again(
    account: Account, root: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = other_process(root, clock)

    def seen_and_failed() -> None:
        assert other.account(ALICE).status("INBOX").messages == 1
        raise OSError(errno.ENOSPC, "full")

    meanwhile(account, monkeypatch, seen_and_failed)
    with pytest.raises(TemporaryFailure):
        account.deliver("INBOX", NewMessage(MESSAGE), base_name="1.a")
    delivery = account.deliver("INBOX", NewMessage(MESSAGE), base_name="1.a")
    assert not delivery.again
    assert body(account, "INBOX", delivery.uid) == MESSAGE
    assert account.deliver("INBOX", NewMessage(MESSAGE), base_name="1.a").again
    assert account.status("INBOX").messages == 1
    other.close()


def test_a_message_that_fills_the_mailbox_may_be_seen_before_it_has_its_row(
    store: MailStore, root: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = store.account(ALICE, Limits(len(MESSAGE) // 2, None))
    other = other_process(root, clock)
    meanwhile(account, monkeypatch, lambda: other.account(ALICE).status("INBOX") and None)
    delivery = account.deliver("INBOX", NewMessage(MESSAGE), base_name="1.a")
    assert body(account, "INBOX", delivery.uid) == MESSAGE
    with pytest.raises(TemporaryFailure, match="full"):
        account.deliver("INBOX", NewMessage(MESSAGE), base_name="1.b")
    other.close()


@pytest.mark.parametrize("move", [False, True])
def test_a_message_that_takes_no_more_links_is_copied_octet_by_octet(
    account: Account, maildir: Path, monkeypatch: pytest.MonkeyPatch, move: bool
) -> None:
    # bare line feeds stay: the row says how many octets the file has
    account.status("INBOX")
    (maildir / "cur" / "1.mutt:2,S").write_bytes(b"Subject: x\n\nhello\n")
    inbox = account.status("INBOX").id
    account.change_flags(inbox, [1], "+", flags=Flags.NONE, keywords=("later",))

    def refuse(*arguments: object, **named: object) -> None:
        raise OSError(errno.EMLINK, "too many links")

    monkeypatch.setattr(os, "link", refuse)
    done = (account.move if move else account.copy)(inbox, [1], "Archive")
    assert body(account, "Archive", done.target_uids[0]) == b"Subject: x\r\n\r\nhello\r\n"
    (row,) = account.rows(account.status("Archive").id)
    assert (row.uid, row.keywords) == (1, ("later",))


def test_copies_of_what_was_delivered_are_known_from_copies_of_uploads(account: Account) -> None:
    inbox = account.status("INBOX").id
    account.deliver("INBOX", NewMessage(MESSAGE), base_name="1.a_1_1.mx")
    account.append("INBOX", [NewMessage(MESSAGE)])
    for _ in range(2):  # the second finds the name taken
        account.copy(inbox, [1, 2], "Archive")
    archive = account.status("Archive").id
    assert [account.was_delivered(inbox, uid) for uid in (1, 2, 3)] == [True, False, False]
    assert [account.was_delivered(archive, uid) for uid in (1, 2, 3, 4)] == [True, False, True, False]


def test_what_was_delivered_is_known_as_such_by_the_name_delivery_gives_it(account: Account) -> None:
    job = Job("0123456789abcdefg", 1, 1.0, "mx.example.test", NewMessage(MESSAGE), b"")  # type: ignore[arg-type]
    uid = account.deliver("INBOX", NewMessage(MESSAGE), base_name=base_name(job, 1)).uid
    assert account.was_delivered(account.status("INBOX").id, uid)


def test_what_is_moved_one_by_one_does_not_read_the_target_each_time(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.append("INBOX", [NewMessage(MESSAGE)] * 5)
    inbox, archive = account.status("INBOX").id, account.status("Archive").id
    looks: list[int] = []
    monkeypatch.setattr(scan, "refresh", lambda core, folder_id: looks.append(folder_id))
    for uid in range(1, 6):
        account.move(inbox, [uid], "Archive")
    assert looks == [archive]
    account.core.forget_looks()  # another account.db came into its place
    account.copy(archive, [1], "Archive")
    assert looks == [archive, archive]


def test_a_copy_beside_a_file_without_a_row_has_a_name_of_its_own(
    account: Account, store: MailStore, maildir: Path
) -> None:
    # as after account.db was put back: of two files of one name only one is shown
    account.append("INBOX", [NewMessage(MESSAGE)])
    store.flush()
    [file] = (maildir / "cur").iterdir()
    os.link(file, maildir / ".Archive" / "cur" / f"{file.name}F")
    account.copy(account.status("INBOX").id, [1], "Archive")
    assert account.status("Archive").messages == 2
    assert recover.verify(store, ALICE, repair=False) == []
