"""The queue daemon's work: real queue, real sockets, small constants."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mailstack.app import queue_engine, queue_settle
from mailstack.delivery import admin, listing
from mailstack.delivery.entry import HAS_COPY, HAS_COPY_REPORTED, QueueRecipient
from mailstack.delivery.options import Route
from mailstack.delivery.queue import Queue
from mailstack.model.errors import TemporaryFailure
from mailstack.model.outcome import Deferred, Failed
from mailstack.model.reply import Reply
from tests.kit import certificates
from tests.kit.ports import free_port
from tests.kit.queue_engine import SHORT_LIFE, routes, running
from tests.kit.queues import MESSAGE
from tests.kit.smtp_delivery import Zone, delivery
from tests.kit.smtp_sink import CLOSE, HANG, SmtpSink

ALICE = "alice@example.org"
POSTMASTER = "postmaster@example.org"


def dead(domain: str = "dead.test") -> Route:
    """A destination where nobody listens."""
    return Route(domain=domain, host="127.0.0.1", port=free_port())


# -- the usual way


async def test_new_mail_leaves_at_once_and_the_queue_is_empty_again(tmp_path: Path) -> None:
    with SmtpSink() as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            started = time.monotonic()
            queue_id = kit.put("b@live.test")
            await kit.until_empty()
            took_s = sink.messages[0].at - started
        assert sink.messages[0].data == MESSAGE
        assert sink.messages[0].sender == ALICE
        assert kit.kit.files() == []
        (line,) = kit.logged("delivered")
        assert f"id={queue_id} to=b@live.test host=127.0.0.1[127.0.0.1]" in line
        assert took_s < 5  # and not at the next look at the queue


async def test_recipients_that_refuse_for_good_are_counted_for_the_login_that_sent(tmp_path: Path) -> None:
    # Containment: what a stolen account's list is full of.
    replies = {"rcpt": {"later@live.test": ["450 4.2.1 busy"], "no@live.test": "550 5.1.1 no"}}
    seen: list[tuple[str, int]] = []
    with SmtpSink(replies=replies) as sink:
        async with running(
            tmp_path,
            *routes(live_test=sink),
            bounced=lambda *count: seen.append(count),
            bounce_give_up_after_s=1.0,  # nobody takes the report to far.test
        ) as kit:
            kit.put("no@live.test", "b@live.test", "later@live.test")
            kit.put("no@live.test", kind="forward", sender="x@far.test", owner=ALICE)
            await kit.until_empty()
    assert seen == [(ALICE, 1)]


async def test_mail_queued_by_another_process_is_noticed_without_a_wake_up(tmp_path: Path) -> None:
    with SmtpSink() as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            other = kit.kit.open()
            await asyncio.sleep(0.1)
            kit.kit.queue, own = other, kit.kit.queue
            kit.kit.put("b@live.test")
            kit.kit.queue = own
            await kit.until(lambda: len(sink.messages) == 1)
            other.close()


async def test_what_waited_while_nobody_worked_is_sent_at_the_start(tmp_path: Path) -> None:
    with SmtpSink() as sink:
        async with running(tmp_path, *routes(live_test=sink), start=False) as kit:
            kit.put("b@live.test")
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            await kit.until_empty()
        assert len(sink.messages) == 1


async def test_recipients_of_two_domains_get_one_copy_each(tmp_path: Path) -> None:
    with SmtpSink() as one, SmtpSink() as two:
        async with running(tmp_path, *routes(one_test=one, two_test=two)) as kit:
            kit.put("a@one.test", "b@one.test", "c@two.test")
            await kit.until_empty()
        assert [m.recipients for m in one.messages] == [("a@one.test", "b@one.test")]
        assert [m.recipients for m in two.messages] == [("c@two.test",)]


async def test_many_messages_share_connections(tmp_path: Path) -> None:
    with SmtpSink() as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            for _ in range(60):
                kit.put("b@live.test")
            await kit.until_empty()
        assert len(sink.messages) == 60
        assert sink.most_open <= 10
        assert sink.connections < 30


# -- later


async def test_greylisting_is_passed_by_the_second_try(tmp_path: Path) -> None:
    # Q13
    with SmtpSink(replies={"rcpt": ["450 4.7.1 greylisted"]}) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.put("b@live.test")
            await kit.until_empty()
        assert len(sink.messages) == 1
        (line,) = kit.logged("deferred")
        assert "code=450" in line
        assert "tries=2" in kit.logged("delivered")[0]
        assert kit.mail(ALICE) == []


@pytest.mark.parametrize("what", [CLOSE, HANG])
async def test_a_line_cut_after_the_dot_is_tried_again_with_the_same_message(
    tmp_path: Path, what: str
) -> None:
    # Q4, Q5, P4
    with SmtpSink(replies={"end": [what]}) as sink:
        async with running(tmp_path, *routes(live_test=sink), end_timeout_s=2) as kit:
            kit.put("b@live.test")
            await kit.until_empty()
        assert [m.data for m in sink.all] == [MESSAGE, MESSAGE]
        assert "possible duplicate" in kit.logged("deferred")[0]


async def test_mixed_answers_deliver_once_defer_and_bounce(tmp_path: Path) -> None:
    # Q3
    replies: dict[str, Any] = {
        "rcpt": {"later@live.test": ["450 4.2.1 busy"], "no@live.test": "550 5.1.1 no"}
    }
    with SmtpSink(replies=replies) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.put("ok@live.test", "later@live.test", "no@live.test")
            await kit.until_empty()
        taken = [r for m in sink.messages for r in m.recipients]
        assert sorted(taken) == ["later@live.test", "ok@live.test"]
        (report,) = kit.mail(ALICE)
        assert b"no@live.test" in report
        assert b"later@live.test" not in report.partition(b"--=_")[2].partition(b"message/rfc822")[0]


async def test_five_days_without_success_are_one_notice_and_one_bounce(tmp_path: Path) -> None:
    # Q10, P12
    async with running(tmp_path, dead(), **SHORT_LIFE) as kit:
        queue_id = kit.put("b@dead.test")
        await kit.until_empty()
        await kit.until(lambda: len(kit.mail(ALICE)) == 2)
        notice, bounce = kit.mail(ALICE)
        assert b"Subject: Delayed, still trying" in notice
        assert b"Will-Retry-Until:" in notice
        assert b"Subject: Not delivered" in bounce
        assert b"Connection refused" in bounce
        assert kit.kit.files() == []
        (line,) = kit.logged("bounced")
        assert f"id={queue_id}" in line
        assert len(kit.logged("deferred")) >= 2


@pytest.mark.parametrize(
    ("login", "why"),
    [
        ({"login": "us", "password": "old"}, "The relay host refuses our login: 535 "),
        ({"source_ipv4": "192.0.2.1"}, "This machine does not have the address 192.0.2.1"),
    ],
    ids=["password", "address"],
)
async def test_what_an_operator_must_mend_defers_and_is_an_alarm_at_once(
    tmp_path: Path, login: dict[str, str], why: str
) -> None:
    # Q25
    tls, offered = certificates.write(tmp_path), ("STARTTLS", "AUTH PLAIN")
    with SmtpSink(extensions=offered, tls=tls, logins={"us": "new"}) as sink:
        route = Route(domain="relay.test", host=sink.host, port=sink.port, tls="require", **login)  # type: ignore[arg-type]
        async with running(tmp_path, route) as kit:
            kit.put("b@relay.test")
            await kit.until(lambda: bool(kit.logged("alarm")))
            await kit.until(lambda: bool(kit.logged("deferred")))
            assert why in kit.logged("alarm")[0]
            assert kit.mail(ALICE) == []
            assert "old" not in "".join(kit.log)


# -- never


@pytest.mark.parametrize(
    "replies", [{"rcpt": "550 5.1.1 no"}, {"mail": "554 5.7.1 no"}, {"end": "552 5.3.4 no"}], ids=str
)
async def test_a_refusal_is_a_report_to_a_local_sender(tmp_path: Path, replies: dict[str, Any]) -> None:
    with SmtpSink(replies=replies) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.put("b@live.test")
            await kit.until(lambda: len(kit.mail(ALICE)) == 1)
        assert kit.mail(ALICE)[0].startswith(b"From: Mail Delivery System <postmaster@example.org>\r\n")
        assert sink.connections == 1


async def test_a_report_to_a_remote_sender_goes_out_with_the_null_sender(tmp_path: Path) -> None:
    with SmtpSink(replies={"rcpt": {"b@live.test": "550 no"}}) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.put("b@live.test", sender="s@live.test", kind="forward", owner="gone@example.org")
            await kit.until_empty()
        (report,) = sink.messages
        assert (report.sender, report.recipients) == ("", ("s@live.test",))
        assert b"gone@example.org" in report.data
        assert report.parameters["s@live.test"] == "NOTIFY=NEVER"


async def test_a_report_for_forwarded_mail_takes_the_srs_way_back(tmp_path: Path) -> None:
    with SmtpSink(replies={"rcpt": {"b@live.test": "550 no"}}) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.home.reversed["SRS0=t=d=live.test=s@example.org"] = "s@live.test"
            kit.put(
                "b@live.test",
                sender="SRS0=t=d=live.test=s@example.org",
                kind="forward",
                owner="gone@example.org",
            )
            await kit.until_empty()
        assert [m.recipients for m in sink.messages] == [("s@live.test",)]


@pytest.mark.parametrize("facts", [{"is_sender_verified": False}, {"sender": ""}], ids=str)
async def test_a_forward_nobody_may_be_told_of_stays_with_its_owner(
    tmp_path: Path, facts: dict[str, Any]
) -> None:
    # Q26, P11
    with SmtpSink(replies={"rcpt": "550 5.1.1 no"}) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.put(
                "b@live.test", **{"sender": "forged@live.test", "kind": "forward", "owner": ALICE, **facts}
            )
            await kit.until_empty()
        assert sink.messages == []
        (copy,) = kit.mail(ALICE)
        assert copy.startswith(b"X-Mailstack-Note: not delivered to b@live.test: 550 5.1.1 no\r\n")
        assert copy.endswith(MESSAGE)


async def test_a_forward_whose_owner_has_a_copy_is_no_failure_to_its_sender(tmp_path: Path) -> None:
    # The report would name the address written to, where the message lies; and who asked heard of success.
    with SmtpSink(replies={"rcpt": {"b@live.test": "550 5.1.1 no"}}) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            facts = {"sender": "s@live.test", "kind": "forward"}
            kit.put(QueueRecipient("b@live.test", detail=HAS_COPY), owner=ALICE, **facts)
            await kit.until_empty()
            assert sink.messages == []
            assert kit.mail(ALICE) == []
            assert kit.logged("bounced")[0].endswith(f'dsn="{ALICE} has a copy"')
            # Its mailbox has gone meanwhile, and the copy with it; or its rule wants reports.
            kit.put(QueueRecipient("b@live.test", detail=HAS_COPY), owner="left@example.org", **facts)
            kit.put(QueueRecipient("b@live.test", detail=HAS_COPY_REPORTED), owner=ALICE, **facts)
            await kit.until(lambda: len(sink.messages) == 2)
        assert {message.recipients for message in sink.messages} == {("s@live.test",)}


async def test_nor_is_it_late_for_its_sender(tmp_path: Path) -> None:
    life = {"give_up_after_s": 1.0, "bounce_give_up_after_s": 1.0, "delay_notice_after_s": 0.3}
    async with running(tmp_path, dead(), **life) as kit:
        owner = "postmaster@example.org"
        kit.put(QueueRecipient("b@dead.test", detail=HAS_COPY), sender=ALICE, kind="forward", owner=owner)
        await kit.until_empty()
        assert kit.logged("deferred")
        assert kit.mail(ALICE) == []


async def test_who_floods_a_redirection_gets_so_many_reports_and_the_owner_keeps_the_rest(
    tmp_path: Path,
) -> None:
    # Q26
    with SmtpSink(replies={"rcpt": {"b@live.test": "550 5.1.1 no"}}) as sink:
        async with running(tmp_path, *routes(live_test=sink), forward_reports_per_hour=2) as kit:
            for _ in range(5):
                kit.put("b@live.test", sender="s@live.test", kind="forward", owner=ALICE)
            kit.put("b@live.test", sender="other@live.test", kind="forward", owner=ALICE)
            await kit.until_empty()
        assert len(kit.mail(ALICE)) == 3
    reports = sorted(message.recipients[0] for message in sink.messages)
    assert reports == ["other@live.test", "s@live.test", "s@live.test"]


async def test_a_report_that_cannot_be_delivered_ends_with_the_postmaster_once(tmp_path: Path) -> None:
    # Q16
    with SmtpSink(replies={"rcpt": "550 5.1.1 no"}) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.put("b@live.test", sender="gone@live.test")
            await kit.until(lambda: bool(kit.mail(POSTMASTER)))
            await kit.until_empty()
        (letter,) = kit.mail(POSTMASTER)
        assert b"Subject: Reports that could not be delivered: 1\r\n" in letter
        assert b"to gone@live.test: Not delivered: your message to b@live.test" in letter
        assert b"550 5.1.1 no" in letter
        assert sink.messages == []


async def test_many_undelivered_reports_are_one_letter_a_day(tmp_path: Path) -> None:
    # Q16
    with SmtpSink(replies={"rcpt": "550 5.1.1 no"}) as sink:
        async with running(tmp_path, *routes(live_test=sink), undelivered_listed=3) as kit:
            kit.put("b@live.test", sender="first@live.test")
            await kit.until(lambda: bool(kit.mail(POSTMASTER)))
            for number in range(5):
                kit.put("b@live.test", sender=f"gone{number}@live.test")
            await kit.until_empty()
            assert len(kit.mail(POSTMASTER)) == 1
            kit.kit.queue.write(
                lambda connection: connection.execute("UPDATE meta SET value = '1.0' WHERE name LIKE 'und%'")
            )
            for _ in range(2):
                await asyncio.to_thread(kit.engine._settler.tell_undelivered)
            await kit.until(lambda: len(kit.mail(POSTMASTER)) == 2)
            await kit.until_empty()
            assert not kit.kit.queue.read("SELECT 1 FROM undelivered")
        letter = kit.mail(POSTMASTER)[1]
        assert b"Subject: Reports that could not be delivered: 5\r\n" in letter
        assert letter.count(b": Not delivered: ") == 3
        assert b"and 2 more" in letter


async def test_trouble_in_what_follows_an_outcome_has_it_settled_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*outcome: object) -> None:
        raise ValueError("a hook's own mistake")

    with SmtpSink() as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.engine._settler._settled = broken
            kit.put("b@live.test")
            await kit.until_empty()
        assert len(sink.messages) == 1
        assert not kit.logged("lease_lost") and len(kit.logged("delivered")) == 1
    assert "is settled, but not what follows" in caplog.text


async def test_without_a_postmaster_an_undelivered_report_is_held(tmp_path: Path) -> None:
    # Q16, P2
    with SmtpSink(replies={"rcpt": "550 5.1.1 no"}) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.home.accounts = ("alice@example.org",)
            kit.put("b@live.test", sender="gone@live.test")
            await kit.until(lambda: bool(kit.kit.queue.read("SELECT 1 FROM message WHERE held = 1")))
            assert not kit.kit.queue.read("SELECT 1 FROM undelivered")
            await kit.until(lambda: any("nobody can be given" in line for line in kit.logged("alarm")))


async def test_a_forward_whose_return_path_does_not_exist_stays_with_its_owner(tmp_path: Path) -> None:
    # Such as an SRS address whose secret was dropped; the owner's mail is nothing for the postmaster.
    with SmtpSink(replies={"rcpt": "550 5.1.1 no"}) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.put("b@live.test", sender="SRS0=old@example.org", kind="forward", owner=ALICE)
            await kit.until_empty()
        assert len(kit.mail(ALICE)) == 1
        assert kit.mail("postmaster@example.org") == []


async def test_a_return_path_that_does_not_exist_ends_with_the_postmaster(tmp_path: Path) -> None:
    with SmtpSink(replies={"rcpt": "550 5.1.1 no"}) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.put("b@live.test", sender="nobody@example.org")
            await kit.until_empty()
        (copy,) = kit.mail(POSTMASTER)
        assert copy.endswith(MESSAGE)


@pytest.mark.parametrize("kind", ["vacation", "srs-bounce", "submission"])
async def test_mail_of_the_null_sender_that_fails_is_logged_and_gone(tmp_path: Path, kind: str) -> None:
    # Q17
    with SmtpSink(replies={"rcpt": "550 5.1.1 no"}) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.put("b@live.test", sender="", kind=kind)
            await kit.until_empty()
        assert kit.home.mailboxes == {}
        assert 'dsn="nobody: null sender"' in kit.logged("bounced")[0]


async def test_what_even_the_postmaster_cannot_take_is_held_and_visible(tmp_path: Path) -> None:
    with SmtpSink(replies={"rcpt": "550 5.1.1 no"}) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.home.answers[POSTMASTER] = [Failed(Reply(552, "2.2", "full"))]
            kit.put("b@live.test", sender="gone@live.test")
            await kit.until(lambda: [v.state for v in listing.messages(kit.kit.queue)] == ["held"])


async def test_without_a_postmaster_what_nobody_can_be_told_of_is_held(tmp_path: Path) -> None:
    with SmtpSink(replies={"rcpt": "550 5.1.1 no"}) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.home.accounts = (ALICE,)
            kit.put("b@live.test", sender="gone@live.test", is_sender_verified=False, kind="relay")
            await kit.until(lambda: [v.state for v in listing.messages(kit.kit.queue)] == ["held"])
        assert kit.logged("alarm")


async def test_a_failed_forward_of_an_alias_goes_to_the_postmaster(tmp_path: Path) -> None:
    with SmtpSink(replies={"rcpt": "550 5.1.1 no"}) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.put(
                "b@live.test",
                sender="x@live.test",
                kind="forward",
                owner="out@example.org",
                is_sender_verified=False,
            )
            await kit.until_empty()
        assert len(kit.mail(POSTMASTER)) == 1


async def test_a_report_that_cannot_be_made_does_not_send_the_message_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ValueError("text from outside")

    monkeypatch.setattr("mailstack.delivery.dsn.report", broken)
    replies = {"rcpt": {"bad@live.test": "550 5.1.1 no"}}
    with SmtpSink(replies=replies) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.put("ok@live.test", "bad@live.test")
            await kit.until(lambda: [v.state for v in listing.messages(kit.kit.queue)] == ["held"])
            await asyncio.sleep(0.3)
        assert [message.recipients for message in sink.messages] == [("ok@live.test",)]


# -- wishes


@pytest.mark.parametrize(("notify", "count"), [("NEVER", 0), ("DELAY", 0), ("FAILURE", 1), ("", 1)])
async def test_notify_is_honoured_for_failures(tmp_path: Path, notify: str, count: int) -> None:
    # Q18
    with SmtpSink(replies={"rcpt": "550 no"}) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.put(QueueRecipient("b@live.test", notify=frozenset(notify.split())))
            await kit.until_empty()
        assert len(kit.mail(ALICE)) == count


@pytest.mark.parametrize(("extensions", "count"), [(("PIPELINING",), 1), (("DSN",), 0)])
async def test_success_is_reported_where_the_next_host_will_not(
    tmp_path: Path, extensions: tuple[str, ...], count: int
) -> None:
    # RFC 3461 section 5.2.2
    with SmtpSink(extensions=extensions) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.put(QueueRecipient("b@live.test", notify=frozenset({"SUCCESS"})))
            await kit.until_empty()
        assert len(kit.mail(ALICE)) == count
        assert all(b"Action: relayed" in report for report in kit.mail(ALICE))


# -- mailboxes here


async def test_a_mailbox_that_failed_for_the_moment_gets_its_mail_from_the_queue(tmp_path: Path) -> None:
    async with running(tmp_path) as kit:
        kit.home.answers[ALICE] = [Deferred(Reply(451, "3.0", "locked"))] * 2
        kit.put(QueueRecipient(ALICE, kind="local", detail="{}"), kind="local", sender="s@far.test")
        await kit.until_empty()
        assert kit.mail(ALICE) == [MESSAGE]
        assert len(kit.logged("deferred")) == 2


# -- many


async def test_a_dead_destination_does_not_hold_up_a_live_one(tmp_path: Path) -> None:
    # Q15, in small
    with SmtpSink() as sink, SmtpSink(replies={"greeting": HANG}) as hanging:
        async with running(tmp_path, *routes(live_test=sink, slow_test=hanging), dead(), start=False) as kit:
            for _ in range(100):
                kit.kit.put("x@dead.test", sender="")
                kit.kit.put("x@slow.test", sender="")
            for _ in range(10):
                kit.kit.put("b@live.test")
            work = asyncio.create_task(kit.engine.run(kit.stop))
            await kit.until(lambda: len(sink.messages) == 10, 20)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        assert hanging.most_open <= 2


#: Nothing is due again while a slow machine counts.
SLOW = {"first_wait_s": 60.0, "max_wait_s": 60.0, "give_up_after_s": 600.0}


async def test_a_dead_destination_is_not_tried_once_per_message(tmp_path: Path) -> None:
    tried: list[float] = []
    with SmtpSink(replies={"greeting": lambda _: tried.append(0) or CLOSE}) as sink:  # type: ignore[func-returns-value]
        async with running(tmp_path, *routes(down_test=sink), **SLOW, start=False) as kit:
            for _ in range(100):
                kit.kit.put("x@down.test", sender="")
            work = asyncio.create_task(kit.engine.run(kit.stop))
            await kit.until(lambda: len(kit.logged("deferred")) >= 100)
            assert len(tried) < 20
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


async def test_a_provider_that_says_slow_down_gets_less_and_others_do_not(tmp_path: Path) -> None:
    # Q14
    with SmtpSink(replies={"mail": ["421 4.7.0 slow down"] * 3}) as slow, SmtpSink() as other:
        async with running(tmp_path, *routes(slow_test=slow, other_test=other), **SLOW) as kit:
            for _ in range(20):
                kit.put("x@slow.test")
                kit.put("x@other.test")
            await kit.until(lambda: len(other.messages) == 20)
            assert slow.most_open <= 2
            assert len(slow.messages) < 20


# -- operators, meanwhile


async def test_held_mail_waits_and_removed_mail_goes(tmp_path: Path) -> None:
    # Q22
    with SmtpSink() as sink:
        async with running(tmp_path, *routes(live_test=sink), start=False) as kit:
            held, removed = kit.put("h@live.test"), kit.put("r@live.test")
            admin.hold(kit.kit.queue, [held])
            admin.remove(kit.kit.queue, [removed])
            work = asyncio.create_task(kit.engine.run(kit.stop))
            await asyncio.sleep(0.3)
            assert sink.messages == []
            admin.release(kit.kit.queue, [held])
            await kit.until(lambda: len(sink.messages) == 1)
            await kit.until_empty()
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


async def test_a_damaged_message_is_held_and_reported_and_never_sent(tmp_path: Path) -> None:
    # Q19
    with SmtpSink() as sink:
        async with running(tmp_path, *routes(live_test=sink), start=False) as kit:
            queue_id = kit.put("b@live.test")
            path = kit.kit.queue.spool.path(queue_id)
            path.write_bytes(path.read_bytes().replace(b"Hello", b"HELLO"))
            work = asyncio.create_task(kit.engine.run(kit.stop))
            await kit.until(lambda: bool(kit.logged("alarm")))
            await kit.until(lambda: listing.message(kit.kit.queue, queue_id).state == "damaged")
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        assert sink.all == []


async def test_a_message_that_makes_us_fail_is_put_off_and_the_others_go_on(tmp_path: Path) -> None:
    with SmtpSink() as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:

            def fail(*_: object) -> None:
                raise RuntimeError("a mistake of ours")

            kit.engine._deliver_local = fail  # type: ignore[assignment]
            kit.put(QueueRecipient(ALICE, kind="local"), "b@live.test", sender="")
            await kit.until(lambda: len(sink.messages) == 1)
            await kit.until(lambda: any("Internal error" in line for line in kit.logged("deferred")))


# -- the end


async def test_a_stop_lets_what_is_under_way_end(tmp_path: Path) -> None:
    # F37
    with SmtpSink(end_delay_s=0.5) as sink:
        async with running(tmp_path, *routes(live_test=sink), start=False) as kit:
            kit.put("b@live.test")
            work = asyncio.create_task(kit.engine.run(kit.stop))
            await kit.until(lambda: any(c.startswith("DATA") for c in sink.commands))
            kit.stop.set()
            kit.engine.wake()
            await asyncio.wait_for(work, 30)
            assert len(sink.messages) == 1
            assert kit.kit.files() == []


async def test_what_is_cut_off_by_a_stop_waits_for_the_next_start(tmp_path: Path) -> None:
    with SmtpSink(replies={"greeting": [HANG]}) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            queue_id = kit.put("b@live.test")
            await kit.until(lambda: sink.connections == 1)
        async with running(tmp_path, start=False) as kit:
            assert listing.message(kit.kit.queue, queue_id).state == "waiting"


async def test_a_stop_does_not_wait_for_a_disk_that_takes_no_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Cut off at the second host, after the first took it for one: that is written down, if it can be.
    def full(*_: object) -> None:
        raise TemporaryFailure("the disk is full", status="3.1")

    monkeypatch.setattr(queue_engine, "LAST_OUTCOMES_S", 0.1)
    replies: dict[str, Any] = {"rcpt": {"later@y.test": "450 4.2.0 later"}}
    with (
        SmtpSink(replies=replies) as first,
        SmtpSink(host="127.0.0.2", port=first.port, replies={"greeting": [HANG]}) as second,
    ):
        zone = Zone(
            y_test={"MX": [(10, "a.y.test"), (20, "b.y.test")]},
            a_y_test={"A": [first.host]},
            b_y_test={"A": [second.host]},
        )
        async with (
            delivery(zone=zone, port=first.port) as smtp,
            running(tmp_path, smtp=smtp, start=False) as kit,
        ):
            monkeypatch.setattr(kit.engine._settler, "settle", full)
            work = asyncio.create_task(kit.engine.run(kit.stop))
            kit.put("ok@y.test", "later@y.test")
            await kit.until(lambda: second.connections == 1)
            work.cancel()
            assert (await asyncio.wait({work}, timeout=30))[0]


async def test_a_delay_notice_that_cannot_be_made_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is wrong with one message must not end the daemon, minute after minute.
    def report(*arguments: object, **values: object) -> None:
        raise ValueError("a header nobody expected")

    monkeypatch.setattr(queue_engine, "UPKEEP_S", 0.05)
    monkeypatch.setattr(queue_settle.dsn, "report", report)
    with SmtpSink() as sink:
        ways = (*routes(live_test=sink), dead("late.test"))
        async with running(tmp_path, *ways, delay_notice_after_s=1.0) as kit:
            kit.put("b@late.test")
            await kit.until(lambda: kit.kit.queue.read("SELECT delay_told FROM recipient") == [(1,)])
            kit.put("b@live.test")
            await kit.until(lambda: len(sink.messages) == 1)


async def test_an_outcome_that_cannot_be_written_at_first_sends_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The far server has the message, whatever mistake of ours comes after its answer.
    finish = Queue.finish
    failed: list[bool] = []

    def once(self: Queue, *arguments: Any, **values: Any) -> list[str]:
        if not failed:
            failed.append(True)
            raise ValueError("a mistake of ours")
        return finish(self, *arguments, **values)

    monkeypatch.setattr(Queue, "finish", once)
    replies: dict[str, Any] = {"rcpt": {"later@live.test": ["450 4.2.1 busy"]}}
    with SmtpSink(replies=replies) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.put("b@live.test", "later@live.test")
            await kit.until_empty()
    assert [message.recipients for message in sink.messages] == [("b@live.test",), ("later@live.test",)]


async def test_an_outcome_that_is_being_written_is_waited_for_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else the claim is given back first, and the message sent again at the next start.
    settle, began = queue_settle.Settler.settle, threading.Event()

    def slowly(self: queue_settle.Settler, *arguments: Any) -> bool:
        began.set()
        time.sleep(0.5)
        return settle(self, *arguments)

    monkeypatch.setattr(queue_settle.Settler, "settle", slowly)
    with SmtpSink() as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.put("b@live.test")
            await kit.until(began.is_set)
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            await kit.until_empty()
    assert len(sink.messages) == 1
