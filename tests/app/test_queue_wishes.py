"""What senders wished for, at the queue's end: success, delay, silence, TLS, lists (Q18)."""

from pathlib import Path
from typing import Any

import pytest

from mailstack.delivery.entry import Entry, EntryRecipient, QueueRecipient
from mailstack.delivery.options import Route
from mailstack.delivery.spool import Content
from mailstack.model.outcome import Failed, Outcome
from mailstack.model.reply import Reply
from tests.app.test_queue_engine import ALICE, dead
from tests.kit.queue_engine import routes, running
from tests.kit.queues import MESSAGE
from tests.kit.smtp_sink import SmtpSink

SUCCESS = frozenset({"SUCCESS"})
FORWARD = {"kind": "forward", "owner": ALICE, "sender": "s@live.test"}


async def test_a_redirections_target_is_not_asked_to_report_and_not_named(tmp_path: Path) -> None:
    # RFC 3461 section 5.2.7.4
    wish = QueueRecipient("secret@live.test", notify=SUCCESS, original="list@example.org")
    with SmtpSink() as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.put(wish, **{**FORWARD, "sender": ALICE, "owner": "list@example.org"})
            await kit.until(lambda: len(kit.mail(ALICE)) == 1)
        (message,) = sink.messages
        assert message.parameters["secret@live.test"] == "NOTIFY=NEVER"
    (report,) = kit.mail(ALICE)
    assert b"Action: relayed" in report
    assert b"Final-Recipient: rfc822; list@example.org" in report
    assert b"secret" not in report


async def test_what_a_list_manager_took_is_delivered(tmp_path: Path) -> None:
    # RFC 3461 section 5.2.7.1
    with SmtpSink(lmtp=True, replies={"end": {"no@lists.test": "550 5.7.2 closed"}}) as sink:
        route = Route(domain="lists.test", host="127.0.0.1", port=sink.port, protocol="lmtp")
        async with running(tmp_path, route) as kit:
            kit.put(
                QueueRecipient("ok@lists.test", notify=SUCCESS),
                QueueRecipient("no@lists.test", notify=frozenset({"SUCCESS", "FAILURE"})),
                kind="relay",
                envid="e1",
            )
            await kit.until(lambda: len(kit.mail(ALICE)) == 1)
    (report,) = kit.mail(ALICE)
    machine = report.partition(b"message/delivery-status")[2]
    assert machine.index(b"Action: failed") > 0
    assert machine.index(b"Action: delivered") > 0
    assert b"Original-Envelope-Id: e1\r\n" in machine


async def test_a_mailbox_that_got_its_mail_later_is_delivered_by_the_name_that_was_written_to(
    tmp_path: Path,
) -> None:
    wish = QueueRecipient(
        ALICE, kind="local", notify=SUCCESS, original="sales@example.org", orcpt="rfc822;s@x"
    )
    async with running(tmp_path) as kit:
        kit.put(wish, kind="local", sender=ALICE)
        await kit.until(lambda: len(kit.mail(ALICE)) == 2)
    stored, report = kit.mail(ALICE)
    assert stored == MESSAGE
    assert b"Original-Recipient: rfc822;s@x\r\nFinal-Recipient: rfc822; sales@example.org\r\n" in report
    assert b"Action: delivered" in report


@pytest.mark.parametrize(
    ("notify", "facts", "count"),
    [
        ("DELAY", {"sender": "s@live.test", "kind": "relay"}, 1),
        ("", {"sender": "s@live.test", "kind": "relay"}, 0),
        ("DELAY", {"sender": "s@live.test", "kind": "relay", "is_sender_verified": False}, 0),
        ("FAILURE", {}, 0),
        ("NEVER", {}, 0),
        ("DELAY", {}, 1),
    ],
)
async def test_of_a_delay_hear_senders_here_and_who_asks(
    tmp_path: Path, notify: str, facts: dict[str, Any], count: int
) -> None:
    # Q18; RFC 3461 section 5.2.5
    with SmtpSink() as sink:
        async with running(
            tmp_path, dead(), *routes(live_test=sink), delay_notice_after_s=0.1, give_up_after_s=60
        ) as kit:
            kit.put(QueueRecipient("b@dead.test", notify=frozenset(notify.split())), **facts)
            await kit.until(lambda: len(kit.logged("deferred")) >= 3)
            await kit.until(lambda: len([*kit.mail(ALICE), *sink.messages]) >= count)
            told = [*kit.mail(ALICE), *(message.data for message in sink.messages)]
    assert len(told) == count
    assert all(b"Action: delayed" in report for report in told)


