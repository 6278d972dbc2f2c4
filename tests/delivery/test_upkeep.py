"""Leases, clock jumps, dead destinations, old rows."""

import itertools
import os

from mailstack.delivery import lease, upkeep
from mailstack.delivery.entry import QueueRecipient
from mailstack.delivery.lease import Lease
from mailstack.delivery.schema import HELD, RUNNING, WAITING
from mailstack.model.outcome import Deferred
from mailstack.model.reply import Reply
from tests.kit.queues import ME, QueueKit, claim

LATER = Deferred(Reply(451, "3.0", "later"))
DOWN = Reply(451, "4.1", "No answer")


def next_at(kit: QueueKit, queue_id: str) -> float:
    return float(str(kit.queue.read("SELECT next_at FROM recipient WHERE message = ?", (queue_id,))[0][0]))


def test_the_claims_of_a_dead_process_are_released_at_once(kit: QueueKit) -> None:
    queue_id = kit.put()
    folder = lease.folder_of(kit.paths)
    folder.mkdir()
    (folder / ME).touch()
    kit.claim()
    assert upkeep.release_dead(kit.queue, kit.paths, now=kit.clock.time) == 1
    assert kit.states(queue_id) == [WAITING]
    assert next_at(kit, queue_id) == kit.clock.time + upkeep.FIRST_CRASH_WAIT_S
    assert not (folder / ME).exists()


def test_a_crash_loop_is_no_mail_bomb(kit: QueueKit) -> None:
    # P5: only the first crash shortens the wait.
    queue_id = kit.put()
    started = []
    for _ in range(4):
        kit.claim()
        started.append(kit.clock.time)
        upkeep.release(kit.queue, ME, now=kit.clock.time)
        kit.clock.time = next_at(kit, queue_id)
    assert [b - a for a, b in itertools.pairwise(started)] == [5, 600, 1200]


def test_the_claims_of_the_living_are_left_alone(kit: QueueKit) -> None:
    held = Lease(kit.paths, random_bytes=os.urandom)
    queue_id = kit.put()
    claim(kit.queue, {"example.net": 1}, held.owner)
    kit.clock.advance(10 * 86_400)
    assert upkeep.release_dead(kit.queue, kit.paths, now=kit.clock.time) == 0
    assert kit.states(queue_id) == [RUNNING]
    held.close()


def test_claims_nobody_can_check_are_released_after_the_lease_and_not_earlier(kit: QueueKit) -> None:
    # Q21: 15 minutes
    queue_id = kit.put()
    kit.claim()
    kit.clock.advance(899)
    assert upkeep.release_dead(kit.queue, kit.paths, now=kit.clock.time) == 0
    kit.clock.advance(2)
    assert upkeep.release_dead(kit.queue, kit.paths, now=kit.clock.time) == 1
    assert kit.states(queue_id) == [WAITING]


def test_a_renewed_lease_holds_longer(kit: QueueKit) -> None:
    kit.put()
    kit.claim()
    kit.clock.advance(899)
    upkeep.renew(kit.queue, ME, now=kit.clock.time)
    kit.clock.advance(899)
    assert upkeep.release_dead(kit.queue, kit.paths, now=kit.clock.time) == 0


def test_a_release_applies_a_hold_and_a_removal_that_came_meanwhile(kit: QueueKit) -> None:
    # Q22
    held, removed = kit.put(), kit.put()
    kit.claim()
    kit.queue.write(lambda c: c.execute("UPDATE message SET held = 1 WHERE id = ?", (held,)).rowcount)
    kit.queue.write(lambda c: c.execute("UPDATE message SET removed = 1 WHERE id = ?", (removed,)).rowcount)
    upkeep.release(kit.queue, ME, now=kit.clock.time)
    assert kit.states(held) == [HELD]
    assert kit.files() == [held]


# -- clocks


