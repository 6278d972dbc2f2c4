"""The queue in words: why something waits, and what comes next."""

import pytest

from mailstack.delivery import admin, holds, listing, recover
from mailstack.model.outcome import Deferred, Failed, Outcome
from mailstack.model.reply import Reply
from tests.kit.queues import QueueKit

FULL = Deferred(Reply(452, "2.2", "mailbox full"))


def words(kit: QueueKit, queue_id: str) -> str:
    view = listing.message(kit.queue, queue_id)
    return listing.outlook(view, view.recipients[0], now=kit.clock.time)


def test_new_mail_waits_for_its_turn(kit: QueueKit) -> None:
    assert words(kit, kit.put()) == "is due and waits for its turn"


def test_an_attempt_under_way_is_said(kit: QueueKit) -> None:
    queue_id = kit.put()
    kit.claim()
    assert words(kit, queue_id) == "is being tried now"


def test_deferred_mail_says_when_it_is_tried_again_and_until_when(kit: QueueKit) -> None:
    queue_id = kit.put()
    (entry,) = kit.claim()
    kit.finish(entry, FULL)
    assert words(kit, queue_id) == "is tried again in 5 min, given up after 5 days"
    view = listing.message(kit.queue, queue_id).recipients[0]
    assert "full" in view.why
    assert view.reply == "452 4.2.2 mailbox full"
    assert view.given_up_at == kit.clock.time + 432_000
    kit.clock.advance(301)
    assert words(kit, queue_id) == "is due and waits for its turn, given up after 5 days"


@pytest.mark.parametrize(
    ("scope", "name"),
    [("sender", "a@example.org"), ("sender-domain", "example.org"), ("destination", "example.net")],
)
def test_a_hold_says_why_who_and_how_to_end_it(kit: QueueKit, scope: holds.Scope, name: str) -> None:
    queue_id = kit.put()
    holds.hold(kit.queue, scope, name, reason="sends spam", who="carol")
    kit.clock.advance(3 * 3_600)
    said = f"is held for 3 h by carol (sends spam) until 'mailstack queue release --{scope} {name}'"
    assert words(kit, queue_id) == said


def test_a_held_message_and_a_damaged_one_say_what_ends_it(kit: QueueKit) -> None:
    held, damaged = kit.put(), kit.put()
    admin.hold(kit.queue, [held])
    assert words(kit, held) == f"is held until 'mailstack queue release {held}'"
    kit.queue.spool.path(damaged).unlink()
    recover.recover(kit.queue)
    assert f"its file is missing; 'mailstack queue remove {damaged}'" in words(kit, damaged)


def test_q22_a_bounce_is_one_last_attempt_even_of_held_mail(kit: QueueKit) -> None:
    waiting, held, running = (kit.put(f"b@d{n}.test") for n in range(3))
    admin.hold(kit.queue, [held])
    kit.claim("d2.test")
    assert admin.give_up(kit.queue, [waiting, held, running]) == 2
    for n in range(2):
        (entry,) = kit.claim(f"d{n}.test")
        assert entry.recipients[0].is_last
    assert words(kit, running) == "is being tried now"


def test_a_bounce_releases_nobody_from_a_hold_of_the_sender_and_no_damage(kit: QueueKit) -> None:
    held, damaged = kit.put(), kit.put(owner="b@example.org", sender="b@example.org")
    holds.hold(kit.queue, "sender", "a@example.org", reason="r", who="w")
    kit.queue.spool.path(damaged).unlink()
    recover.recover(kit.queue)
    admin.give_up(kit.queue, [held, damaged])
    assert kit.claim() == []


def test_crowds_name_the_largest_destinations_and_what_they_said(kit: QueueKit) -> None:
    for _ in range(3):
        kit.put("x@big.test", "y@big.test")
    kit.put("x@small.test")
    for entry in kit.claim("big.test", 2):
        kit.finish(entry, FULL)
    kit.claim("big.test", 1)
    big, small = listing.crowds(kit.queue, limit=5)
    assert (big.destination, big.waiting, big.running, big.held) == ("big.test", 4, 2, 0)
    assert "full" in big.why or big.why == ""
    assert (small.destination, small.waiting, small.why) == ("small.test", 1, "")
    assert [crowd.destination for crowd in listing.crowds(kit.queue, limit=1)] == ["big.test"]
    assert listing.count(kit.queue) == 4


@pytest.mark.parametrize("outcome", [Failed(Reply(550, "1.1", "no")), FULL])
def test_recipients_that_are_done_say_so(kit: QueueKit, outcome: Outcome) -> None:
    queue_id = kit.put("b@example.net", "c@other.test")
    (entry,) = kit.claim()
    kit.finish(entry, outcome)
    assert words(kit, queue_id).startswith("is done: failed" if outcome != FULL else "is tried again")
