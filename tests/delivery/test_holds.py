"""Holds of senders, sending domains and destinations."""

import pytest

from mailstack.delivery import admin, holds, listing
from mailstack.delivery.entry import QueueRecipient
from mailstack.delivery.schema import HELD, RUNNING, WAITING
from mailstack.model.errors import PermanentFailure
from mailstack.model.outcome import Deferred, Delivered
from mailstack.model.reply import Reply
from tests.kit.queues import QueueKit

OK = Delivered("mx.test[192.0.2.1]", "250 ok")
LATER = Deferred(Reply(451, "3.0", "later"))
WHY = {"reason": "sends spam", "who": "root"}


def test_a_held_sender_sends_nothing_until_released(kit: QueueKit) -> None:
    before = kit.put(owner="A@Example.org", sender="alias@example.org")
    other = kit.put(owner="b@example.org")
    assert holds.hold(kit.queue, "sender", "a@EXAMPLE.org", **WHY) == 1
    after = kit.put(owner="a@example.org")
    assert [kit.states(i) for i in (before, after, other)] == [[HELD], [HELD], [WAITING]]
    assert [entry.facts.queue_id for entry in kit.claim()] == [other]
    assert holds.release(kit.queue, "sender", "a@example.org") == 2
    assert {entry.facts.queue_id for entry in kit.claim()} == {before, after}


def test_a_hold_says_why_who_and_since_when_and_takes_a_new_reason(kit: QueueKit) -> None:
    kit.put()
    holds.hold(kit.queue, "destination", "Example.NET", **WHY)
    since = kit.clock.time
    kit.clock.advance(10)
    holds.hold(kit.queue, "destination", "example.net", reason="asked to", who="eva")
    found = holds.Hold("destination", "example.net", "asked to", "eva", since)
    assert holds.find(kit.queue, "destination", "EXAMPLE.net") == found
    assert holds.listed(kit.queue) == [found]
    assert holds.find(kit.queue, "sender", "not an address") is None


@pytest.mark.parametrize(
    ("scope", "name"),
    [("sender", "x@foreign.test"), ("sender-domain", "foreign.test"), ("destination", "example.net")],
)
def test_relayed_mail_is_held_by_its_envelope_sender(kit: QueueKit, scope: holds.Scope, name: str) -> None:
    queue_id = kit.put(kind="relay", sender="X@foreign.test")
    assert holds.hold(kit.queue, scope, name, **WHY) == 1
    (shown,) = listing.message(kit.queue, queue_id).recipients
    assert [hold.scope for hold in shown.holds] == [scope]
    assert kit.states(queue_id) == [HELD]


def test_copies_for_mailboxes_here_are_not_held_with_their_sender(kit: QueueKit) -> None:
    queue_id = kit.put(QueueRecipient("x@here.test", kind="local"), kind="local", sender="a@example.org")
    holds.hold(kit.queue, "sender", "a@example.org", **WHY)
    holds.hold(kit.queue, "sender-domain", "example.org", **WHY)
    assert kit.states(queue_id) == [WAITING]


def test_two_holds_must_both_end(kit: QueueKit) -> None:
    queue_id = kit.put("x@one.test", "y@two.test", owner="a@example.org")
    holds.hold(kit.queue, "sender", "a@example.org", **WHY)
    holds.hold(kit.queue, "destination", "one.test", **WHY)
    assert holds.release(kit.queue, "sender", "a@example.org") == 1
    assert kit.states(queue_id) == [HELD, WAITING]
    assert holds.release(kit.queue, "destination", "one.test") == 1
    assert kit.states(queue_id) == [WAITING, WAITING]


def test_a_held_message_outlives_the_end_of_a_hold_and_the_other_way_round(kit: QueueKit) -> None:
    queue_id = kit.put(owner="a@example.org")
    admin.hold(kit.queue, [queue_id])
    holds.hold(kit.queue, "sender", "a@example.org", **WHY)
    assert holds.release(kit.queue, "sender", "a@example.org") == 0
    holds.hold(kit.queue, "sender", "a@example.org", **WHY)
    admin.release(kit.queue, [queue_id])
    assert kit.states(queue_id) == [HELD]


def test_q22_an_attempt_under_way_counts_and_what_is_left_is_held(kit: QueueKit) -> None:
    done, left = kit.put(owner="a@example.org"), kit.put(owner="a@example.org")
    entries = {entry.facts.queue_id: entry for entry in kit.claim()}
    assert holds.hold(kit.queue, "sender", "a@example.org", **WHY) == 2
    assert kit.states(left) == [RUNNING]
    kit.finish(entries[done], OK)
    kit.finish(entries[left], LATER)
    assert kit.states(done) == []
    assert kit.states(left) == [HELD]


def test_a_purge_takes_what_is_held_and_keeps_the_hold(kit: QueueKit) -> None:
    mine, two = kit.put(owner="a@example.org"), kit.put("x@one.test", "y@two.test", owner="b@example.org")
    holds.hold(kit.queue, "sender", "a@example.org", **WHY)
    holds.hold(kit.queue, "destination", "one.test", **WHY)
    assert holds.purge(kit.queue, "sender", "a@example.org") == 1
    assert holds.purge(kit.queue, "destination", "one.test") == 1
    assert kit.states(mine) == []
    assert kit.states(two)[1:] == [WAITING]
    assert kit.files() == [two]
    assert len(holds.listed(kit.queue)) == 2


def test_a_purge_while_an_attempt_runs_leaves_nothing_behind(kit: QueueKit) -> None:
    queue_id = kit.put(owner="a@example.org")
    (entry,) = kit.claim()
    holds.hold(kit.queue, "sender", "a@example.org", **WHY)
    assert holds.purge(kit.queue, "sender", "a@example.org") == 1
    kit.finish(entry, LATER)
    assert kit.states(queue_id) == []
    assert kit.files() == []


def test_names_are_checked_and_what_is_not_held_cannot_be_released(kit: QueueKit) -> None:
    with pytest.raises(PermanentFailure, match="cannot be an address"):
        holds.hold(kit.queue, "sender", "nobody", **WHY)
    with pytest.raises(PermanentFailure, match="cannot be a domain"):
        holds.hold(kit.queue, "destination", "a b", **WHY)
    for act in (holds.release, holds.purge):
        with pytest.raises(PermanentFailure, match="queue holds"):
            act(kit.queue, "sender", "a@example.org")
