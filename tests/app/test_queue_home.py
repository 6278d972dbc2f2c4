"""Which return paths are here, and deliveries into mailboxes from the queue."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mailstack.app.queue_home import Home
from mailstack.delivery.entry import Entry, EntryRecipient, Facts
from mailstack.delivery.local import dump_retry
from mailstack.delivery.spool import Content
from mailstack.directory import Directory
from mailstack.mailbox import MailStore
from mailstack.model.address import Address
from mailstack.model.mailbox import NewMessage
from mailstack.model.outcome import Deferred, Delivered, Failed
from mailstack.model.verdict import FileInto, Keep
from mailstack.net.bus import Bus
from mailstack.srs import rewrite, short
from mailstack.state.maillog import MailLog
from mailstack.state.senders import LongSenders
from tests.kit.instance import Instance, new_instance
from tests.kit.queues import MESSAGE

ALICE = "alice@example.test"


@dataclass
class HomeKit:
    home: Home
    instance: Instance

    def inbox(self, folder: str = "") -> list[bytes]:
        maildir = self.instance.config.paths.mail / "example.test" / "alice" / "Maildir" / folder
        return [p.read_bytes() for part in ("new", "cur") for p in sorted((maildir / part).glob("*"))]


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[HomeKit]:
    instance = new_instance(tmp_path)
    instance.cli("user", "add", ALICE, "--password", "a-long-password-1")
    instance.cli("alias", "add", "sales@example.test", ALICE)
    config = instance.config
    directory = instance.reader()
    store = MailStore(config.paths.mail, now=time.time, random_bytes=os.urandom, options=config.mailbox)
    bus = Bus(config.paths.run, "queue")
    home = Home(
        config=config,
        directory=directory,
        store=store,
        maillog=MailLog(None, daemon="queue", now=time.time, stream=io.StringIO()),
        bus=bus,
        long_senders=LongSenders(config.paths.state_db),
        now=time.time,
    )
    yield HomeKit(home, instance)
    store.close()
    directory.close()
    bus.close()


@pytest.mark.parametrize(
    ("address", "where"),
    [
        (ALICE, (ALICE, "local")),
        ("Alice@Example.Test", (ALICE, "local")),
        ("alice+lists@example.test", (ALICE, "local")),
        ("sales@example.test", (ALICE, "local")),
        ("nobody@example.test", ("", "local")),
        ("SRS0=forged=AA=x.test=y@example.test", ("", "local")),
        ("someone@far.test", ("someone@far.test", "remote")),
        ("not an address", ("", "local")),
    ],
)
def test_a_return_path_is_a_mailbox_here_an_address_elsewhere_or_nowhere(
    kit: HomeKit, address: str, where: tuple[str, str]
) -> None:
    assert kit.home.where(address) == where


def test_an_srs_address_of_ours_leads_to_the_sender_behind_it(kit: HomeKit) -> None:
    directory: Directory = kit.home.directory
    secrets, now = directory.srs_secrets(), time.time()
    sender = Address("s", "far.test")
    made = rewrite.forward(sender, domain="example.test", secrets=secrets, now=now)
    assert kit.home.where(str(made)) == ("s@far.test", "remote")
    long = Address("x" * 60, "far.test")
    kept = short.shorten(long, domain="example.test", secrets=secrets, now=now)
    kit.home.long_senders.remember(kept.key, long, now=now)
    assert kit.home.where(str(kept.address)) == (str(long), "remote")


def test_the_postmaster_is_found_where_there_is_one(kit: HomeKit) -> None:
    assert kit.home.postmaster() == ""


def entry(address: str = ALICE, detail: str = "") -> tuple[Entry, EntryRecipient, Content]:
    facts = Facts(
        "q1",
        "a1",
        "local",
        "s@far.test",
        "",
        True,
        False,
        "7BIT",
        False,
        False,
        "",
        "",
        len(MESSAGE),
        "",
        time.time(),
    )
    recipient = EntryRecipient(
        1, 1, address, "local", "", frozenset(), "", detail, "(local)", 1, 0, 0, False, False
    )
    return Entry(facts, (recipient,)), recipient, Content(MESSAGE, Path("unused"), len(MESSAGE))


def test_a_message_of_our_own_is_filed_with_the_lines_of_final_delivery(kit: HomeKit) -> None:
    assert isinstance(kit.home.deliver(*entry()), Delivered)
    assert kit.inbox() == [b"Return-Path: <s@far.test>\r\nDelivered-To: alice@example.test\r\n" + MESSAGE]


def test_a_retry_does_what_the_first_attempt_could_not_and_only_once(kit: HomeKit) -> None:
    # P3
    detail = dump_retry(1, time.time(), [FileInto("Lists", (), True)])
    for _ in range(2):
        assert isinstance(kit.home.deliver(*entry(detail=detail)), Delivered)
    assert kit.inbox(".Lists") == [MESSAGE]
    assert kit.inbox() == []


def test_a_full_mailbox_is_tried_until_the_end_and_no_longer(kit: HomeKit) -> None:
    with kit.instance.writer() as writer:
        account = writer.accounts.add("full@example.test", quota_octets=800)
    kit.home.store.of(account).append("INBOX", [NewMessage(b"x: y\r\n\r\n".ljust(400))] * 2)
    asked, recipient, content = entry("full@example.test", dump_retry(1, time.time(), [Keep()]))
    waits = kit.home.deliver(asked, recipient, content)
    assert isinstance(waits, Deferred)
    assert waits.reply.status == "2.2"
    # Who sent it must hear of it some day.
    assert isinstance(kit.home.deliver(asked, replace(recipient, is_last=True), content), Failed)


@pytest.mark.parametrize("address", ["gone@example.test", "sales@example.test", "not an address"])
def test_a_mailbox_that_is_not_there_any_more_fails(kit: HomeKit, address: str) -> None:
    outcome = kit.home.deliver(*entry(address))
    assert isinstance(outcome, Failed)
    assert outcome.reply.status == "1.1"


def test_a_report_is_signed_with_the_keys_of_its_domain_and_goes_out_without_them(kit: HomeKit) -> None:
    message = b"From: postmaster@example.test\r\nTo: x@y.test\r\n\r\nhello\r\n"
    assert kit.home.sign(message, "example.test").count(b"DKIM-Signature:") == 2
    assert kit.home.sign(message, "elsewhere.test") == b""
    kit.instance.config.paths.master_key.unlink()
    kit.instance.cli("domain", "add", "second.test")
    assert kit.home.sign(message, "second.test") == b""
