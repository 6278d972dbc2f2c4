"""verify, repair and rebuild; and the command."""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import sqlite3
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from mailstack.imap.commands.select import _load
from mailstack.mailbox import account as account_module
from mailstack.mailbox import ready, recover
from mailstack.mailbox.store import Account, MailStore
from mailstack.model.address import Address
from mailstack.model.errors import PermanentFailure
from mailstack.model.mailbox import Flags, NewMessage
from tests.kit.clock import Clock
from tests.kit.process import mailstack

MESSAGE = b"Subject: hello\r\n\r\nbody\r\n"
ALICE = Address.parse("alice@example.test")


def fill(account: Account, store: MailStore) -> None:
    account.append("INBOX", [NewMessage(MESSAGE)] * 3)
    account.create("work")
    account.append("work", [NewMessage(MESSAGE, flags=Flags.SEEN)])
    account.texts(account.status("INBOX").id, [1, 2, 3])
    store.flush()


def found(store: MailStore, *, repair: bool = False) -> list[str]:
    return [finding.what for finding in recover.verify(store, ALICE, repair=repair)]


def test_a_mailbox_in_order_has_no_findings(account: Account, store: MailStore) -> None:
    fill(account, store)
    assert found(store) == []
    assert found(store, repair=True) == []


def test_verify_finds_and_repairs_without_removing_a_message(
    account: Account, store: MailStore, maildir: Path
) -> None:
    fill(account, store)
    inbox = account.status("INBOX").id
    one, two, three = sorted((maildir / "cur").iterdir())
    one.unlink()
    two.write_bytes(MESSAGE + b"more\r\n")
    three.rename(f"{three}S")
    (maildir / "new" / "1.unknown").write_bytes(MESSAGE)
    (maildir / "cur" / "folder").mkdir()
    (maildir / ".by hand" / "cur").mkdir(parents=True)
    (maildir / ".caf\u00e9" / "cur").mkdir(parents=True)
    (maildir / ".Trash" / "tmp").rmdir()
    with account.core.db.write("test", durable_commit=False) as connection:
        connection.execute("UPDATE folders SET messages = 77 WHERE name = 'work'")
        connection.execute("UPDATE folders SET uid_next = 1 WHERE name = 'Drafts'")
    account.core.forget_looks()
    findings = found(store)
    text = "\n".join(findings)
    for wanted in (
        "INBOX: 1 files without a row",
        "INBOX: 1 rows without a file",
        "INBOX: 1 files under another name",
        "changed on disk",
        "'cur/folder' is no message file",
        "folder by hand is not in the index",
        "Maildir/.café is no folder",
        "Trash: the directory tmp/ is missing",
        "work: the counters were wrong",
    ):
        assert wanted in text
    assert len(account.rows(inbox)) == 3  # only looked at
    before = {path for path in maildir.rglob("*") if path.is_file()}
    repaired = recover.verify(store, ALICE, repair=True)
    assert {finding.what for finding in repaired if not finding.repaired} == {
        "INBOX: 'cur/folder' is no message file and is not shown",
        "Maildir/.café is no folder: the directory's name is not modified UTF-7",
    }
    left = found(store)
    assert len(left) == 2
    after = {path for path in maildir.rglob("*") if path.is_file()}
    assert {path.name.partition(":")[0] for path in before} <= {path.name.partition(":")[0] for path in after}
    status = account.status("INBOX")
    assert (status.messages, status.unseen) == (3, 2)
    assert account.status("work").messages == 1


def test_uidnext_behind_its_messages_is_put_right(account: Account, store: MailStore) -> None:
    fill(account, store)
    with account.core.db.write("test", durable_commit=False) as connection:
        connection.execute(
            "UPDATE folders SET uid_next = 2, uid_reserved = 2, modseq = 1, modseq_reserved = 1"
        )
    assert any("UIDNEXT" in what for what in found(store))
    found(store, repair=True)
    assert found(store) == []
    assert account.append("INBOX", [NewMessage(MESSAGE)]).uids[0] > 3


