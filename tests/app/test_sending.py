"""How much a login may send: two workers, one count; refusals as a whole; who is told."""

from __future__ import annotations

import asyncio
import email
import email.policy
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailstack.app import fuse
from mailstack.app.sending_notices import compose
from mailstack.disk.sqlite import open_database
from mailstack.model.address import Address
from mailstack.model.directory import Account
from mailstack.model.envelope import Body, Client, Envelope, Recipient
from mailstack.model.sending import Used
from mailstack.state.statedb import BUSY_TIMEOUT_S
from tests.kit.smtp_workers import ALICE, LETTER, Workers, two_workers

DAY_S = 86_400
LONG_AGO = "UPDATE sending_start SET at = 0"


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Workers]:
    async with two_workers(tmp_path) as kit:
        yield kit


async def test_the_message_over_the_limit_is_refused_as_a_whole_by_whichever_worker(kit: Workers) -> None:
    # Q24
    kit.limit(messages_per_hour=3)
    for _ in range(3):
        assert (await kit.data("x@far.test")).startswith("250 ")
    said = await kit.data("x@far.test")
    assert said.startswith("450 4.7.1 alice@example.test may send 3 messages an hour and has sent them; try")
    assert sum(1 for _, kind in kit.queued() if kind == "submission") == 3
    refusal = await kit.mail()
    assert refusal is not None
    assert (refusal.code, refusal.check) == (450, "messages_per_hour")
    assert "check=messages_per_hour" in kit.log.getvalue()
    kit.clock.advance(3_661)
    assert await kit.mail() is None
    assert (await kit.data("x@far.test")).startswith("250 ")


async def test_never_partly_sent(kit: Workers) -> None:
    kit.limit(recipients_per_day=5)
    assert (await kit.data("a@far.test", "b@far.test", "c@far.test")).startswith("250 ")
    said = await kit.data("a@far.test", "b@far.test", "bob@example.test")
    assert said.startswith("450 4.7.1 ")
    assert "5 recipients in 24 hours, has written to 3, and this message has 3" in said
    assert {kind for to, kind in kit.queued() if to == "bob@example.test"} == set()
    assert (await kit.data("a@far.test", "b@far.test")).startswith("250 ")
    refusal = await kit.mail()
    assert refusal is not None
    assert refusal.check == "recipients_per_day"
    assert "and this message has" not in refusal.text  # at MAIL nobody knows


async def test_concurrent_messages_get_exactly_what_is_left(kit: Workers) -> None:
    kit.limit(messages_per_day=7)
    said = await asyncio.gather(*(kit.data(f"x{n}@far.test") for n in range(30)))
    assert sum(1 for reply in said if reply.startswith("250 ")) == 7
    assert sum(1 for reply in said if reply.startswith("450 4.7.1 ")) == 23
    assert kit.used.messages_per_day == 7


async def test_what_is_refused_for_another_reason_does_not_count(kit: Workers) -> None:
    kit.limit(messages_per_hour=1, new_recipients_per_day=1)
    for _ in range(3):
        foreign = LETTER.replace(b"From: alice", b"From: bob")
        assert (await kit.data("x@far.test", letter=foreign)).startswith("550 5.7.1 ")
    assert kit.used == Used()
    assert not kit.table.knows(kit.account.id, "x@far.test")
    assert (await kit.data("x@far.test")).startswith("250 ")


async def test_the_null_sender_counts_and_may_have_two_recipients(kit: Workers) -> None:
    # S23
    kit.limit(messages_per_hour=1)
    assert await kit.mail("") is None
    assert (await kit.data("x@far.test", "y@far.test")).startswith("250 ")
    refusal = await kit.mail("")
    assert refusal is not None
    assert refusal.code == 450


async def test_first_time_recipients_are_learned_first_and_limited_later(kit: Workers) -> None:
    kit.limit(new_recipients_per_day=1)
    assert (await kit.data("a@far.test", "b@far.test")).startswith("250 ")
    assert kit.used.new_recipients_per_day == 0
    kit.clock.advance(15 * DAY_S)
    kit.table._open().execute(LONG_AGO)
    for worker in kit.workers:
        worker._sending._started_at = None
    assert (await kit.data("a@far.test", "b@far.test", "bob@example.test")).startswith("250 ")
    assert (await kit.data("c@far.test")).startswith("250 ")
    assert (await kit.data("C@far.test")).startswith("250 ")
    said = await kit.data("a@far.test", "d@far.test")
    assert said.startswith("450 4.7.1 ")
    assert "1 recipients in 24 hours for the first time" in said
    assert (await kit.data("a@far.test")).startswith("250 ")


async def test_owner_and_postmaster_are_told_once_a_day(kit: Workers) -> None:
    # Q24
    kit.limit(messages_per_day=0)
    for _ in range(4):
        assert (await kit.data("x@far.test")).startswith("550 5.7.1 ")
    assert sorted(await kit.notices(2)) == [ALICE, "bob@example.test"]
    kit.clock.advance(DAY_S)
    await kit.data("x@far.test")
    assert len(await kit.notices(4)) == 4


