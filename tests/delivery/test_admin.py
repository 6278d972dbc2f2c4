"""What an operator sees and does, also while attempts are under way (Q22)."""

import pytest

from mailstack.delivery import admin, listing, recover
from mailstack.delivery.entry import QueueRecipient
from mailstack.delivery.schema import HELD, RUNNING, WAITING
from mailstack.model.errors import PermanentFailure
from mailstack.model.outcome import Deferred, Delivered
from mailstack.model.reply import Reply
from tests.kit.queues import MESSAGE, QueueKit

OK = Delivered("mx", "ok")
LATER = Deferred(Reply(451, "7.1", "greylisted"))


def test_the_list_shows_what_waits_and_why(kit: QueueKit) -> None:
    queue_id = kit.put("b@example.net", "c@example.com", owner="a@example.org", accept_id="acc")
    (entry,) = kit.claim()
    kit.finish(entry, LATER)
    (view,) = listing.messages(kit.queue)
    assert (view.queue_id, view.accept_id, view.sender, view.state) == (
        queue_id,
        "acc",
        "a@example.org",
        "waiting",
    )
    assert view.next_at == kit.clock.time
    first, second = view.recipients
    assert (first.address, first.tries, first.reply) == ("b@example.net", 1, "451 4.7.1 greylisted")
    assert first.host == "mx.test[192.0.2.1]"
    assert (second.tries, second.reply) == (0, "")
    assert listing.message(kit.queue, queue_id) == view


def test_the_list_can_be_of_one_account(kit: QueueKit) -> None:
    kit.put(owner="a@x.org")
    mine = kit.put(owner="b@x.org")
    assert [v.queue_id for v in listing.messages(kit.queue, owner="b@x.org")] == [mine]
    assert len(listing.messages(kit.queue, limit=1)) == 1


def test_the_header_is_shown_and_the_text_is_not(kit: QueueKit) -> None:
    shown = listing.header(kit.queue, kit.put())
    assert b"Subject: hello" in shown
    assert b"Hello." not in shown
    assert b"mailstack-queue" not in shown


def test_an_unknown_id_is_a_permanent_failure(kit: QueueKit) -> None:
    with pytest.raises(PermanentFailure):
        listing.message(kit.queue, "none")
    with pytest.raises(PermanentFailure):
        admin.select(kit.queue, ["none"])


def test_messages_are_chosen_by_id_by_owner_or_all(kit: QueueKit) -> None:
    a, b = kit.put(owner="a@x.org"), kit.put(owner="b@x.org")
    assert admin.select(kit.queue, [a]) == [a]
    assert admin.select(kit.queue, owner="b@x.org") == [b]
    assert sorted(admin.select(kit.queue, everything=True)) == sorted([a, b])


def test_a_retry_makes_waiting_recipients_due_and_no_others(kit: QueueKit) -> None:
    queue_id = kit.put("a@one.test", "b@two.test")
    (entry,) = kit.claim("one.test")
    kit.finish(entry, LATER)
    kit.claim("two.test")
    assert admin.retry(kit.queue, [queue_id]) == 1
    assert [e.recipients[0].tries for e in kit.claim("one.test")] == [2]
    assert kit.claim("two.test") == []


def test_a_hold_stops_attempts_until_the_release(kit: QueueKit) -> None:
    queue_id = kit.put()
    assert admin.hold(kit.queue, [queue_id]) == 1
    assert kit.claim() == []
    assert listing.message(kit.queue, queue_id).state == "held"
    assert admin.retry(kit.queue, [queue_id]) == 0
    assert admin.release(kit.queue, [queue_id]) == 1
    assert len(kit.claim()) == 1


def test_a_hold_during_an_attempt_lets_its_result_count(kit: QueueKit) -> None:
    queue_id = kit.put("a@example.net", "b@example.net")
    (entry,) = kit.claim()
    admin.hold(kit.queue, [queue_id])
    assert kit.states(queue_id) == [RUNNING, RUNNING]
    kit.finish(entry, [OK, LATER])
    assert kit.states(queue_id)[1] == HELD
    admin.release(kit.queue, [queue_id])
    assert kit.states(queue_id)[1] == WAITING


def test_a_removal_takes_message_and_file_away(kit: QueueKit) -> None:
    queue_id = kit.put()
    assert admin.remove(kit.queue, [queue_id]) == 1
    assert listing.messages(kit.queue) == []
    assert kit.files() == []


@pytest.mark.parametrize("outcome", [OK, LATER])
def test_a_removal_during_an_attempt_waits_for_its_result(
    kit: QueueKit, outcome: Delivered | Deferred
) -> None:
    queue_id = kit.put()
    (entry,) = kit.claim()
    assert admin.remove(kit.queue, [queue_id]) == 0
    assert kit.files() == [queue_id]
    kit.finish(entry, outcome)
    assert listing.messages(kit.queue) == []
    assert kit.files() == []
    assert kit.due() == []


def test_a_damaged_message_is_shown_as_such_and_can_only_be_removed(kit: QueueKit) -> None:
    queue_id = kit.put()
    kit.queue.spool.path(queue_id).unlink()
    recover.recover(kit.queue)
    view = listing.message(kit.queue, queue_id)
    assert (view.state, view.damage) == ("damaged", "its file is missing")
    assert admin.release(kit.queue, [queue_id]) == 0
    assert listing.header(kit.queue, queue_id) == b""
    assert admin.remove(kit.queue, [queue_id]) == 1


def test_what_a_message_needs_of_the_next_host_is_shown(kit: QueueKit) -> None:
    facts = {"requiretls": True, "smtputf8": True, "sender": "ä@x.org", "body": "BINARYMIME"}
    wish = QueueRecipient("b@example.net", notify=frozenset({"SUCCESS", "FAILURE"}))
    view = listing.message(kit.queue, kit.put(wish, **facts))
    assert view.needs == "REQUIRETLS SMTPUTF8 BINARYMIME"
    assert view.recipients[0].notify == "FAILURE SUCCESS"
    assert listing.message(kit.queue, kit.put(data=MESSAGE + b"\xe4")).needs == "8BITMIME"
    assert listing.message(kit.queue, kit.put()).needs == ""
