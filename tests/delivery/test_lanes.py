"""Lanes: turns of destination, rank and sender, and what a look at them costs."""

import random
from pathlib import Path

import msgspec
import pytest

from mailstack.delivery import admin, holds, lanes, listing, recover, rows, upkeep
from mailstack.delivery.entry import LOCAL, Kind, QueueMessage, QueueRecipient
from mailstack.delivery.lanes import Lane, Wish
from mailstack.delivery.rank import BULK, NORMAL, URGENT
from mailstack.model.outcome import Deferred
from mailstack.model.reply import Reply
from tests.kit.queues import MESSAGE, QueueKit

LATER = Deferred(Reply(451, "3.0", "later"))
CODE = b"From: a@example.org\r\nSubject: Your code is 482913\r\n\r\nUse it.\r\n"
NEWS = b"From: a@example.org\r\nSubject: News\r\nList-Unsubscribe: <https://x.test>\r\n\r\nNews.\r\n"


def ready(kit: QueueKit, most: int = 10, **values: object) -> list[tuple[str, int, str]]:
    found = lanes.ready(kit.queue, Wish(most, **values))  # type: ignore[arg-type]
    return [(lane.destination, lane.rank, lane.sender) for lane in found]


def fill(kit: QueueKit, count: int, *, senders: int = 1, destinations: int = 1) -> None:
    """Rows of many messages, without their files."""
    envelope = kit.queue.spool.write(
        QueueMessage((QueueRecipient("b@x.test"),), data=MESSAGE), "base", kit.clock.time
    )
    (one,) = envelope.recipients
    made = [
        msgspec.structs.replace(
            envelope,
            queue_id=f"m{n}",
            owner=f"s{n % senders}@example.org",
            recipients=(msgspec.structs.replace(one, address=f"b@d{n % destinations}.test"),),
        )
        for n in range(count)
    ]
    kit.queue.write(lambda connection: rows.insert_all(connection, made))


