"""What far servers say to forwards: paused, resumed, told, listed.  Real directory, queue and state.db."""

from __future__ import annotations

import email
import io
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest

from mailstack.app.forward_watch import MAX_NAMED, ForwardWatch
from mailstack.app.queue_home import Home
from mailstack.app.queue_settle import Settler
from mailstack.delivery.entry import HAS_COPY, QueueRecipient, Result
from mailstack.model.address import Address
from mailstack.model.outcome import Deferred, Delivered, Failed, Outcome
from mailstack.model.reply import Reply
from mailstack.net.bus import Bus
from mailstack.state.forward_options import ForwardOptions
from mailstack.state.forward_targets import ForwardTargets
from mailstack.state.maillog import MailLog
from mailstack.state.senders import LongSenders
from mailstack.state.withheld import MAX_ROWS, Withheld, WithheldMail
from tests.kit.clock import START, Clock
from tests.kit.instance import Instance, new_instance
from tests.kit.queues import ME, QueueKit

GONE, ALIAS, FRIEND = "gone@example.test", "out@example.test", "friend@far.test"
POSTMASTER = "alice@example.test"
UNKNOWN = Failed(Reply(550, "1.1", "no such user"))
REFUSED = Failed(Reply(550, "7.1", "we do not like it"))
TAKEN = Delivered("mx.far.test", "250 ok")
LETTER = (
    b"From: =?utf-8?q?J=C3=B6rg?= <x@else.test>\r\nTo: gone@example.test\r\nSubject: an offer\r\n"
    b"Message-ID: <1@else.test>\r\n\r\nHello.\r\n"
)


@dataclass
class Kit:
    instance: Instance
    queue: QueueKit
    watch: ForwardWatch
    settler: Settler
    log: io.StringIO
    targets: ForwardTargets

    def attempt(
        self, outcome: Outcome, *, owner: str = GONE, is_verified: bool = True, detail: str = ""
    ) -> None:
        """One message that is sent on, and what becomes of it."""
        recipient = QueueRecipient(FRIEND, owner=owner, original=owner, detail=detail)
        self.queue.put(
            recipient,
            kind="forward",
            sender="x@else.test",
            owner=owner,
            data=LETTER,
            is_sender_verified=is_verified,
        )
        (entry,) = self.queue.claim("far.test")
        results = [Result(entry.recipients[0], outcome, "mx.far.test[192.0.2.1]")]
        (content,) = [self.queue.queue.content(entry.facts)]
        assert self.settler.settle(entry, results, content)  # type: ignore[arg-type]

    def is_paused(self, owner: str = GONE) -> bool:
        known = self.targets.find(Address.parse(owner), Address.parse(FRIEND))
        return known is not None and known.paused_at is not None

    def letters(self) -> list[EmailMessage]:
        rows = self.queue.queue.read("SELECT id FROM message WHERE kind = 'vacation' ORDER BY created_at, id")
        files = [self.queue.paths.queue_messages / str(id_) for (id_,) in rows]
        return [email.message_from_bytes(file.read_bytes(), policy=default) for file in files]  # type: ignore[misc]

    def told(self) -> list[tuple[str, str]]:
        return sorted((letter["To"], letter["Subject"]) for letter in self.letters())

    def paused_log(self) -> int:
        return self.log.getvalue().count(" forward_paused ")


