"""The weekly list of Spam for those who read by POP3.  Real directory, mailboxes, queue and state.db."""

from __future__ import annotations

import email
import io
import os
import sqlite3
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest

from mailstack.app.queue_home import Home
from mailstack.app.spam_digest import MAX_NAMED, SpamDigest
from mailstack.mailbox.maildir import account_home
from mailstack.mailbox.store import MailStore
from mailstack.model.directory import Account
from mailstack.model.mailbox import NewMessage
from mailstack.net.bus import Bus
from mailstack.state.digests import Digests
from mailstack.state.logins import LoginRecords
from mailstack.state.maillog import MailLog
from mailstack.state.senders import LongSenders
from tests.kit.clock import Clock
from tests.kit.instance import Instance, new_instance
from tests.kit.queues import QueueKit

ALICE = "alice@example.test"
WEEK = 7 * 86_400


@dataclass
class Kit:
    instance: Instance
    clock: Clock
    queue: QueueKit
    store: MailStore
    account: Account
    digest: SpamDigest

    def log_in(self, protocol: str) -> None:
        logins = LoginRecords(self.instance.config.paths.state_db, self.instance.config.bans, key=b"k" * 32)
        logins.succeeded(self.account.id, "192.0.2.1", app_password=None, protocol=protocol, now=self.clock())
        logins.close()
        log = MailLog(
            self.instance.config.paths.maillog_db, daemon="imap", now=self.clock, stream=io.StringIO()
        )
        log.login(protocol=protocol, peer="192.0.2.1", account=ALICE, ok=True, mechanism="PLAIN")
        log.close()

    def spam(self, subject: str, *, folder: str = "Spam", reasons: str = "words:4.00") -> None:
        octets = (
            f"X-Mailstack-Verdict: class=spam; score=0.99; action=junk; reason={reasons}\r\n"
            f"From: Ann <ann@far.test>\r\nSubject: {subject}\r\n\r\nx\r\n"
        )
        self.store.account(self.account.address).append(folder, [NewMessage(octets.encode())])

    def letters(self) -> list[EmailMessage]:
        rows = self.queue.queue.read("SELECT id FROM message ORDER BY created_at, id")
        files = [self.queue.paths.queue_messages / str(id_) for (id_,) in rows]
        return [email.message_from_bytes(file.read_bytes(), policy=default) for file in files]


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    instance, clock = new_instance(tmp_path / "i"), Clock()
    with instance.writer(now=clock) as writer:
        account = writer.accounts.add(ALICE)
    paths = instance.config.paths
    store = MailStore(paths.mail, now=clock, random_bytes=os.urandom)
    queue = QueueKit(tmp_path / "q", clock=clock)
    log = MailLog(None, daemon="queue", now=clock, stream=io.StringIO())
    directory, senders = instance.reader(), LongSenders(paths.state_db)
    home = Home(instance.config, directory, store, log, Bus(paths.run, "queue"), senders, clock)
    digest = SpamDigest(queue.queue, home)
    yield Kit(instance, clock, queue, store, account, digest)
    digest.close()
    senders.close()
    directory.close()
    queue.queue.close()
    store.close()


def test_who_reads_by_pop3_alone_hears_of_spam_once_a_week(kit: Kit) -> None:
    kit.spam("from before")
    kit.clock.advance(10)
    kit.log_in("pop3")
    kit.clock.advance(10)
    kit.spam("buy now")
    assert kit.digest.tell() == 0
    kit.clock.advance(WEEK)
    assert kit.digest.tell() == 1
    (letter,) = kit.letters()
    assert letter["to"] == ALICE
    text = letter.get_content()
    assert "Ann <ann@far.test>: buy now" in text and "from before" not in text
    assert "deleted after 30 days" in " ".join(text.split())
    assert kit.digest.tell() == 0
    kit.log_in("pop3")
    kit.clock.advance(WEEK)
    assert kit.digest.tell() == 0, "nothing came"
    assert len(kit.letters()) == 1


