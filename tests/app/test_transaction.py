"""The end of DATA: the table "one message, several recipients, one reply", and what breaks.

Real directory, real queue, mailboxes in memory, and a filter that says what a test wants.
"""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from mailstack.app import submission
from mailstack.app.mail import LARGE_AT_ONCE
from mailstack.filters import virus
from mailstack.model.address import Address
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import Delivery
from mailstack.model.verdict import (
    DiscardMail,
    FileInto,
    Keep,
    MessageVerdict,
    Redirect,
    RejectMail,
    SendMail,
    VirusScan,
)
from mailstack.state.forward_targets import ForwardTargets
from tests.kit.clock import START
from tests.kit.instance import Instance
from tests.kit.transaction_world import (
    LETTER,
    OWN,
    SPAM,
    VERIFIED,
    World,
)

ALICE, BOB = "alice@example.test", "bob@example.test"


async def test_a_plain_message_is_stored_with_our_lines_on_top(world: World) -> None:
    reply = await world.send(ALICE)
    assert str(reply) == "250 2.0.0 Ok id=0123456789abcdefg"
    (stored,) = world.mail.held("alice")
    assert stored.endswith(LETTER)
    names = [line.partition(b":")[0] for line in stored[: -len(LETTER)].split(b"\r\n") if line[:1] > b" "]
    assert names[:6] == [
        b"Return-Path",
        b"Delivered-To",
        b"X-Original-To",
        b"Received",
        b"Authentication-Results",
        b"X-Mailstack-Verdict",
    ]
    assert "filed id=0123456789abcdefg to=alice@example.test mailbox=INBOX" in world.lines.getvalue()


async def test_what_the_filter_cuts_is_left_out_of_the_copy_only(world: World) -> None:
    start = LETTER.index(b"Subject")
    world.filter.cuts = ((start, LETTER.index(b"Message-ID")),)
    await world.send("kept@example.test")
    (stored,) = world.mail.held("kept")
    assert b"Subject" not in stored
    assert world.queued()["forward"][1] == ["friend@far.test"]


async def test_every_local_recipient_refuses(world: World) -> None:
    world.filter.actions = {"alice": (RejectMail("Not wanted"),)}
    reply = await world.send(ALICE)
    assert str(reply) == "550 5.7.1 Not wanted"
    assert world.mail.held("alice") == []
    assert not world.queued()


async def test_who_refuses_and_is_notified_refuses_all_the_same(world: World) -> None:
    # RFC 5435 section 3.2: a notification does not affect other actions.
    note = SendMail("", ("me@far.test",), b"Subject: mail\r\n\r\nfrom x\r\n", "notify")
    world.filter.actions["alice"] = (note, RejectMail("Not wanted"))
    reply = await world.send(ALICE)
    assert (reply.code, reply.text) == (550, "Not wanted")
    assert not world.mail.held("alice")
    assert world.queued() == {"vacation": ("", ["me@far.test"])}
    assert "to=me@far.test" in world.lines.getvalue()


async def test_one_rejects_and_the_sender_is_verified_so_a_report_goes_out(world: World) -> None:
    world.filter.verdict = VERIFIED
    world.filter.actions = {"alice": (RejectMail("Not wanted"),)}
    reply = await world.send(ALICE, BOB)
    assert reply.code == 250
    assert world.mail.held("alice") == []
    assert len(world.mail.held("bob")) == 1
    assert world.queued() == {"dsn": ("", ["x@far.test"])}


async def test_each_recipient_that_leads_to_who_refuses_is_reported(world: World, instance: Instance) -> None:
    # One mailbox decides once, but the sender wrote to three addresses and one of them has it.
    world.filter.verdict = VERIFIED
    world.filter.actions["bob"] = (RejectMail("Not wanted"),)
    for name in ("sales", "info"):
        instance.cli("alias", "add", f"{name}@example.test", BOB)
    assert (await world.send(ALICE, "sales@example.test", "info@example.test")).code == 250
    ((queue_id,),) = world.queue.read("SELECT id FROM message")
    report = (world.services.config.paths.queue_messages / str(queue_id)).read_bytes()
    failed = re.findall(rb"Final-Recipient: rfc822; (\S+)", report)
    assert failed == [b"sales@example.test", b"info@example.test"]
    rejected = [line for line in world.lines.getvalue().splitlines() if " rejected " in line]
    assert ["to=sales@example.test" in rejected[0], "to=info@example.test" in rejected[1]] == [True, True]
    assert all('check=rejected code=550 status=5.7.1 why="Not wanted"' in line for line in rejected)