@pytest.fixture
def kit(tmp_path: Path, clock: Clock) -> Iterator[Kit]:
    instance = new_instance(tmp_path / "i")
    for name in ("alice", "gone"):
        instance.cli("user", "add", f"{name}@example.test")
    instance.cli("alias", "add", "postmaster@example.test", POSTMASTER)
    instance.cli("alias", "add", ALIAS, FRIEND)
    instance.cli("forward", "set", "--no-notice", "--no-check", GONE, FRIEND)
    instance.cli("user", "set", GONE, "--recovery", "me@home.test")
    config, log = instance.config, io.StringIO()
    directory, bus = instance.reader(), Bus(config.paths.run, "queue")
    home = Home(
        config=config,
        directory=directory,
        store=None,  # type: ignore[arg-type]  # no mailbox is opened here
        maillog=MailLog(None, daemon="queue", now=clock, stream=log),
        bus=bus,
        long_senders=LongSenders(config.paths.state_db),
        now=clock,
    )
    queue = QueueKit(tmp_path / "q", clock=clock)
    watch = ForwardWatch(queue.queue, home)
    settler = Settler(queue.queue, home, lease_owner=ME, settled=watch.settled)
    yield Kit(instance, queue, watch, settler, log, ForwardTargets(config.paths.state_db))
    watch.close()
    queue.queue.close()
    directory.close()
    bus.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(
    ("outcome", "times"),
    [
        (UNKNOWN, ForwardOptions().pause_after_unknown),
        (Failed(Reply(551, "2.1", "closed")), ForwardOptions().pause_after_unknown),
        (REFUSED, ForwardOptions().pause_after),
        # After five days "later" is a no as well.
        (Failed(Reply(452, "2.2", "full")), ForwardOptions().pause_after),
    ],
)
def test_a_target_that_keeps_refusing_is_paused_and_its_owner_told_once(
    kit: Kit, outcome: Outcome, times: int
) -> None:
    for _ in range(times - 1):
        kit.attempt(outcome)
    assert not kit.is_paused()
    assert kit.told() == []
    kit.attempt(outcome)
    assert kit.is_paused()
    kit.attempt(outcome)
    assert kit.paused_log() == 1
    subject = f"Paused: mail of {GONE} to {FRIEND}"
    assert kit.told() == [(GONE, subject), ("me@home.test", subject)]
    text = kit.letters()[0].get_content()
    assert outcome.reply.text in text  # type: ignore[union-attr]
    assert f"stays in the mailbox of {GONE}" in " ".join(text.split())


def test_who_forwards_from_an_alias_is_the_postmaster(kit: Kit) -> None:
    for _ in range(3):
        kit.attempt(UNKNOWN, owner=ALIAS)
    ((to, _),) = kit.told()
    assert to == "postmaster@example.test"
    assert "has no mailbox" in " ".join(kit.letters()[0].get_content().split())
    assert not kit.is_paused(GONE), "the same target is another one for another address"


@pytest.mark.parametrize(
    "outcome",
    [
        Failed(Reply(552, "3.4", "too large")),
        Failed(Reply(554, "6.3", "8-bit")),
        Failed(Reply(550, "7.30", "REQUIRETLS")),
        Deferred(Reply(450, "2.0", "later")),
    ],
)
def test_what_is_about_one_message_or_only_for_now_does_not_count(kit: Kit, outcome: Outcome) -> None:
    for _ in range(ForwardOptions().pause_after + 1):
        kit.attempt(outcome)
    assert kit.targets.of(Address.parse(GONE)) == []


def test_a_message_that_is_taken_between_starts_the_count_anew(kit: Kit) -> None:
    for _ in range(2):
        kit.attempt(UNKNOWN)
        kit.attempt(UNKNOWN)
        kit.attempt(TAKEN)
    assert not kit.is_paused()
    assert kit.told() == []


def test_a_test_message_that_is_taken_ends_the_pause_and_the_owner_hears_of_it(kit: Kit) -> None:
    for _ in range(3):
        kit.attempt(UNKNOWN)
    kit.attempt(TAKEN)
    assert not kit.is_paused()
    assert ("me@home.test", f"Sent on again: mail of {GONE} to {FRIEND}") in kit.told()
    assert " forward_resumed " in kit.log.getvalue()


def test_what_an_operator_paused_no_success_resumes(kit: Kit) -> None:
    kit.targets.pause(Address.parse(GONE), Address.parse(FRIEND), why="asked for", now=START)
    kit.attempt(TAKEN)
    assert kit.is_paused()
    assert kit.targets.resume(Address.parse(GONE), Address.parse(FRIEND))
    assert not kit.is_paused()


def test_a_pause_survives_a_restart(kit: Kit) -> None:
    for _ in range(3):
        kit.attempt(UNKNOWN)
    again = ForwardTargets(kit.instance.config.paths.state_db)
    assert [(one.owner, one.target) for one in again.paused()] == [(GONE, FRIEND)]
    again.close()


