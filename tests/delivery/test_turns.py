"""Who is next: ranks by weight, senders in turn, nobody forgotten."""

from collections import Counter

from mailstack.delivery.lanes import Lane
from mailstack.delivery.options import QueueOptions
from mailstack.delivery.pace import Paces
from mailstack.delivery.rank import BULK, NORMAL, URGENT
from mailstack.delivery.turns import WEIGHTS, Room, Turns

URGENT_LANE = Lane(1, "a.test", URGENT, "codes@x")
NORMAL_LANE = Lane(2, "a.test", NORMAL, "people@x")
BULK_LANE = Lane(3, "a.test", BULK, "news@x")


def always(lane: Lane) -> bool:
    return True


def test_ranks_share_by_weight_and_none_starves() -> None:
    chosen = Turns().choose([BULK_LANE, NORMAL_LANE, URGENT_LANE], 210, always)
    counts = Counter(lane.rank for lane in chosen)
    assert {rank: counts[rank] for rank in WEIGHTS} == {rank: 10 * w for rank, w in WEIGHTS.items()}
    assert {lane.rank for lane in chosen[:3]} == {URGENT, NORMAL, BULK}


def test_the_same_one_turn_at_a_time() -> None:
    turns = Turns()
    chosen = [turns.choose([BULK_LANE, NORMAL_LANE, URGENT_LANE], 1, always)[0] for _ in range(210)]
    assert Counter(lane.rank for lane in chosen)[BULK] == 10


def test_a_rank_that_had_nothing_saved_no_turns() -> None:
    turns = Turns()
    for _ in range(100):
        turns.choose([BULK_LANE], 1, always)
    assert turns.choose([BULK_LANE, URGENT_LANE], 1, always) == [URGENT_LANE]
    chosen = turns.choose([BULK_LANE, URGENT_LANE], 34, always)
    assert Counter(lane.rank for lane in chosen)[BULK] == 2


def test_senders_take_turns_however_many_lanes_each_has() -> None:
    flood = [Lane(n, f"d{n}.test", NORMAL, "flood@x") for n in range(100)]
    one = Lane(1_000, "d1.test", NORMAL, "one@x")
    turns = Turns()
    chosen = [turns.choose([*flood, one], 1, always)[0].sender for _ in range(20)]
    assert Counter(chosen) == {"flood@x": 10, "one@x": 10}


def test_a_sender_whose_destination_was_full_comes_first_when_it_is_not() -> None:
    # A cursor over the senders would let the one who is served elsewhere take every free place.
    busy = [Lane(1, "big.test", NORMAL, "a@x"), Lane(2, "big.test", NORMAL, "b@x")]
    other = Lane(3, "small.test", NORMAL, "c@x")
    turns = Turns()
    chosen = []
    for n in range(20):
        wanted = "big.test" if n % 2 else "small.test"
        chosen += turns.choose([*busy, other], 1, lambda lane, wanted=wanted: lane.destination == wanted)  # type: ignore[misc]
    assert Counter(lane.sender for lane in chosen) == {"c@x": 10, "a@x": 5, "b@x": 5}


def test_room_is_what_deliveries_ranks_and_destinations_leave() -> None:
    options = QueueOptions(max_deliveries=10, start_concurrency=2)
    paces = Paces(options)
    room = Room(10, {BULK: 7, NORMAL: 1}, paces.of, 0.0, senders={})
    assert room.free == 2
    assert room.take(BULK_LANE)
    assert not room.take(Lane(4, "b.test", BULK, "x"))  # bulk has its 80 percent
    assert room.full == set()
    assert room.take(NORMAL_LANE)
    assert not room.take(Lane(5, "b.test", URGENT, "x"))  # nothing is free any more


def test_a_full_destination_is_named() -> None:
    paces = Paces(QueueOptions(start_concurrency=1))
    paces.of("a.test").start()
    room = Room(100, {}, paces.of, 0.0, senders={})
    assert not room.take(NORMAL_LANE)
    assert room.full == {"a.test"}
    assert room.free == 100


def test_a_sender_leaves_places_for_others_and_one_alone_has_most() -> None:
    # Q15
    paces = Paces(QueueOptions())

    def taken(room: Room, sender: str) -> int:
        return sum(room.take(Lane(n, f"{sender}{n}.test", URGENT, sender)) for n in range(200))

    room = Room(100, {}, paces.of, 0.0, senders={})
    assert [taken(room, name) for name in ("a", "b", "c", "a")] == [67, 22, 8, 0]
    assert room.free == 3
    assert taken(Room(1, {}, paces.of, 0.0, senders={}), "a") == 1
    assert taken(Room(100, {URGENT: 40}, paces.of, 0.0, senders={"a": 40}), "a") == 27
