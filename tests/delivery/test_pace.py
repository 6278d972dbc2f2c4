"""How many connections a destination gets."""

from mailstack.delivery import pace as pacing
from mailstack.delivery.options import QueueOptions
from mailstack.delivery.pace import Pace, Paces

OPTIONS = QueueOptions()


def test_it_starts_with_two_and_grows_by_one_up_to_ten() -> None:
    # Limits, section 9
    pace = Pace(OPTIONS)
    limits = []
    for _ in range(12):
        limits.append(pace.limit)
        pace.start()
        pace.succeed()
    assert limits == [2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10, 10]


def test_room_is_what_is_not_in_use() -> None:
    pace = Pace(OPTIONS)
    pace.start()
    assert pace.room(0) == 1
    pace.start()
    assert pace.room(0) == 0


def test_a_wish_for_less_halves_down_to_one_and_others_are_not_touched() -> None:
    # Q14
    paces = Paces(OPTIONS)
    busy, other = paces.of("busy"), paces.of("other")
    for _ in range(8):
        busy.start()
        busy.succeed()
    limits = []
    for _ in range(5):
        busy.start()
        busy.slow_down(0, pause=False)
        limits.append(busy.limit)
    assert limits == [5, 2, 1, 1, 1]
    assert busy.room(0) == 1
    assert other.limit == 2


def test_pauses_double_until_a_success() -> None:
    pace = Pace(OPTIONS)
    now, pauses = 0.0, []
    for _ in range(8):
        pace.start()
        pace.slow_down(now, pause=True)
        assert pace.room(now) == 0
        pauses.append(pace.paused_until - now)
        now = pace.paused_until
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300]
    pace.start()
    pace.succeed()
    pace.start()
    pace.slow_down(now, pause=True)
    assert pace.paused_until - now == pacing.FIRST_PAUSE_S


def test_several_connections_that_are_cut_together_are_one_pause() -> None:
    pace = Pace(OPTIONS)
    for _ in range(2):
        pace.start()
    for _ in range(2):
        pace.slow_down(0, pause=True)
    assert pace.paused_until == pacing.FIRST_PAUSE_S


def test_a_destination_is_dead_after_as_many_failures_as_it_has_connections() -> None:
    pace = Pace(OPTIONS)
    pace.start()
    assert not pace.fail()
    pace.start()
    assert pace.fail()
    assert pace.limit == 1
    pace.start()
    assert pace.fail()


def test_a_success_ends_the_count_of_failures() -> None:
    pace = Pace(OPTIONS)
    pace.start()
    pace.fail()
    pace.start()
    pace.succeed()
    pace.start()
    assert not pace.fail()


def test_the_number_of_destinations_is_bounded_and_busy_ones_stay(monkeypatch: object) -> None:
    paces = Paces(OPTIONS)
    first = paces.of("first")
    first.start()
    for n in range(pacing.MAX_KNOWN + 5):
        paces.of(f"d{n}")
    assert paces.of("first") is first
    assert len(paces._known) <= pacing.MAX_KNOWN + 1


def test_the_end_of_the_first_pause_is_known() -> None:
    paces = Paces(OPTIONS)
    assert paces.next_end_of_pause(0) is None
    for key, now in (("a", 10), ("b", 5)):
        paces.of(key).start()
        paces.of(key).slow_down(now, pause=True)
    assert paces.next_end_of_pause(0) == 10
    assert paces.next_end_of_pause(12) == 15
