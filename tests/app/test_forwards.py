"""Sending on at the end of DATA: paused targets, circles, lists for owners, rules' targets, warnings."""

from __future__ import annotations

import email
import sqlite3
from email.policy import default

import pytest

from mailstack.app import loops
from mailstack.app.forwards import warning
from mailstack.delivery.entry import HAS_COPY, HAS_COPY_REPORTED
from mailstack.model.address import Address
from mailstack.model.errors import TemporaryFailure
from mailstack.model.verdict import (
    Authentication,
    DkimResult,
    DmarcResult,
    FileInto,
    Keep,
    MessageVerdict,
    Redirect,
    SpfResult,
)
from mailstack.state.forward_options import ForwardOptions
from mailstack.state.forward_targets import ForwardTargets
from mailstack.state.withheld import WithheldMail
from tests.kit.clock import START
from tests.kit.instance import Instance
from tests.kit.transaction_world import LETTER, LOOP_KEY, SPAM, World

GONE, KEPT, OUT = "gone@example.test", "kept@example.test", "out@example.test"
FRIEND = "friend@far.test"


@pytest.fixture
def targets(instance: Instance) -> ForwardTargets:
    return ForwardTargets(instance.config.paths.state_db)


def pause(targets: ForwardTargets, owner: str, *, at: float = START) -> None:
    """FRIEND refused what this address sent on."""
    for _ in range(3):
        targets.failed(
            Address.parse(owner),
            Address.parse(FRIEND),
            why="550 5.1.1 no such user",
            is_unknown=True,
            options=ForwardOptions(),
            now=at,
        )


def recovery(instance: Instance, address: str) -> None:
    assert instance.cli("user", "set", address, "--recovery", "me@home.test").code == 0


def letters(world: World) -> list[email.message.EmailMessage]:
    rows = world.queue.read("SELECT id FROM message WHERE kind = 'vacation' ORDER BY id")
    paths = world.services.config.paths
    return [
        email.message_from_bytes((paths.queue_messages / str(id_)).read_bytes(), policy=default)
        for (id_,) in rows
    ]


# -- paused targets ---------------------------------------------------------------------


async def test_mail_for_a_paused_target_stays_in_the_mailbox(world: World, targets: ForwardTargets) -> None:
    # Q26
    pause(targets, GONE)
    assert (await world.send(GONE)).code == 250
    assert not world.queued()
    (kept,) = world.mail.held("gone")
    assert b"X-Mailstack-Note: not sent on: friend@far.test keeps refusing" in kept
    # Others who send on to the same address are not touched.
    await world.send(KEPT, accept_id="another")
    assert world.queued()["forward"][1] == [FRIEND]


async def test_an_alias_is_put_off_while_its_target_is_paused(world: World, targets: ForwardTargets) -> None:
    pause(targets, OUT)
    reply = await world.send(OUT)
    assert (reply.code, reply.check) == (450, "forward_paused")
    assert not world.queued()


async def test_beside_others_such_an_alias_is_not_lost(world: World, targets: ForwardTargets) -> None:
    pause(targets, OUT)
    assert (await world.send(OUT, "bob@example.test")).code == 250
    assert len(world.mail.held("bob")) == 1
    assert b"out@example.test" in world.mail.held("alice", "Spam")[0]


async def test_one_message_a_day_tests_a_paused_target(world: World, targets: ForwardTargets) -> None:
    pause(targets, GONE, at=START - ForwardOptions().probe_s)
    await world.send(GONE)
    assert world.queued()["forward"][1] == [FRIEND]
    assert len(world.mail.held("gone")) == 1
    await world.send(GONE, accept_id="second", letter=LETTER.replace(b"<1@", b"<2@"))
    assert len(world.queued()["forward"][1]) == 1
    assert len(world.mail.held("gone")) == 2


async def test_an_alias_tests_its_target_with_an_ordinary_message(
    world: World, targets: ForwardTargets
) -> None:
    pause(targets, OUT, at=START - ForwardOptions().probe_s)
    replies = [await world.send(OUT, accept_id=f"id{n}") for n in range(2)]
    assert [reply.code for reply in replies] == [250, 450]
    assert world.queued()["forward"][1] == [FRIEND]


async def test_a_target_that_never_said_yes_gets_nothing(world: World, instance: Instance) -> None:
    with instance.writer() as directory:
        directory.confirmations.redirect(GONE, ["new@far.test"], keep=False, mails_per_day=1)
    assert (await world.send(GONE)).code == 250
    assert not world.queued()
    assert len(world.mail.held("gone")) == 1


async def test_without_state_db_mail_is_sent_on_as_ever(world: World, instance: Instance) -> None:
    instance.config.paths.state_db.write_bytes(b"no database" * 500)
    assert (await world.send(GONE)).code == 250
    assert world.queued()["forward"][1] == [FRIEND]