def test_repair_goes_on_behind_the_reserved_block(account: Account, store: MailStore) -> None:
    fill(account, store)
    before = account.status("INBOX").uid_next
    found(store, repair=True)
    assert account.status("INBOX").uid_next > before + 500


def test_texts_of_messages_that_are_gone_are_no_fault_and_go(account: Account, store: MailStore) -> None:
    fill(account, store)
    epoch = account.core.db.epoch
    before = set(account.core.cache.mids(epoch))
    texts = account.core.cache.get(epoch, account.core.cache.mids(epoch))
    account.core.cache.put(epoch, [(99, next(iter(texts.values())))])
    assert found(store) == []
    assert 99 in account.core.cache.mids(epoch)
    assert found(store, repair=True) == []
    assert set(account.core.cache.mids(epoch)) == before
    account.core.cache.put(epoch, [(99, next(iter(texts.values())))])
    assert (ready.sweep(account.core), ready.sweep(account.core)) == (1, 0)


def test_a_damaged_database_is_rebuilt_and_set_aside(
    account: Account, store: MailStore, home: Path, root: Path, clock: Clock
) -> None:
    # F23
    fill(account, store)
    before = account.status("INBOX").uid_validity
    store.close()
    data = bytearray((home / "account.db").read_bytes())
    for page in range(1, len(data) // 4096):
        data[page * 4096 : page * 4096 + 60] = random.Random(7).randbytes(60)
    (home / "account.db").write_bytes(data)
    other = MailStore(root, now=clock, random_bytes=os.urandom, boot="first boot")
    assert any("damaged" in what for what in found(other))
    rebuilt = recover.rebuild(other, ALICE)
    assert (rebuilt.account, rebuilt.folders, rebuilt.messages) == (str(ALICE), 9, 4)
    assert Path(rebuilt.set_aside).read_bytes() == data
    again = other.account(ALICE)
    assert again.status("INBOX").uid_validity > before
    assert again.rows(again.status("work").id)[0].flags == Flags.SEEN
    assert found(other) == []
    other.close()


def test_a_rebuild_is_noticed_by_a_process_that_has_the_mailbox_open(
    account: Account, store: MailStore, root: Path, clock: Clock
) -> None:
    fill(account, store)
    before = account.status("INBOX")
    other = MailStore(root, now=clock, random_bytes=os.urandom, boot="first boot")
    recover.rebuild(other, ALICE)
    other.close()
    assert account.deliver("INBOX", NewMessage(MESSAGE), base_name="1.new").uid == 4
    after = account.status("INBOX")
    assert after.uid_validity > before.uid_validity
    assert after.messages == 4
    assert found(store) == []


#: What finds a folder by its name and then works with its id.
BY_NAME: dict[str, Callable[[Account], object]] = {
    "status": lambda account: account.status("INBOX").messages == 4,
    "maildrop": lambda account: len(account.maildrop(["INBOX", "work"])) == 5,
    "annotate": lambda account: account.annotate("work", {"/private/comment": b"mine"}),
    "annotations": lambda account: "/private/comment" in account.annotations("work"),
    "grant": lambda account: account.grant("work", "bob@example.test", "lr"),
    "access": lambda account: "carol@example.test" in account.access("work"),
    "select": lambda account: len(_load(account, **SELECT).view) == 4,
    "append": lambda account: account.append("INBOX", [NewMessage(MESSAGE)]),
    "deliver": lambda account: account.deliver("work", NewMessage(MESSAGE), base_name="1.new"),
}
SELECT: Final[dict[str, Any]] = {"name": "INBOX", "resync": None, "read_only": False, "with_entry": True}


@pytest.mark.parametrize("noticed_at", range(1, 7))
@pytest.mark.parametrize("doing", BY_NAME)
def test_a_rebuild_never_shows_a_folder_as_empty_or_gone(
    account: Account,
    store: MailStore,
    maildir: Path,
    root: Path,
    clock: Clock,
    doing: str,
    noticed_at: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(account, store)
    account.annotate("work", {"/private/comment": b"mine"})
    account.grant("work", "carol@example.test", "lr")
    other = MailStore(root, now=clock, random_bytes=os.urandom, boot="first boot")
    recover.rebuild(other, ALICE)
    other.close()
    (maildir / "new" / "1.unknown").write_bytes(MESSAGE)
    db, reads = account.core.db, itertools.count(1)
    lock = db._lock_for_reading

    def notices_late() -> tuple[sqlite3.Connection, threading.RLock]:
        if next(reads) == noticed_at:
            db._check_inode()
        return lock()

    monkeypatch.setattr(account_module, "_CHECK_S", math.inf)
    monkeypatch.setattr(db, "_lock_for_reading", notices_late)
    assert BY_NAME[doing](account) is not False
    assert account.status("INBOX").messages + account.status("work").messages in (5, 6)


def test_every_mailbox_of_a_root_is_checked(store: MailStore, root: Path, clock: Clock) -> None:
    for name in ("alice", "bob"):
        store.account(Address.parse(f"{name}@example.test")).append("INBOX", [NewMessage(MESSAGE)])
    store.close()
    (root / "example.test" / "UPPER").mkdir()
    (root / "example.test" / "file").write_text("x")
    next((root / "example.test/bob/Maildir/cur").iterdir()).unlink()
    findings = recover.verify_all(root, False, now=clock, random_bytes=os.urandom)
    assert [(finding.account, finding.repaired) for finding in findings] == [
        ("UPPER@example.test", False),
        ("bob@example.test", False),
    ]
    repaired = recover.verify_all(root, True, now=clock, random_bytes=os.urandom)
    assert {finding.account for finding in repaired if finding.repaired} == {"bob@example.test"}
    assert recover.verify_all(root / "missing", True, now=clock, random_bytes=os.urandom) == []


def test_an_unknown_mailbox_is_said_to_be_unknown(store: MailStore) -> None:
    for call in (recover.rebuild, lambda s, a: recover.verify(s, a, repair=False)):
        with pytest.raises(PermanentFailure) as caught:
            call(store, Address.parse("nobody@example.test"))
        assert caught.value.status == "1.1"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    config = tmp_path / "mailstack.toml"
    config.write_text(
        f'[server]\nhostname = "mx.example.test"\nstate_dir = "{state}"\nrun_dir = "{tmp_path}/run"\n'
    )
    subprocess.run(mailstack("migrate", "--config", config), check=True, capture_output=True, timeout=30)
    return config


def test_the_command(config: Path, clock: Clock) -> None:
    mail = config.parent / "state" / "mail"
    store = MailStore(mail, now=clock, random_bytes=os.urandom)
    store.account(ALICE).append("INBOX", [NewMessage(MESSAGE)])
    store.close()

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            mailstack("mailbox", *words, "--config", config),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    listed = run("list", "alice@example.test", "--json")
    assert listed.returncode == 0, listed.stderr
    folders = json.loads(listed.stdout)
    assert folders[0]["folder"] == "INBOX"
    assert folders[0]["messages"] == 1
    assert "INBOX" in run("list", "alice@example.test").stdout
    assert "in order" in run("verify", "alice@example.test").stdout
    next((mail / "example.test/alice/Maildir/cur").iterdir()).unlink()
    assert run("verify", "alice@example.test").returncode == 65
    mended = run("verify", "alice@example.test", "--repair", "--json")
    assert mended.returncode == 0
    assert all(each["repaired"] for each in json.loads(mended.stdout))
    rebuilt = run("rebuild", "alice@example.test")
    assert rebuilt.returncode == 0
    assert "0 messages in 8 folders" in rebuilt.stdout
    assert run("list", "nobody@example.test").returncode == 67
    assert run("list", "no address").returncode == 65