async def test_a_sender_who_wants_silence_does_not_lose_a_redirections_mail(tmp_path: Path) -> None:
    # product page, section 3: what is not forwarded is never lost
    with SmtpSink(replies={"rcpt": "550 5.1.1 no"}) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.put(QueueRecipient("b@live.test", notify=frozenset({"NEVER"})), **FORWARD)
            await kit.until_empty()
        assert sink.messages == []
    (copy,) = kit.mail(ALICE)
    assert copy.endswith(MESSAGE)


async def test_what_may_not_travel_without_tls_comes_back_at_once_without_its_text(tmp_path: Path) -> None:
    # RFC 8689 sections 4.2.1 and 5
    with SmtpSink() as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.put("b@live.test", requiretls=True, ret="FULL")
            await kit.until(lambda: len(kit.mail(ALICE)) == 1)
        assert sink.all == []
    (report,) = kit.mail(ALICE)
    assert b"Status: 5.7.10" in report
    assert b"only over a safe connection" in b" ".join(report.split())
    assert b"Hello." not in report


async def test_a_full_return_of_a_large_message_is_its_header(tmp_path: Path) -> None:
    # Q18: RET=FULL with much
    large = MESSAGE + b"x" * 70 * 1024
    with SmtpSink(replies={"rcpt": "550 5.1.1 no"}) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.put("b@live.test", data=large, ret="FULL")
            await kit.until(lambda: len(kit.mail(ALICE)) == 1)
    (report,) = kit.mail(ALICE)
    assert len(report) < 10_000
    assert b"Subject: hello" in report


async def test_internationalized_mail_for_an_old_server_is_reported_in_utf_8(tmp_path: Path) -> None:
    # RFC 6533
    data = MESSAGE.replace(b"hello", "größer".encode())
    with SmtpSink(extensions=("PIPELINING", "8BITMIME")) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            kit.put("ü@live.test", data=data, smtputf8=True)
            await kit.until(lambda: len(kit.mail(ALICE)) == 1)
    (report,) = kit.mail(ALICE)
    assert b"Content-Type: message/global-delivery-status" in report
    assert b"5.6.7" in report
    assert b"Content-Type: message/global" in report


@pytest.mark.parametrize("kind", ["dsn", "vacation"])
async def test_a_report_is_never_reported_on(tmp_path: Path, kind: str) -> None:
    # Q17
    with SmtpSink(replies={"rcpt": "550 5.1.1 no"}) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            everything = frozenset({"SUCCESS", "FAILURE", "DELAY"})
            kit.put(QueueRecipient("b@live.test", notify=everything), kind=kind, sender="")
            await kit.until_empty()
        assert sink.messages == []
    assert kit.mail(ALICE) == []


async def test_a_failed_retry_of_a_local_copy_is_told_as_the_sender_wished(tmp_path: Path) -> None:
    async with running(tmp_path) as kit:
        kit.home.answers["bob@example.org"] = [Failed(Reply(552, "2.2", "full"))] * 2
        for notify in ("FAILURE", "NEVER"):
            kit.put(
                QueueRecipient("bob@example.org", kind="local", detail="{}", notify=frozenset({notify})),
                kind="local",
            )
        await kit.until(lambda: len(kit.mail(ALICE)) == 1)
        await kit.until_empty()
    assert len(kit.mail(ALICE)) == 1


async def test_a_binary_message_nobody_may_be_told_of_stays_binary(tmp_path: Path) -> None:
    data = b"Subject: x\r\nContent-Type: image/png\r\n\r\n" + bytes(range(256))
    with SmtpSink(replies={"rcpt": "550 5.1.1 no"}) as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            bodies: list[str] = []
            deliver = kit.home.deliver

            def noting(entry: Entry, recipient: EntryRecipient, content: Content) -> Outcome:
                bodies.append(entry.facts.body)
                return deliver(entry, recipient, content)

            kit.engine._deliver_local = noting
            kit.put("b@live.test", data=data, body="BINARYMIME", **FORWARD, is_sender_verified=False)
            await kit.until_empty()
    assert kit.mail(ALICE)[0].endswith(data)
    assert bodies == ["BINARYMIME"]
