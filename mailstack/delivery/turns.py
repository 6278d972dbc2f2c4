"""Who is next: ranks share free deliveries by weight, senders of a rank take turns.

Stride scheduling over the ranks: every rank that has mail is served, the higher ones more
often; none starves and none saves up turns while it has nothing to send.  Within a rank
the sender who was served longest ago comes first.

Source: C. A. Waldspurger, W. E. Weihl, "Stride Scheduling", 1995.
No I/O, no clock.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from mailstack.delivery.lanes import MAX_SENDERS, Lane
from mailstack.delivery.pace import Pace
from mailstack.delivery.rank import BULK, NORMAL, RANK_NAMES, URGENT

#: Turns out of 21 when all ranks have mail.
WEIGHTS = {URGENT: 16, NORMAL: 4, BULK: 1}
#: Share of all deliveries a rank may take up, in percent: codes find a free one at once.
SHARES = {URGENT: 100, NORMAL: 95, BULK: 80}
#: A sender may take up to so many times the deliveries it leaves free: hosts that hang, which
#: anybody can have as many of as he likes, hold up his own mail and leave places for others.
SENDER_SHARE = 2
#: Senders whose last turn is remembered.
MAX_KNOWN = 20_000

Waiting: TypeAlias = "OrderedDict[str, deque[Lane]]"


class Room:
    """What may begin in one round.

    Attributes:
        free: deliveries that may begin still.
        full: destinations that turned out to have no room.
    """

    def __init__(
        self,
        deliveries: int,
        running: Mapping[int, int],
        pace_of: Callable[[str], Pace],
        now: float,
        *,
        senders: Mapping[str, int],
    ) -> None:
        """Takes nothing yet.

        Args:
            deliveries: at the same time, in all.
            running: by rank; `senders`: by sender.
            now: seconds of the paces' clock.
        """
        self.full: set[str] = set()
        self.free = deliveries - sum(running.values())
        self._left = {
            rank: max(1, deliveries * SHARES[rank] // 100) - running.get(rank, 0) for rank in RANK_NAMES
        }
        self._pace_of = pace_of
        self._now = now
        self._taken: Counter[Pace] = Counter()
        self._senders = Counter(senders)

    def take(self, lane: Lane) -> bool:
        """True when a delivery for this lane may begin; it counts from now."""
        if self.free <= 0 or self._left[lane.rank] <= 0:
            return False
        if self._senders[lane.sender] >= SENDER_SHARE * self.free:
            return False
        pace = self._pace_of(lane.destination)
        if pace.room(self._now) <= self._taken[pace]:
            self.full.add(lane.destination)
            return False
        self._taken[pace] += 1
        self._left[lane.rank] -= 1
        self._senders[lane.sender] += 1
        self.free -= 1
        return True


class Turns:
    """The turns of one daemon.

    Attributes:
        after: by rank, the sender behind whom to look next; for more senders than one look finds.
    """

    def __init__(self) -> None:
        self.after: dict[int, str] = {}
        self._passes = dict.fromkeys(RANK_NAMES, 0.0)
        self._served: OrderedDict[tuple[int, str], int] = OrderedDict()
        self._turn = 0

    def choose(self, lanes: Sequence[Lane], free: int, may: Callable[[Lane], bool]) -> list[Lane]:
        """The lanes to take one message from, in order; a lane may come more than once.

        Args:
            free: turns to give.
            may: asked before each turn: has the lane's destination, and its rank, room left?
        """
        waiting = {rank: self._by_sender(lanes, rank) for rank in RANK_NAMES}
        self._forget_savings(waiting)
        chosen: list[Lane] = []
        while len(chosen) < free:
            ranks = [rank for rank in RANK_NAMES if waiting[rank]]
            if not ranks:
                break
            rank = min(ranks, key=self._passes.__getitem__)
            lane = _next(waiting[rank], may)
            if lane is not None:
                self._passes[rank] += 1 / WEIGHTS[rank]
                self._serve(lane)
                chosen.append(lane)
        return chosen

    def _by_sender(self, lanes: Sequence[Lane], rank: int) -> Waiting:
        """Senders and their lanes, the one that was served longest ago first."""
        found: dict[str, deque[Lane]] = {}
        for lane in lanes:
            if lane.rank == rank:
                found.setdefault(lane.sender, deque()).append(lane)
        self.after[rank] = list(found)[-1] if len(found) >= MAX_SENDERS else ""
        return OrderedDict(sorted(found.items(), key=lambda item: self._served.get((rank, item[0]), 0)))

    def _forget_savings(self, waiting: Mapping[int, Waiting]) -> None:
        """A rank that had nothing to send begins where the others are."""
        now = min((self._passes[rank] for rank in RANK_NAMES if waiting[rank]), default=0.0)
        for rank in RANK_NAMES:
            self._passes[rank] = max(self._passes[rank], now)

    def _serve(self, lane: Lane) -> None:
        self._turn += 1
        key = (lane.rank, lane.sender)
        self._served[key] = self._turn
        self._served.move_to_end(key)
        if len(self._served) > MAX_KNOWN:
            self._served.popitem(last=False)


def _next(waiting: Waiting, may: Callable[[Lane], bool]) -> Lane | None:
    """The first sender's first lane with room; it goes to the end of both lines."""
    while waiting:
        sender, lanes = next(iter(waiting.items()))
        while lanes:
            lane = lanes.popleft()
            if may(lane):
                lanes.append(lane)
                waiting.move_to_end(sender)
                return lane
        del waiting[sender]
    return None
