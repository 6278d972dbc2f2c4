"""The list of reports nobody can be given (Q16)."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstack.delivery import undelivered
from mailstack.delivery.entry import QueueMessage, QueueRecipient
from mailstack.delivery.undelivered import AlreadyTold, Undelivered
from tests.kit.queues import MESSAGE, QueueKit

DAY_S = 86_400.0


@pytest.fixture
def kit(tmp_path: Path) -> QueueKit:
    return QueueKit(tmp_path)


def note(kit: QueueKit, *addresses: str) -> None:
    reports = [Undelivered(kit.clock(), address, "Not delivered", "550 no") for address in addresses]
    kit.queue.write(lambda connection: undelivered.note(connection, reports))


def tell(kit: QueueKit) -> list[str] | None:
    """Addresses of the letter that is due; None when none is."""
    waiting = undelivered.due(kit.queue, now=kit.clock())
    if waiting is None:
        return None
    kit.queue.write(lambda connection: undelivered.told(connection, waiting, now=kit.clock()))
    return [one.address for one in waiting.listed]


def test_the_first_is_told_at_once_and_the_others_once_a_day(kit: QueueKit) -> None:
    assert tell(kit) is None
    note(kit, "a@x.test")
    assert tell(kit) == ["a@x.test"]
    note(kit, "b@x.test", "c@x.test")
    kit.clock.advance(DAY_S - 1)
    assert tell(kit) is None
    kit.clock.advance(1)
    assert tell(kit) == ["b@x.test", "c@x.test"]
    kit.clock.advance(10 * DAY_S)
    assert tell(kit) is None


def test_a_clock_that_was_put_back_does_not_silence_the_list(kit: QueueKit) -> None:
    # F28
    note(kit, "a@x.test")
    assert tell(kit) == ["a@x.test"]
    kit.clock.advance(-3650 * DAY_S)
    note(kit, "b@x.test")
    assert tell(kit) == ["b@x.test"]


def test_of_two_processes_one_writes_the_letter(kit: QueueKit) -> None:
    # Q20
    note(kit, "a@x.test")
    other = undelivered.due(kit.queue, now=kit.clock())
    assert other is not None
    assert tell(kit) == ["a@x.test"]
    letter = QueueMessage(recipients=(QueueRecipient("p@x.test"),), data=MESSAGE)
    with pytest.raises(AlreadyTold):
        kit.queue.enqueue_with([letter], lambda c: undelivered.told(c, other, now=kit.clock()))
    assert kit.queue.read("SELECT count(*) FROM message") == [(0,)]
    assert list(kit.paths.queue_messages.iterdir()) == []


def test_what_fails_while_the_letter_is_written_waits_for_the_next(kit: QueueKit) -> None:
    note(kit, "a@x.test")
    waiting = undelivered.due(kit.queue, now=kit.clock())
    assert waiting is not None
    note(kit, "late@x.test")
    kit.queue.write(lambda connection: undelivered.told(connection, waiting, now=kit.clock()))
    kit.clock.advance(DAY_S)
    assert tell(kit) == ["late@x.test"]


def test_a_flood_keeps_the_newest_and_long_words_are_cut(
    kit: QueueKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undelivered, "MAX_ROWS", 3)
    note(kit, *(f"n{number}@x.test" for number in range(5)))
    assert tell(kit) == ["n2@x.test", "n3@x.test", "n4@x.test"]
    reports = [Undelivered(kit.clock(), "x@x.test", "s" * 5_000, "r" * 5_000)]
    kit.queue.write(lambda connection: undelivered.note(connection, reports))
    assert kit.queue.read("SELECT length(subject), length(reply) FROM undelivered") == [(400, 400)]