async def test_spam_to_a_group_and_an_alias_with_one_target_outside_is_not_lost_for_the_alias(
    world: World, instance: Instance
) -> None:
    # The group's members here have it, in their Spam; who reads the alias's mail is outside.
    instance.cli("alias", "add", "team@example.test", BOB, "friend@far.test", "--posters", "all")
    world.filter.verdict, world.filter.klass = SPAM, "spam"
    assert (await world.send("team@example.test", "out@example.test")).code == 250
    assert len(world.mail.held("alice", "Spam")) == 1  # the postmaster
    assert b"out@example.test does not forward this" in world.mail.held("alice", "Spam")[0]


@pytest.mark.parametrize("why", ["paused", "often"])
async def test_an_alias_whose_target_a_group_cannot_send_to_either_is_reported(
    world: World, instance: Instance, why: str
) -> None:
    # Somebody of the group has it, but nobody who reads the alias's mail.
    instance.cli("alias", "add", "team@example.test", BOB, "friend@far.test", "--posters", "all")
    world.filter.verdict = VERIFIED
    sent = world.services.config.forwarding.same_message if why == "often" else 0
    for number in range(sent):
        assert (await world.send("team@example.test", accept_id=f"often{number}")).code == 250
    if why == "paused":
        for owner in ("out@example.test", "team@example.test"):
            targets = ForwardTargets(world.services.config.paths.state_db)
            targets.pause(Address.parse(owner), Address.parse("friend@far.test"), why="", now=START)
            targets.close()
    assert (await world.send("team@example.test", "out@example.test")).code == 250
    assert len(world.mail.held("bob")) == sent + 1
    ((queue_id,),) = world.queue.read("SELECT id FROM message WHERE kind = 'dsn'")
    report = (world.services.config.paths.queue_messages / str(queue_id)).read_bytes()
    assert re.findall(rb"Final-Recipient: rfc822; (\S+)", report) == [b"out@example.test"]


async def test_one_rejects_and_nobody_knows_the_sender_so_it_is_kept_and_marked(world: World) -> None:
    world.filter.actions = {"alice": (RejectMail("Not wanted"),)}
    reply = await world.send(ALICE, BOB)
    assert reply.code == 250
    (kept,) = world.mail.held("alice")
    assert b"X-Mailstack-Note: could not be rejected\r\n" in kept
    assert not world.queued()


async def test_a_refusal_by_policy_stores_nothing(world: World) -> None:
    world.filter.verdict = MessageVerdict(
        action="reject", reply_code=550, reply_status="7.1", reply_text="far.test says p=reject"
    )
    assert str(await world.send(ALICE, BOB)) == "550 5.7.1 far.test says p=reject"
    assert not world.mail.held("alice")
    assert "refused" in world.lines.getvalue()


async def test_postmaster_is_reachable_whatever_policy_says(world: World) -> None:
    # RFC 5321 section 4.5.1
    world.filter.verdict = MessageVerdict(action="reject", reply_code=550, reply_text="no")
    assert (await world.send("postmaster@example.test")).code == 250
    assert len(world.mail.held("alice")) == 1


async def test_some_stored_and_one_fails_for_now_is_retried_from_the_queue(world: World) -> None:
    world.mail.failing["alice"] = TemporaryFailure("the disk is full", status="3.1")
    reply = await world.send(ALICE, BOB)
    assert reply.code == 250
    assert len(world.mail.held("bob")) == 1
    assert world.queued() == {"local": ("x@far.test", [ALICE])}