def test_a_clock_put_back_while_we_watch_moves_the_plan_with_it(kit: QueueKit) -> None:
    # Q23: no stall
    ids = [kit.put() for _ in range(20)]
    for entry in kit.claim(count=20):
        kit.finish(entry, LATER)
    kit.clock.advance(-3_600)
    assert upkeep.heal_clock(kit.queue, now=kit.clock.time, back_s=3_600) == 20
    assert {next_at(kit, queue_id) - kit.clock.time for queue_id in ids} == {300}


def test_what_another_clock_planned_far_ahead_is_spread_over_one_wait(kit: QueueKit) -> None:
    # F28, Q23: no stall, no storm
    for _ in range(50):
        kit.put()
    for entry in kit.claim(count=50):
        kit.finish(entry, LATER)
    kit.clock.advance(-5 * 365 * 86_400)
    assert upkeep.heal_clock(kit.queue, now=kit.clock.time) == 50
    ahead = [float(str(at)) - kit.clock.time for (at,) in kit.queue.read("SELECT next_at FROM recipient")]
    assert min(ahead) >= 0
    assert max(ahead) <= 4_001
    assert len(set(ahead)) == 50


def test_a_right_clock_is_not_healed(kit: QueueKit) -> None:
    kit.put()
    (entry,) = kit.claim()
    kit.finish(entry, LATER)
    assert upkeep.heal_clock(kit.queue, now=kit.clock.time) == 0


# -- dead destinations


def test_what_is_due_for_a_dead_destination_is_deferred_each_by_its_own_schedule(kit: QueueKit) -> None:
    old = kit.put()
    (entry,) = kit.claim()
    kit.finish(entry, LATER)
    kit.clock.advance(300)
    new, other = kit.put(), kit.put("x@live.test")
    postponed = upkeep.postpone_due(kit.queue, "example.net", reply=DOWN, host="mx.test", is_ours=True)
    assert {(p.facts.queue_id, p.recipient.tries) for p in postponed} == {(old, 2), (new, 1)}
    assert next_at(kit, old) == kit.clock.time + 600
    assert next_at(kit, new) == kit.clock.time + 300
    assert next_at(kit, other) == kit.clock.time
    assert upkeep.postpone_due(kit.queue, "example.net", reply=DOWN, host="mx.test", is_ours=True) == []


def test_a_recipient_whose_time_is_over_is_left_for_its_last_attempt(kit: QueueKit) -> None:
    queue_id = kit.put()
    kit.queue.write(lambda c: c.execute("UPDATE recipient SET waited_s = 432000").rowcount)
    assert upkeep.postpone_due(kit.queue, "example.net", reply=DOWN, host="mx.test", is_ours=True) == []
    (entry,) = kit.claim()
    assert entry.facts.queue_id == queue_id
    assert entry.recipients[0].is_last


def test_late_messages_are_named_once_they_wait_for_four_hours(kit: QueueKit) -> None:
    queue_id = kit.put("a@example.net", QueueRecipient("l@x.org", kind="local"))
    assert upkeep.late(kit.queue) == []
    kit.queue.write(lambda c: c.execute("UPDATE recipient SET waited_s = 14400").rowcount)
    assert upkeep.late(kit.queue) == [queue_id]


# -- old things


def test_leftovers_are_purged_when_they_are_old(kit: QueueKit) -> None:
    for name, age_s in (("young", 3_600), ("old", 40 * 86_400)):
        (kit.paths.queue_tmp / name).touch()
        os.utime(kit.paths.queue_tmp / name, (kit.clock.time - age_s,) * 2)
    kit.queue.write(
        lambda c: (
            c.executemany("INSERT INTO finished VALUES (?, ?)", [("a", 0), ("b", kit.clock.time)]).rowcount
        )
    )
    upkeep.purge(kit.queue, kit.paths, now=kit.clock.time)
    assert [p.name for p in kit.paths.queue_tmp.iterdir()] == ["young"]
    assert kit.queue.read("SELECT id FROM finished") == [("b",)]
