"""A stolen account: stopped, its queue held, owner and operator told once, released by one command."""

from __future__ import annotations

import asyncio
import email
from collections.abc import AsyncIterator
from dataclasses import replace
from email.policy import default
from pathlib import Path

import pytest

from mailstack.app.containment import Containing
from mailstack.delivery import holds
from mailstack.disk.sqlite import open_database
from tests.kit.smtp_workers import ALICE, CLIENT, Workers, two_workers

DAY_S = 86_400
HOME, HOTEL = replace(CLIENT, ip="203.0.113.7"), replace(CLIENT, ip="198.18.4.9")
STOPPED = "450 4.7.1 alice@example.test sends nothing more for now"


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Workers]:
    async with two_workers(tmp_path) as kit:
        yield kit


async def grow_old(kit: Workers) -> None:
    """Alice has sent from home for a month; the server counts first-time recipients."""
    state = open_database(kit.instance.config.paths.state_db)
    state.execute("UPDATE sending_start SET at = 0")
    state.close()
    kit.clock.advance(30 * DAY_S)
    assert (await kit.data("friend@far.test", client=HOME)).startswith("250 ")
    kit.clock.advance(30 * DAY_S)
    assert (await kit.data("friend@far.test", client=HOME)).startswith("250 ")


async def steal(kit: Workers) -> str:
    """The thief writes to 60 people in three messages; gives the last answer."""
    said = ""
    for n in range(3):
        said = await kit.data(*(f"{n}.{m}@far.test" for m in range(20)), client=HOTEL)
    return said


def held(kit: Workers) -> list[str]:
    rows = kit.workers[0]._services.queue.read(
        "SELECT r.address FROM recipient r WHERE r.state = 4 ORDER BY r.number"
    )
    return [str(address) for (address,) in rows]


def containing(kit: Workers) -> Containing:
    """The queue daemon's."""
    services = kit.workers[0]._services
    return Containing(
        services.config,
        services.directory,
        services.queue,
        maillog=services.maillog,
        bus=services.bus,
        long_senders=services.long_senders,
        now=kit.clock,
    )


def made_at(kit: Workers, at: str) -> None:
    """Says when queue.db was made."""
    kit.workers[0]._services.queue.write(
        lambda connection: connection.execute("UPDATE meta SET value = ? WHERE name = 'made_at'", (at,))
    )


async def settled(kit: Workers) -> None:
    for worker in kit.workers:
        await asyncio.gather(*worker._sending._tasks)


async def test_a_thief_is_stopped_its_queue_held_and_everybody_told_once(kit: Workers) -> None:
    await grow_old(kit)
    assert (await steal(kit)).startswith(STOPPED)
    refusal = await kit.mail()
    assert refusal is not None
    assert (refusal.code, refusal.check) == (450, "contained")
    for _ in range(5):
        assert (await kit.data("one.more@far.test", client=HOME)).startswith(STOPPED)
    await settled(kit)
    assert len(held(kit)) == 42
    assert sorted(await kit.notices(2)) == [ALICE, "bob@example.test"]
    assert kit.log.getvalue().count(" contained account=alice@example.test") == 1
    [hold] = holds.listed(kit.workers[0]._services.queue)
    assert (hold.scope, hold.name, hold.who) == ("sender", ALICE, "containment")
    assert "60 recipients in an hour to whom it never wrote before" in hold.reason


async def test_the_recovery_address_is_told_instead_of_the_mailbox_a_thief_reads(kit: Workers) -> None:
    with kit.instance.writer() as writer:
        writer.accounts.set_recovery(ALICE, "alice@elsewhere.test")
    await grow_old(kit)
    assert (await steal(kit)).startswith(STOPPED)
    await settled(kit)
    assert sorted(await kit.notices(2)) == ["alice@elsewhere.test", "bob@example.test"]
    assert "alice@elsewhere.test" not in held(kit)