def test_a_database_in_trouble_undoes_no_outcome(kit: Kit, tmp_path: Path) -> None:
    kit.targets.close()
    kit.instance.config.paths.state_db.write_bytes(b"no database" * 500)
    kit.attempt(UNKNOWN)
    kit.attempt(TAKEN)
    assert kit.queue.queue.read("SELECT 1 FROM message WHERE kind = 'forward'") == []


@pytest.mark.parametrize("has_copy", [True, False])
def test_what_nobody_may_be_told_of_is_in_the_owners_mailbox_once(kit: Kit, has_copy: bool) -> None:
    # Q26
    recipient = QueueRecipient(FRIEND, owner=GONE, original=GONE, detail=HAS_COPY if has_copy else "")
    kit.queue.put(
        recipient, kind="forward", sender="x@else.test", owner=GONE, data=LETTER, is_sender_verified=False
    )
    (entry,) = kit.queue.claim("far.test")
    content = kit.queue.queue.content(entry.facts)
    kit.settler.settle(entry, [Result(entry.recipients[0], REFUSED)], content)  # type: ignore[arg-type]
    copies = kit.queue.queue.read("SELECT 1 FROM message WHERE kind = 'local'")
    assert len(copies) == (0 if has_copy else 1)
    assert f'dsn="{GONE} has {"a copy" if has_copy else "it"}"' in kit.log.getvalue()


# -- lists ----------------------------------------------------------------------------------


def test_a_list_goes_to_the_recovery_address_once_a_day(kit: Kit, clock: Clock) -> None:
    # Q26: the owner's mailbox has it, because nobody knows whether the sender is the sender.
    kit.attempt(REFUSED, is_verified=False)
    kit.attempt(REFUSED, is_verified=True)
    assert kit.watch.tell_lists() == 0
    clock.advance(ForwardOptions().digest_s + 1)
    assert kit.watch.tell_lists() == 1
    assert kit.watch.tell_lists() == 0
    (letter,) = kit.letters()
    assert (letter["To"], letter["Subject"]) == ("me@home.test", f"Not sent on: 1 of {GONE}")
    text = letter.get_content()
    assert f"Jörg <x@else.test>: an offer -- in INBOX, {FRIEND} refused it" in text
    assert "d=example.test" in str(letter["DKIM-Signature"])


def test_what_the_mailbox_has_is_on_the_list_whoever_sent_it(kit: Kit, clock: Clock) -> None:
    # To its sender it is delivered; who only reads what is sent on hears that this was not.
    kit.attempt(REFUSED, is_verified=True, detail=HAS_COPY)
    clock.advance(ForwardOptions().digest_s + 1)
    assert kit.watch.tell_lists() == 1
    assert not kit.queue.queue.read("SELECT 1 FROM message WHERE kind = 'dsn'")


def test_a_long_list_names_some_and_counts_the_rest(kit: Kit, clock: Clock) -> None:
    account = kit.instance.reader().find(Address.parse(GONE))
    table = WithheldMail(kit.instance.config.paths.state_db)
    row = Withheld(account.id, START, "", "a\r\nBcc: b", "s\x1b[2J", "Spam", "spam")  # type: ignore[union-attr]
    table.note([row] * (MAX_ROWS + 20))
    clock.advance(ForwardOptions().digest_s + 1)
    assert kit.watch.tell_lists() == 1
    text = kit.letters()[0].get_content()
    assert text.count("in Spam, looks like spam") == MAX_NAMED
    assert f"and {MAX_ROWS - MAX_NAMED} more" in text
    assert "\x1b" not in text


def test_without_a_recovery_address_there_is_no_list(kit: Kit, clock: Clock) -> None:
    kit.attempt(REFUSED, is_verified=False)
    kit.instance.cli("user", "set", GONE, "--recovery", "none")
    clock.advance(ForwardOptions().digest_s + 1)
    assert kit.watch.tell_lists() == 0
    assert kit.letters() == []
    assert WithheldMail(kit.instance.config.paths.state_db).due(before=clock() + 1) == []


def test_two_daemons_send_a_list_once(kit: Kit, clock: Clock) -> None:
    kit.attempt(REFUSED, is_verified=False)
    clock.advance(ForwardOptions().digest_s + 1)
    other = ForwardWatch(kit.queue.queue, kit.watch._home)
    assert (kit.watch.tell_lists(), other.tell_lists()) == (1, 0)
    other.close()