def test_who_uses_imap_too_sees_the_folder(kit: Kit) -> None:
    kit.log_in("pop3")
    kit.log_in("imap")
    kit.clock.advance(WEEK)
    kit.spam("buy now")
    assert (kit.digest.tell(), kit.letters()) == (0, [])


def test_who_reads_by_pop3_no_longer_is_forgotten(kit: Kit) -> None:
    digests = Digests(kit.instance.config.paths.state_db)
    logins = LoginRecords(kit.instance.config.paths.state_db, kit.instance.config.bans, key=b"k" * 32)
    logins.succeeded(kit.account.id, "192.0.2.1", app_password=None, protocol="pop3", now=kit.clock())
    logins.close()
    kit.clock.advance(WEEK)
    assert len(digests.due(before=kit.clock())) == 1
    assert kit.digest.tell() == 0
    assert digests.due(before=kit.clock() + WEEK) == []
    digests.close()


def test_a_mailbox_in_trouble_keeps_nobody_elses_list(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    with kit.instance.writer(now=kit.clock) as writer:
        carol = writer.accounts.add("carol@example.test")
    kit.log_in("pop3")
    kit.account, alice = carol, kit.account
    logins = LoginRecords(kit.instance.config.paths.state_db, kit.instance.config.bans, key=b"k" * 32)
    logins.succeeded(carol.id, "192.0.2.1", app_password=None, protocol="pop3", now=kit.clock())
    logins.close()
    log = MailLog(kit.instance.config.paths.maillog_db, daemon="imap", now=kit.clock, stream=io.StringIO())
    log.login(protocol="pop3", peer="192.0.2.1", account=str(carol.address), ok=True, mechanism="PLAIN")
    log.close()
    kit.clock.advance(WEEK)
    kit.spam("buy now")
    home = account_home(kit.instance.config.paths.mail, alice.address)
    home.parent.mkdir(parents=True, exist_ok=True)
    home.write_bytes(b"no folder")
    assert alice.id < carol.id
    assert kit.digest.tell() == 1
    assert f"account {alice.id} waits" in caplog.text
    assert [letter["to"] for letter in kit.letters()] == ["carol@example.test"]


def test_bounces_of_forged_mail_are_one_line(kit: Kit) -> None:
    # product page, section 2.4: "bundled"
    kit.log_in("pop3")
    kit.clock.advance(WEEK)
    kit.spam("buy now")
    for n in range(7):
        kit.spam(f"undeliverable {n}", reasons="backscatter:4.00,words:0.10")
    assert kit.digest.tell() == 1
    text = " ".join(kit.letters()[0].get_content().split())
    assert "undeliverable" not in text
    assert "7 reports about mail that others sent in your name" in text
    assert "8 messages" in text


def test_long_lists_are_cut_and_hostile_subjects_cleaned(kit: Kit) -> None:
    kit.log_in("pop3")
    kit.clock.advance(WEEK)
    for n in range(MAX_NAMED + 3):
        kit.spam(f"=?utf-8?q?x=0D=0ABcc:_evil=40x_{n}?=")
    assert kit.digest.tell() == 1
    (letter,) = kit.letters()
    assert letter["bcc"] is None
    assert "and 3 more" in letter.get_content()
    assert letter.get_content().count("ann@far.test") == MAX_NAMED


def test_a_damaged_mail_log_ends_nothing(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    kit.log_in("pop3")
    kit.clock.advance(WEEK)
    kit.spam("buy now")
    with sqlite3.connect(kit.instance.config.paths.maillog_db) as log:
        log.execute("DROP TABLE owner")
    assert kit.digest.tell() == 0
    assert "waits: reading the mail log" in caplog.text


def test_headers_of_spam_are_not_kept_together(kit: Kit) -> None:
    # M6: half a megabyte of header each
    kit.log_in("pop3")
    kit.clock.advance(WEEK)
    for n in range(20):
        kit.spam(f"{n}\r\nX-Padding: " + "\r\n ".join(["x" * 900] * 500))
    tracemalloc.start()
    try:
        assert kit.digest.tell() == 1
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