async def test_owner_and_operator_read_it_in_their_own_languages(kit: Workers) -> None:
    with kit.instance.writer() as writer:
        writer.accounts.set_language(ALICE, "it")
        writer.accounts.set_recovery(ALICE, "alice@elsewhere.test")
    await grow_old(kit)
    await steal(kit)
    await settled(kit)
    await kit.notices(2)
    folder = kit.instance.config.paths.queue_messages
    letters = [email.message_from_bytes(path.read_bytes(), policy=default) for path in folder.iterdir()]
    subjects = {str(letter["Subject"]) for letter in letters}
    assert {f"Fermata: la posta di {ALICE}", f"Account stopped: {ALICE}"} <= subjects


async def test_one_command_releases(kit: Workers) -> None:
    await grow_old(kit)
    await steal(kit)
    await settled(kit)
    [row] = kit.instance.cli("user", "stopped", "--json").json
    assert (row["address"], row["score"]) == (ALICE, 1.22)
    assert "never wrote before" in kit.instance.cli("user", "show", ALICE, "--json").json["stopped"]
    done = kit.instance.cli("user", "release", ALICE, "--json")
    assert done.json == {"address": ALICE, "released": 4, "purged": 0}
    assert held(kit) == []
    nobody = kit.instance.cli("user", "stopped")
    assert (nobody.out, nobody.err) == ("", "no account is stopped\n")
    assert await kit.mail() is None
    assert (await kit.data("one.more@far.test", client=HOTEL)).startswith("250 ")
    again = kit.instance.cli("user", "release", ALICE)
    assert (again.code, "is not stopped" in again.err) == (65, True)


async def test_one_command_throws_what_is_held_away(kit: Workers) -> None:
    await grow_old(kit)
    await steal(kit)
    await settled(kit)
    done = kit.instance.cli("user", "release", ALICE, "--purge")
    assert done.out.strip() == "alice@example.test may send again; 4 held messages are thrown away"
    assert [kind for _, kind in kit.queued() if kind == "submission"] == []
    assert (await kit.data("friend@far.test", client=HOME)).startswith("250 ")


async def test_what_a_dead_process_left_undone_is_done_by_the_next(kit: Workers) -> None:
    # The row stands, and then the power fails.
    await grow_old(kit)
    made_at(kit, "0")
    services = kit.workers[0]._services
    for worker in kit.workers:
        worker._sending._begin = lambda work: None  # type: ignore[method-assign]
    assert (await steal(kit)).startswith(STOPPED)
    assert held(kit) == []
    daemon = containing(kit)
    daemon.catch_up()
    assert len(held(kit)) == 42
    assert len(await kit.notices(2)) == 2
    holds.release(services.queue, "sender", ALICE)
    daemon.catch_up()
    assert held(kit) == []  # an operator released the mail: that stands
    made_at(kit, "9e9")
    daemon.catch_up()
    assert len(held(kit)) == 42  # a queue.db that was lost has lost its holds
    assert len(await kit.notices(2)) == 2
    daemon.close()


async def test_bounces_seen_by_the_queue_stop_it_too(kit: Workers) -> None:
    await grow_old(kit)
    for n in range(2):
        assert (await kit.data(*(f"{n}.{m}@far.test" for m in range(20)), client=HOME)).startswith("250 ")
    daemon = containing(kit)
    for _ in range(33):
        daemon.bounced(ALICE, 1)
    assert await kit.mail() is None
    daemon.bounced("nobody@example.test", 100)
    daemon.bounced(ALICE, 1)
    refusal = await kit.mail()
    assert refusal is not None
    assert "34 of 41 recipients in 24 hours refused for good" in refusal.text
    assert len(held(kit)) == 42
    daemon.close()


async def test_lists_are_never_stopped(kit: Workers) -> None:
    with kit.instance.writer() as writer:
        writer.sending.grant_list(ALICE, is_list=True)
    await grow_old(kit)
    assert (await steal(kit)).startswith("250 ")
    services = kit.workers[0]._services
    daemon = containing(kit)
    daemon.bounced(ALICE, 1_000)
    assert await kit.mail() is None
    assert holds.listed(services.queue) == []
    daemon.close()