async def test_the_queue_knows_who_has_a_copy_already(world: World, targets: ForwardTargets) -> None:
    pause(targets, "alice@example.test", at=START - ForwardOptions().probe_s)
    world.filter.actions = {"alice": (Redirect(FRIEND),)}
    for owner in (GONE, KEPT, OUT, "alice@example.test"):
        await world.send(owner, accept_id=owner.partition("@")[0])
    rows = world.queue.read("SELECT owner, detail FROM recipient WHERE address = ?", (FRIEND,))
    assert {str(owner): str(detail) for owner, detail in rows} == {
        GONE: "",
        KEPT: HAS_COPY,
        OUT: "",
        "alice@example.test": HAS_COPY,
    }


async def test_a_rule_that_asks_for_reports_has_them_although_a_copy_stays(world: World) -> None:
    # RFC 6009 section 3
    world.filter.actions = {"alice": (Redirect(FRIEND, notify="FAILURE"), Keep())}
    await world.send("alice@example.test")
    found = world.queue.read("SELECT notify, detail FROM recipient WHERE kind = 'remote'")
    assert found == [("FAILURE", HAS_COPY_REPORTED)]


# -- bounces that come later --------------------------------------------------------------


async def bounce(world: World, number: int, *, owner: str = GONE, token: str = "") -> None:
    """FRIEND's server takes a message and gives it back later, to the SRS address."""
    letter = LETTER.replace(b"<1@", b"<%d@" % number)
    await world.send(owner, letter=letter, accept_id=f"out{number}")
    rows = world.queue.read("SELECT sender FROM message WHERE accept_id = ?", (f"out{number}",))
    address = str(rows[0][0])
    returned = loops.lines(LOOP_KEY, [Address.parse(token or owner)]) + letter
    report = (
        b"From: MAILER-DAEMON@far.test\r\nTo: %s\r\nSubject: failed\r\nMessage-ID: <b%d@far.test>\r\n"
        b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        b"--b\r\n\r\nSorry.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        b"Reporting-MTA: dns; far.test\r\n\r\nFinal-Recipient: rfc822; friend@far.test\r\n"
        b"Action: failed\r\nStatus: 5.1.1\r\n"
        b"Diagnostic-Code: smtp; 550 moved away\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
        b"%s\r\n--b--\r\n" % (address.encode(), number, returned)
    )
    assert (await world.send(address, sender=None, letter=report, accept_id=f"back{number}")).code == 250


async def test_a_target_that_bounces_later_is_paused_too(world: World, targets: ForwardTargets) -> None:
    for number in range(3):
        await bounce(world, number)
    found = targets.find(Address.parse(GONE), Address.parse(FRIEND))
    assert found is not None
    assert found.paused_at is not None
    assert found.why == "550 moved away"
    ((told,),) = [letters(world)]
    assert told["Subject"] == f"Paused: mail of {GONE} to {FRIEND}"
    # Each bounce went on to the sender all the same.
    assert world.queued()["srs-bounce"][1] == ["x@far.test"] * 3


async def test_groups_members_are_paused_by_their_bounces(world: World, targets: ForwardTargets) -> None:
    for number in range(3):
        await bounce(world, number, owner=OUT)
    (found,) = targets.of(Address.parse(OUT))
    assert found.paused_at is not None


async def test_a_bounce_of_what_did_not_go_that_way_pauses_nothing(
    world: World, targets: ForwardTargets
) -> None:
    for number in range(3):
        await bounce(world, number, token="somebody@example.test")
    assert targets.paused() == []
    assert targets.of(Address.parse(GONE)) == []


# -- circles ----------------------------------------------------------------------------


async def test_a_circle_that_strips_our_fields_ends_with_a_copy_at_home(world: World) -> None:
    # V4: A -> outside -> A, and the outside removes what it finds above the message.
    most = ForwardOptions().same_message
    for n in range(most + 2):
        assert (await world.send(GONE, accept_id=f"round{n}")).code == 250
    assert len(world.queued()["forward"][1]) == most
    held = world.mail.held("gone")
    assert len(held) == 2
    assert b"had this message several times" in held[0]


async def test_an_alias_in_such_a_circle_refuses(world: World) -> None:
    most = ForwardOptions().same_message
    replies = [await world.send(OUT, accept_id=f"round{n}") for n in range(most + 1)]
    assert [reply.code for reply in replies] == [250] * most + [554]
    assert replies[-1].check == "loop"