async def test_a_copy_that_fails_behind_one_that_is_stored_is_retried_from_the_queue(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # P3: told to come again, the sender would bring the first copy a second time, at every try.
    world.filter.actions["alice"] = (FileInto("Orders", create=True), Keep())
    box = world.mail.of(world.account(ALICE))
    deliver = box.deliver

    def full(mailbox: str, *arguments: Any, **options: Any) -> Delivery:
        if mailbox == "INBOX":
            raise TemporaryFailure("the mailbox is full", status="2.2")
        return deliver(mailbox, *arguments, **options)

    monkeypatch.setattr(box, "deliver", full)
    assert (await world.send(ALICE)).code == 250
    assert [len(world.mail.held("alice", folder)) for folder in ("Orders", "INBOX")] == [1, 0]
    assert world.queued() == {"local": ("x@far.test", [ALICE])}
    # What is there is in the log now, whatever becomes of the rest.
    assert "mailbox=Orders" in world.lines.getvalue()
    assert "mailbox=INBOX" not in world.lines.getvalue()


async def test_nothing_stored_and_a_temporary_failure_means_try_again(world: World) -> None:
    world.mail.failing["alice"] = TemporaryFailure("the disk is full", status="3.1")
    with pytest.raises(TemporaryFailure):
        await world.send(ALICE)
    assert not world.queued()


async def test_an_error_of_the_disk_itself_is_never_acknowledged(world: World) -> None:
    # promise P8
    world.mail.failing["alice"] = TemporaryFailure("EIO", fatal=True)
    with pytest.raises(TemporaryFailure) as caught:
        await world.send(ALICE, BOB)
    assert caught.value.fatal


async def test_what_fails_after_everything_is_durable_does_not_bring_the_message_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(mail: object) -> None:
        raise ValueError("a mistake of ours")

    monkeypatch.setattr(world.services.arrivals, "learn", fail)
    reply = await world.send(BOB)
    assert (reply.code, reply.status) == (250, "0.0")


async def test_a_redirection_leaves_with_srs_and_no_copy_stays(world: World) -> None:
    assert (await world.send("gone@example.test")).code == 250
    sender, recipients = world.queued()["forward"]
    assert recipients == ["friend@far.test"]
    assert sender.startswith("SRS0=")
    assert sender.endswith("=far.test=x@example.test")
    assert world.mail.held("gone") == []
    assert "forwarded" in world.lines.getvalue()


async def test_a_full_queue_takes_no_more_of_what_is_sent_on_to_a_target_that_takes_nothing(
    world: World,
) -> None:
    # Else anybody fills the disk by way of an address whose target does not answer.
    world.queue.options = structs.replace(world.queue.options, max_messages=2, max_messages_per_account=2)
    said = [(await world.send("gone@example.test", accept_id=f"{n:017}")).code for n in range(3)]
    assert said == [250, 250, 452]
    assert "many messages for this recipient" in world.lines.getvalue()
    assert (await world.send("kept@example.test")).code == 250  # another's, who has none there
    assert (await world.send(BOB)).code == 250


async def test_the_null_sender_stays_null_on_a_forward(world: World) -> None:
    await world.send("gone@example.test", sender=None)
    assert world.queued()["forward"][0] == ""


async def test_spam_to_a_redirection_stays_at_home(world: World) -> None:
    world.filter.verdict, world.filter.klass = SPAM, "spam"
    world.filter.actions = {"gone": (FileInto("Spam"),)}
    await world.send("gone@example.test")
    assert len(world.mail.held("gone", "Spam")) == 1
    assert not world.queued()


async def test_spam_to_an_alias_without_a_mailbox_is_refused(world: World) -> None:
    world.filter.verdict = SPAM
    assert (await world.send("out@example.test")).code == 550
    assert not world.queued()


async def test_spam_to_such_an_alias_beside_others_goes_to_the_postmaster(world: World) -> None:
    world.filter.verdict, world.filter.klass = SPAM, "spam"
    world.filter.actions = {"bob": (FileInto("Spam"),)}
    assert (await world.send("out@example.test", BOB)).code == 250
    assert len(world.mail.held("bob", "Spam")) == 1
    (seen,) = world.mail.held("alice", "Spam")
    assert b"out@example.test" in seen
    assert not world.queued()


async def test_an_alias_to_nobody_is_refused(world: World) -> None:
    assert (await world.send("lost@example.test")).code == 550


async def test_an_alias_to_nobody_beside_others_is_not_lost(world: World) -> None:
    assert (await world.send("lost@example.test", BOB)).code == 250
    assert len(world.mail.held("bob")) == 1
    assert len(world.mail.held("alice", "Spam")) == 1


async def test_without_a_postmaster_such_mail_is_not_acknowledged(world: World, instance: Instance) -> None:
    instance.cli("alias", "remove", "postmaster@example.test")
    world.filter.verdict = SPAM
    with pytest.raises(TemporaryFailure):
        await world.send("out@example.test", BOB)
    assert not world.mail.held("bob")
    assert not world.queued()


async def test_a_postmaster_among_the_recipients_keeps_it_even_after_discarding_its_own(world: World) -> None:
    world.filter.verdict, world.filter.klass = SPAM, "spam"
    world.filter.actions = {"alice": (DiscardMail(),), "bob": (FileInto("Spam"),)}
    assert (await world.send("out@example.test", ALICE, BOB)).code == 250
    assert len(world.mail.held("alice", "Spam")) == 1


async def test_two_refusing_aliases_are_one_copy_for_the_postmaster(world: World, instance: Instance) -> None:
    instance.cli("alias", "add", "out2@example.test", "other@far.test")
    world.filter.verdict, world.filter.klass = SPAM, "spam"
    world.filter.actions = {"bob": (FileInto("Spam"),)}
    assert (await world.send("out@example.test", "out2@example.test", BOB)).code == 250
    (seen,) = world.mail.held("alice", "Spam")
    assert b"out@example.test" in seen
    assert b"out2@example.test" in seen


async def test_a_login_that_cannot_receive_reports_does_not_lose_rejected_mail(
    world: World, instance: Instance
) -> None:
    instance.cli("user", "add", "nr@example.test", "--kind", "noreply")
    world.filter.actions = {"bob": (RejectMail("no"),)}
    letter = OWN.replace(b"alice@", b"nr@")
    reply = await world.send(ALICE, BOB, sender="nr@example.test", letter=letter, login="nr@example.test")
    assert reply.code == 250
    (kept,) = world.mail.held("bob")
    assert b"could not be rejected" in kept


async def test_a_group_with_a_missing_member_is_no_failure(world: World, instance: Instance) -> None:
    instance.cli("user", "add", "zoe@example.test")
    assert (
        instance.cli("alias", "add", "team@example.test", ALICE, "zoe@example.test", "--posters", "all").code
        == 0
    )
    assert instance.cli("user", "remove", "zoe@example.test").code == 0
    world.filter.verdict = VERIFIED
    assert (await world.send(ALICE, "team@example.test")).code == 250
    assert len(world.mail.held("alice")) == 1
    assert not world.queued()
    # Nobody outside is told; who looks for zoe's mail is.
    unreached = [line for line in world.lines.getvalue().splitlines() if " unreached " in line]
    assert len(unreached) == 1
    assert unreached[0].endswith(
        'to=team@example.test check=gone why="zoe@example.test does not exist any more"'
    )


async def test_a_redirections_end_that_rejects_is_no_failure_while_a_copy_is_kept(
    world: World, instance: Instance
) -> None:
    instance.cli("forward", "set", "--no-notice", "--no-check", "kept@example.test", BOB, "--keep")
    world.filter.verdict = VERIFIED
    world.filter.actions = {"bob": (RejectMail("no"),)}
    assert (await world.send("kept@example.test")).code == 250
    assert len(world.mail.held("kept")) == 1
    assert not world.queued()


async def test_a_mistake_of_ours_for_one_recipient_does_not_double_the_others(world: World) -> None:
    world.mail.failing["alice"] = ValueError("a mistake")
    assert (await world.send(ALICE, "gone@example.test")).code == 250
    assert set(world.queued()) == {"forward", "local"}


async def test_forged_mail_to_the_postmaster_is_read_here_and_not_sent_on(
    world: World, instance: Instance
) -> None:
    instance.cli("forward", "set", "--no-notice", "--no-check", ALICE, "friend@far.test", "--keep")
    world.filter.verdict = MessageVerdict(action="reject", reply_code=550, reply_text="no")
    assert (await world.send("postmaster@example.test")).code == 250
    assert len(world.mail.held("alice")) == 1
    assert not world.queued()


async def test_rules_that_redirect_to_accounts_here_ask_the_filter_for_them_too(world: World) -> None:
    world.filter.actions = {"alice": (Redirect(BOB),), "bob": (FileInto("Archive"),)}
    assert (await world.send(ALICE)).code == 250
    assert [len(request.recipients) for request in world.filter.asked] == [1, 1]
    assert world.mail.held("alice") == []
    assert len(world.mail.held("bob", "Archive")) == 1
    assert not world.queued()


async def test_rules_that_redirect_in_a_circle_keep_a_copy(world: World) -> None:
    # V4
    world.filter.actions = {"alice": (Redirect(BOB),), "bob": (Redirect(ALICE),)}
    assert (await world.send(ALICE)).code == 250
    assert len(world.mail.held("alice")) + len(world.mail.held("bob")) == 1


async def test_a_reply_of_a_rule_is_queued(world: World) -> None:
    reply = SendMail("", ("x@far.test",), b"From: alice@example.test\r\n\r\naway\r\n")
    world.filter.actions = {"alice": (Keep(implicit=True), reply)}
    await world.send(ALICE)
    assert world.queued()["vacation"] == ("", ["x@far.test"])


async def test_a_rule_that_names_a_missing_folder_is_told_so_in_the_log(world: World) -> None:
    world.filter.actions = {"alice": (FileInto("Work/Projects"),)}
    assert (await world.send(ALICE)).code == 250
    assert len(world.mail.held("alice")) == 1
    assert 'why="there is no folder Work/Projects"' in world.lines.getvalue()


async def test_the_log_tells_the_way_in_its_order(world: World) -> None:
    await world.send("kept@example.test")
    names = [line.split()[2] for line in world.lines.getvalue().splitlines()]
    assert names == ["filtered", "accepted", "queued", "forwarded", "filed"]


async def test_a_discard_is_acknowledged_and_logged(world: World) -> None:
    world.filter.actions = {"alice": (DiscardMail(),)}
    assert (await world.send(ALICE)).code == 250
    assert "discarded id=0123456789abcdefg to=alice@example.test" in world.lines.getvalue()


async def test_a_virus_is_refused_for_all_and_the_log_says_so(world: World) -> None:
    # the table of the product page, section 2: a message-wide refusal, nothing stored
    scan = VirusScan("found", "Eicar")
    world.filter.verdict = virus.apply(MessageVerdict(), scan, "refuse")
    reply = await world.send(ALICE, "friend@far.test")
    assert str(reply) == "550 5.7.1 The message holds a virus: Eicar"
    assert world.mail.held("alice") == [] and not world.queued()
    log = world.lines.getvalue()
    assert "check=virus" in log and "virus id=0123456789abcdefg said=found Eicar" in log.replace('"', "")


async def test_a_marked_virus_is_delivered_with_its_name(world: World) -> None:
    scan = VirusScan("found", "Eicar")
    world.filter.verdict = virus.apply(MessageVerdict(), scan, "mark")
    assert (await world.send(ALICE)).code == 250
    (stored,) = world.mail.held("alice")
    assert b"X-Mailstack-Virus: found; name=Eicar\r\n" in stored


async def test_without_the_filter_mail_is_kept_and_marked(world: World) -> None:
    world.filter.verdict = MessageVerdict(unfiltered="timeout")
    assert (await world.send(ALICE)).code == 250
    (stored,) = world.mail.held("alice")
    assert b"X-Mailstack-Verdict: unfiltered; why=timeout\r\n" in stored
    assert "unfiltered id=0123456789abcdefg why=timeout" in world.lines.getvalue()


async def test_without_the_filter_nobody_speaks_in_our_name_either(world: World) -> None:
    # T22: forged results would be believed by mail programs.
    world.filter.verdict = MessageVerdict(unfiltered="timeout")
    forged = b"Authentication-Results: mx.example.test; dmarc=pass\r\nX-Spam-Flag: NO\r\n"
    assert (await world.send(ALICE, letter=forged + LETTER)).code == 250
    (stored,) = world.mail.held("alice")
    assert b"dmarc=pass" not in stored
    assert b"X-Spam-Flag" not in stored
    assert stored.endswith(LETTER)


async def test_a_submission_is_signed_and_queued_whole(world: World) -> None:
    reply = await world.send(
        "far@far.test", "near@far.test", BOB, sender=ALICE, letter=OWN + b"x\r\n", login=ALICE
    )
    assert reply.code == 250
    assert world.queued()["submission"] == (ALICE, ["far@far.test", "near@far.test"])
    (stored,) = world.mail.held("bob")
    assert stored.count(b"DKIM-Signature:") == 2
    assert b"192.0.2.7" not in stored


async def test_few_large_submissions_are_prepared_at_a_time(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # limits, P9: memory is bounded by configuration, not by how many clients come at once
    real, at_once, most = submission.prepare, [0], [0]

    def prepare(*arguments: Any) -> Any:
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        time.sleep(0.05)
        try:
            return real(*arguments)
        finally:
            at_once[0] -= 1

    monkeypatch.setattr(submission, "prepare", prepare)
    letters = [
        world.send(BOB, sender=ALICE, letter=OWN, login=ALICE, path=tmp_path / str(n)) for n in range(8)
    ]
    assert {reply.code for reply in await asyncio.gather(*letters)} == {250}
    assert most == [LARGE_AT_ONCE]


async def test_a_submission_with_a_foreign_author_is_refused(world: World) -> None:
    reply = await world.send("far@far.test", sender=ALICE, login=ALICE)
    assert reply.code == 550
    assert "x@far.test" in reply.text
    assert ALICE in reply.text
    assert not world.queued()


async def test_doing_it_again_writes_nothing_twice(world: World) -> None:
    # promise P3: the names are deterministic
    await world.send(ALICE, BOB)
    await world.send(ALICE, BOB)
    assert len(world.mail.held("alice")) == len(world.mail.held("bob")) == 1