async def test_the_owner_is_told_once_a_day_of_each_foreign_sender(kit: Workers) -> None:
    foreign = LETTER.replace(b"From: alice", b"From: bob")
    for _ in range(3):
        refusal = await kit.mail("bob@example.test")
        assert refusal is not None
        assert (refusal.code, refusal.check) == (550, "sender")
        assert (await kit.data("x@far.test", letter=foreign)).startswith("550 5.7.1 alice@example.test may")
    await kit.mail("carol@other.test")
    assert await kit.notices(2) == [ALICE, ALICE]
    queue = kit.workers[0]._services.queue
    texts = [path.read_bytes() for path in sorted(queue.spool.messages.rglob("*")) if path.is_file()]
    assert any(b"bob@example.test" in text and b"192.0.2.7" in text for text in texts)


async def test_an_attack_with_many_senders_fills_no_mailbox(kit: Workers) -> None:
    for n in range(30):
        await kit.mail(f"x{n}@other.test")
    for worker in kit.workers:
        await asyncio.gather(*worker._sending._tasks)
    assert len(await kit.notices(10)) == 10


async def test_a_postmaster_at_a_limit_is_told_once(kit: Workers) -> None:
    with kit.instance.writer() as writer:
        writer.aliases.remove("postmaster@example.test")
        writer.aliases.add("postmaster@example.test", [ALICE])
    kit.limit(messages_per_day=0)
    await kit.data("x@far.test")
    for worker in kit.workers:
        await asyncio.gather(*worker._sending._tasks)
    assert await kit.notices(1) == [ALICE]


@pytest.mark.parametrize("kind", ["device", "noreply"])
async def test_of_a_login_that_nobody_reads_the_postmaster_is_told(kit: Workers, kind: str) -> None:
    with kit.instance.writer() as writer:
        writer.accounts.set(ALICE, kind=kind)
    kit.limit(messages_per_day=0)
    await kit.data("x@far.test")
    assert await kit.notices(1) == ["bob@example.test"]


def test_a_notice_can_be_read_whatever_was_tried() -> None:
    lines = ["A program tried to send as", '    "=?utf-8?q?x?= \r\nBcc: y"@far.test', "Größe " * 40]
    octets = compose(
        "jörg@example.test", "x\r\nBcc: z", lines, notice_id="n1", hostname="mx.test", now=1.79e9
    )
    message = email.message_from_bytes(octets, policy=email.policy.SMTPUTF8)
    assert message["bcc"] is None
    assert message["to"] == "jörg@example.test"
    assert "Größe Größe" in message.get_content()
    assert all(len(line) <= 78 for line in octets.splitlines())
    plain = compose(ALICE, "x", ["x " * 100], notice_id="n1", hostname="mx.test", now=1.79e9)
    assert plain.isascii()
    assert b"charset=us-ascii" in plain


async def test_a_count_that_cannot_be_kept_refuses_for_the_moment(
    kit: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuse, "REST_S", 0.0)
    for worker in kit.workers:
        worker._sending._table.close()
    path = kit.instance.config.paths.state_db
    path.rename(path.with_name("aside.db"))
    path.write_bytes(b"this is no database" * 1_000)
    # MAIL lets it in: what counts is the end of DATA.
    assert await kit.mail() is None
    assert (await kit.data("x@far.test")).startswith("451 4.3.0 ")
    path.with_name("aside.db").rename(path)
    for worker in kit.workers:
        worker._sending._table.close()
    assert (await kit.data("x@far.test")).startswith("250 ")
    assert kit.used.messages_per_hour == 1


async def test_a_device_that_cannot_be_counted_sends_all_the_same(kit: Workers) -> None:
    # It has no queue: what it is told to send again is lost.
    with kit.instance.writer() as writer:
        writer.accounts.add("scan@example.test", kind="device")
    device = kit.workers[0]._directory.find(Address.parse("scan@example.test"))
    assert isinstance(device, Account)
    kit.instance.config.paths.state_db.write_bytes(b"this is no database" * 1_000)
    said = await kit.data("x@far.test", account=device)
    assert said.startswith("250 ")


async def test_a_locked_database_holds_up_neither_mail_from_outside_nor_many_logins(kit: Workers) -> None:
    worker = kit.workers[0]
    assert (await kit.data("x@far.test")).startswith("250 ")
    lock = open_database(kit.instance.config.paths.state_db)
    lock.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    submissions = [asyncio.ensure_future(kit.data("x@far.test")) for _ in range(40)]
    await asyncio.sleep(0.1)
    envelope = Envelope(
        accept_id=worker.new_id(),
        client=Client("192.0.2.8", 2_500, "far.test", listener="mx"),
        reverse_path=Address.parse("x@far.test"),
        recipients=(Recipient(Address.parse(ALICE), 1),),
        received_at=kit.clock(),
    )
    async with asyncio.timeout(BUSY_TIMEOUT_S):
        assert (await worker.accept(envelope, Body(LETTER, size_octets=len(LETTER)), None)).is_ok
    assert not any(task.done() for task in submissions)
    assert {said[:3] for said in await asyncio.gather(*submissions)} == {"451"}
    assert time.monotonic() - begun < 3 * BUSY_TIMEOUT_S
    lock.close()