@pytest.mark.parametrize("to", [GONE, OUT])
async def test_what_was_never_taken_does_not_count(
    world: World, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    # P7: the client came again and again while the disk was full.
    def full(items: object) -> list[str]:
        raise TemporaryFailure("writing to the queue: the disk is full", status="3.1")

    with monkeypatch.context() as patched:
        patched.setattr(world.services.queue, "enqueue", full)
        for n in range(ForwardOptions().same_message + 2):
            with pytest.raises(TemporaryFailure):
                await world.send(to, accept_id=f"full{n}")
    assert (await world.send(to, accept_id="room")).code == 250
    assert world.queued()["forward"][1] == [FRIEND]
    assert world.mail.held("gone") == []


async def test_other_messages_and_other_ways_do_not_count(world: World) -> None:
    most = ForwardOptions().same_message
    for n in range(most + 1):
        letter = LETTER.replace(b"<1@", b"<%d@" % n)
        await world.send(GONE, accept_id=f"one{n}", letter=letter)
    # A program that gives everything one Message-ID still writes other dates.
    for n in range(most + 1):
        letter = b"Date: Thu, 1 Jan 2026 00:00:0%d +0000\r\n" % n + LETTER
        await world.send(GONE, accept_id=f"two{n}", letter=letter)
    # What has no Message-ID cannot be known again.
    for n in range(most + 1):
        await world.send(GONE, accept_id=f"three{n}", letter=LETTER.replace(b"Message-ID", b"X-Other"))
    assert world.mail.held("gone") == []


async def test_after_half_a_day_it_may_come_again(world: World, instance: Instance) -> None:
    for n in range(ForwardOptions().same_message):
        await world.send(GONE, accept_id=f"round{n}")
    with sqlite3.connect(instance.config.paths.state_db) as connection:
        connection.execute("UPDATE passed_on SET at = at - ?", (ForwardOptions().same_message_s + 1,))
    await world.send(GONE, accept_id="again")
    assert world.mail.held("gone") == []


# -- what was not sent on ---------------------------------------------------------------


async def test_what_stays_at_home_is_noted_for_the_recovery_address(
    world: World, instance: Instance, targets: ForwardTargets
) -> None:
    account = world.account(GONE)
    recovery(instance, GONE)
    world.filter.verdict, world.filter.klass = SPAM, "spam"
    world.filter.actions = {"gone": (FileInto("Spam"),)}
    letter = LETTER.replace(b"Subject: hello", b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=")
    await world.send(GONE, letter=letter)
    world.filter.verdict, world.filter.klass, world.filter.actions = MessageVerdict(), "ham", {}
    pause(targets, GONE)
    await world.send(GONE, accept_id="second")
    rows, _ = WithheldMail(instance.config.paths.state_db).of(account.id)
    assert [(row.target, row.subject, row.folder, row.why) for row in rows] == [
        ("", "Grüße", "Spam", "spam"),
        (FRIEND, "hello", "INBOX", "paused"),
    ]
    assert rows[0].sender == "Someone <x@far.test>"


async def test_nothing_is_noted_where_nobody_is_told(world: World, instance: Instance) -> None:
    recovery(instance, KEPT)
    world.filter.verdict, world.filter.klass = SPAM, "spam"
    world.filter.actions = {"gone": (FileInto("Spam"),), "kept": (FileInto("Spam"),)}
    await world.send(GONE, KEPT)
    table = WithheldMail(instance.config.paths.state_db)
    # One has no recovery address, the other a copy of everything at home.
    assert table.due(before=START + 1) == []


# -- rules ------------------------------------------------------------------------------


async def test_a_rules_new_target_is_told_to_the_owner_once(world: World, instance: Instance) -> None:
    recovery(instance, "alice@example.test")
    world.filter.actions = {"alice": (Redirect(FRIEND),)}
    await world.send("alice@example.test")
    await world.send("alice@example.test", accept_id="second", letter=LETTER.replace(b"<1@", b"<2@"))
    told = letters(world)
    assert sorted(letter["To"] for letter in told) == ["alice@example.test", "me@home.test"]
    assert all(letter["From"].addresses[0].addr_spec == "postmaster@example.test" for letter in told)
    assert all(FRIEND in letter.get_content() for letter in told)
    abroad = next(letter for letter in told if letter["To"] == "me@home.test")
    assert "d=example.test" in str(abroad["DKIM-Signature"])


async def test_a_redirection_that_was_set_is_not_news(world: World) -> None:
    await world.send(GONE, KEPT, OUT)
    assert letters(world) == []


# -- warnings ---------------------------------------------------------------------------


def found(policy: str, *dkim: DkimResult, aligned: bool = False) -> Authentication:
    return Authentication(
        spf=SpfResult("pass", "far.test"),
        dkim=dkim,
        dmarc=DmarcResult("pass", "far.test", policy, is_dkim_aligned=aligned),
    )


@pytest.mark.parametrize(
    ("authentication", "is_warned"),
    [
        (found("reject"), True),
        (found("quarantine", DkimResult("pass", "esp.test")), True),
        (found("reject", DkimResult("fail", "far.test")), True),
        (found("reject", DkimResult("pass", "far.test")), False),
        (found("reject", DkimResult("pass", "sister.far.test"), aligned=True), False),
        (found("none"), False),
        (Authentication(), False),
    ],
)
def test_what_only_spf_proves_will_be_refused_by_the_next_server(
    authentication: Authentication, is_warned: bool
) -> None:
    assert bool(warning(authentication)) == is_warned


async def test_the_log_warns(world: World) -> None:
    world.filter.verdict = MessageVerdict(authentication=found("reject"))
    await world.send(GONE)
    assert 'warning="far.test wants reject for what it has not signed' in world.lines.getvalue()