def steps(kit: QueueKit, wish: Wish) -> int:
    """What a look costs the database, in hundreds of its instructions."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    kit.queue._reader.set_progress_handler(tick, 100)
    lanes.ready(kit.queue, wish)
    kit.queue._reader.set_progress_handler(None, 0)
    return count


@pytest.mark.parametrize(
    ("kind", "facts", "sender"),
    [
        ("submission", {"owner": "A@Example.org", "sender": "alias@example.org"}, "a@example.org"),
        ("vacation", {"owner": "a@example.org", "sender": ""}, "a@example.org"),
        ("forward", {"owner": "a@example.org", "sender": "SRS0=x@here.test"}, "(forward) a@example.org"),
        ("relay", {"sender": "x1@foreign.test"}, "(relay) foreign.test"),
        ("dsn", {"sender": "", "owner": "a@example.org"}, "(dsn) "),
    ],
)
def test_a_lane_belongs_to_whoever_has_the_turn(
    kit: QueueKit, kind: Kind, facts: dict[str, str], sender: str
) -> None:
    kit.put(kind=kind, **facts)
    ((destination, _, found),) = ready(kit)
    assert (destination, found) == ("example.net", sender)


def test_each_mailbox_here_has_a_lane_of_its_own(kit: QueueKit) -> None:
    kit.put(QueueRecipient("X@here.test", kind="local"), kind="local")
    assert ready(kit) == [(LOCAL, NORMAL, "(local) x@here.test")]


def test_codes_letters_and_bulk_have_lanes_of_their_own(kit: QueueKit) -> None:
    for data in (NEWS, MESSAGE, CODE):
        kit.put(data=data, owner="a@example.org")
    assert sorted(rank for _, rank, _ in ready(kit)) == [URGENT, NORMAL, BULK]
    assert {view.rank for view in listing.messages(kit.queue)} == {"bulk", "normal", "urgent"}


def test_a_look_finds_every_sender_before_a_second_lane_of_one(kit: QueueKit) -> None:
    fill(kit, 300, destinations=300)
    kit.put("x@d0.test", owner="zoe@example.org")
    found = ready(kit, most=4)
    assert {sender for _, _, sender in found[:2]} == {"s0@example.org", "zoe@example.org"}
    assert len(found) < 10


def test_few_lanes_come_from_both_ends(kit: QueueKit) -> None:
    for n in range(30):
        kit.put(f"x@d{n}.test", owner="flood@example.org")
        kit.clock.advance(1)
    assert [name for name, _, _ in ready(kit)[:3]] == ["d0.test", "d29.test", "d1.test"]


def test_thousands_of_lanes_that_are_not_due_cost_nothing(kit: QueueKit) -> None:
    fill(kit, 3_000, senders=30, destinations=3_000)
    due_at = kit.clock.time + 900
    kit.queue.write(lambda c: c.execute("UPDATE recipient SET next_at = ?", (due_at,)).rowcount)
    kit.queue.write(lambda c: lanes.refresh(c, [int(n) for (n,) in c.execute("SELECT id FROM lane")]))
    kit.put("x@new.test", owner="zoe@example.org")
    assert ready(kit) == [("new.test", NORMAL, "zoe@example.org")]
    assert steps(kit, Wish(20)) < 5


def test_what_has_no_room_is_left_out(kit: QueueKit) -> None:
    kit.put("x@full.test", "x@free.test", "x@other.test", owner="a@example.org")
    assert {name for name, _, _ in ready(kit, avoid={"full.test"})} == {"free.test", "other.test"}
    assert {name for name, _, _ in ready(kit, only={"free.test"})} == {"free.test"}
    assert ready(kit, only={"full.test"}, avoid={"full.test"}) == []


def test_more_senders_than_one_look_finds_come_in_the_next(kit: QueueKit) -> None:
    fill(kit, 300, senders=300)
    first = lanes.ready(kit.queue, Wish(1))
    second = lanes.ready(kit.queue, Wish(1, after={NORMAL: first[-1].sender}))
    assert len(first) == lanes.MAX_SENDERS
    assert len({lane.sender for lane in first + second}) == 300
    assert len(second) == len(set(second)) == 300  # round the corner, nobody twice


@pytest.mark.parametrize("in_the_way", ["not due", "no room"])
def test_senders_that_cannot_be_served_hide_nobody_behind_them(kit: QueueKit, in_the_way: str) -> None:
    # Q15: however many they are, and wherever in the order of names the other one stands.
    fill(kit, lanes.MAX_SENDERS + 50, senders=lanes.MAX_SENDERS + 50, destinations=1)
    if in_the_way == "not due":
        kit.queue.write(lambda c: c.execute("UPDATE recipient SET next_at = next_at + 3000").rowcount)
        kit.queue.write(lambda c: lanes.refresh(c, [n for (n,) in c.execute("SELECT id FROM lane")]))
    for sender in ("a@example.org", "zz@example.org"):
        kit.put("y@live.test", sender=sender, owner=sender)
    avoid = {"d0.test"} if in_the_way == "no room" else ()
    found = {sender for _, _, sender in ready(kit, 100, avoid=avoid)}
    assert found == {"a@example.org", "zz@example.org"}


def test_a_lane_is_due_when_its_first_message_is(kit: QueueKit) -> None:
    kit.put()
    (entry,) = kit.claim()
    assert ready(kit) == []
    assert lanes.next_at(kit.queue) is None
    kit.finish(entry, LATER)
    assert lanes.next_at(kit.queue) == kit.clock.time + 300
    kit.clock.advance(301)
    assert len(ready(kit)) == 1


def test_unused_lanes_are_forgotten_and_used_ones_kept(kit: QueueKit) -> None:
    kit.put("x@done.test")
    (entry,) = kit.claim("done.test")
    kit.finish(entry, Deferred(Reply(451, "3.0", "later")))
    admin.remove(kit.queue, [entry.facts.queue_id])
    held = kit.put("x@held.test")
    kit.claim("done.test")  # sets it right
    admin.hold(kit.queue, [held])
    kit.claim("held.test")
    upkeep.purge(kit.queue, kit.paths, now=kit.clock.time)
    names = {str(name) for (name,) in kit.queue.read("SELECT destination FROM lane")}
    assert names == {"held.test"}
    admin.release(kit.queue, [held])
    assert ready(kit) == [("held.test", NORMAL, "a@example.org")]


def test_q27_a_look_costs_the_same_with_a_hundred_times_the_mail(tmp_path: Path) -> None:
    small, large = QueueKit(tmp_path / "small"), QueueKit(tmp_path / "large")
    fill(small, 100, senders=5, destinations=10)
    fill(large, 10_000, senders=5, destinations=10)
    assert steps(large, Wish(20)) < 2 * steps(small, Wish(20)) + 10
    for kit in (small, large):
        kit.queue.close()


def test_a_look_at_many_destinations_is_bounded_too(kit: QueueKit) -> None:
    fill(kit, 5_000, senders=3, destinations=5_000)
    assert steps(kit, Wish(20)) < 100
    assert len(lanes.ready(kit.queue, Wish(20))) <= 21 + 3


@pytest.mark.parametrize("seed", range(3))
def test_no_lane_is_due_later_than_its_mail_whatever_is_done(kit: QueueKit, seed: int) -> None:
    chance = random.Random(seed)
    ids = [kit.put(f"x@d{n % 3}.test", owner=f"s{n % 4}@example.org") for n in range(30)]
    for _ in range(60):
        some = chance.sample(ids, 3)
        live = {str(i) for (i,) in kit.queue.read("SELECT id FROM message")}
        some = [queue_id for queue_id in some if queue_id in live]
        match chance.randrange(7):
            case 0:
                admin.hold(kit.queue, some)
            case 1:
                admin.release(kit.queue, some)
            case 2:
                admin.retry(kit.queue, some)
            case 3:
                for entry in kit.claim(f"d{chance.randrange(3)}.test", 2):
                    kit.finish(entry, LATER)
            case 4:
                holds.hold(kit.queue, "destination", "d1.test", reason="r", who="w")
                holds.release(kit.queue, "destination", "d1.test")
            case 5:
                upkeep.heal_clock(kit.queue, now=kit.clock.time, back_s=50.0)
                recover.recover(kit.queue)
            case _:
                kit.clock.advance(400)
        wrong = kit.queue.read(
            "SELECT lane.id FROM recipient JOIN lane ON lane.id = recipient.lane WHERE recipient.state = 0"
            " AND (lane.next_at IS NULL OR lane.next_at > recipient.next_at)"
        )
        assert wrong == []
    assert all(isinstance(lane, Lane) for lane in lanes.ready(kit.queue, Wish(5)))
