"""DNS for the filter: block lists and reverse names are not waited for long.

What SPF, DKIM and DMARC ask has the whole budget of a message.  A list or a reverse zone
that is slow says nothing in time; a list that is silent again and again is left alone for a
while, so that a dead one costs no mail a second.  So is one that answers with errors, or
that lists everything (D28): before a listing is believed, 127.0.0.1 must not be listed.

Standards: RFC 5782 section 5 (the entries a list must have and must not have).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from mailstack.filters.block_lists import BlockList, find_error
from mailstack.model.dns import Answer, Question
from mailstack.net.dns_wire import TEMPERROR
from mailstack.net.resolver import Budget, Knowing

#: Silences in a row after which a list is left alone, and for how long, in seconds.
SILENCES = 5
REST_S = 60.0
#: A list that refuses us or lists everything is named in the log, and left alone for so many seconds.
#: As long a list is believed that does not list 127.0.0.1.
COMPLAIN_S = 3_600.0
#: Of a list of addresses: never in it.
_NEVER_LISTED = "1.0.0.127"

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Zone:
    list: BlockList
    silences: int = 0
    proven_until: float = float("-inf")
    rests_until: float = float("-inf")


class Patience:
    """Stands between the filter and its source of answers."""

    def __init__(self, source: Knowing, lists: Iterable[BlockList], *, wait_s: float) -> None:
        self._source = source
        self._wait_s = wait_s
        self._zones = {one.zone.lower().rstrip("."): _Zone(one) for one in lists}

    def known(self, question: Question, *, is_hasty: bool) -> Answer | None:
        """The answer when there is no need to wait; that of a list only once it is proven."""
        zone = self._zone(question.name) if is_hasty else None
        if zone is not None:
            now = asyncio.get_running_loop().time()
            if zone.rests_until > now:
                return TEMPERROR
            if zone.proven_until <= now:
                return None
        return self._source.known(question)

    async def lookup_all(
        self, questions: Iterable[Question], hasty: Collection[Question], *, budget: Budget
    ) -> dict[Question, Answer]:
        """Asks everything at once; the hasty ones are "temperror" after the short wait."""
        wanted = list(questions)
        answers = await asyncio.gather(
            *(
                self._hasty(q, budget) if q in hasty else self._source.lookup(q.name, q.kind, budget=budget)
                for q in wanted
            )
        )
        return dict(zip(wanted, answers, strict=True))

    async def _hasty(self, question: Question, budget: Budget) -> Answer:
        zone = self._zone(question.name)
        now = asyncio.get_running_loop().time()
        if budget.questions <= 0 or (zone is not None and zone.rests_until > now):
            return TEMPERROR
        budget.questions -= 1
        short = Budget(1, min(budget.deadline, now + self._wait_s))
        answer = await self._source.lookup(question.name, question.kind, budget=short)
        if zone is None:
            return answer
        self._heard(zone, answer, asyncio.get_running_loop().time())
        if answer.status == "ok" and not await self._is_proven(zone):
            return TEMPERROR
        return answer

    async def _is_proven(self, zone: _Zone) -> bool:
        """False for a list that has 127.0.0.1 in it: its zone answers everything, or is gone."""
        now = asyncio.get_running_loop().time()
        if zone.proven_until > now or zone.rests_until > now:
            return True
        answer = await self._source.lookup(
            f"{_NEVER_LISTED}.{zone.list.zone}", "A", budget=Budget(1, now + self._wait_s)
        )
        if answer.status != "ok":
            zone.proven_until = now + (COMPLAIN_S if answer.status != "temperror" else 0)
            return True
        self._leave_alone(zone, now)
        _log.warning(
            "block list %s lists 127.0.0.1, so it lists everything: it is left alone for %d s; is it gone?",
            zone.list.label,
            COMPLAIN_S,
        )
        return False

    def _leave_alone(self, zone: _Zone, now: float) -> None:
        zone.silences, zone.rests_until = 0, now + COMPLAIN_S

    def _zone(self, name: str) -> _Zone | None:
        return next((zone for suffix, zone in self._zones.items() if name.endswith(f".{suffix}")), None)

    def _heard(self, zone: _Zone, answer: Answer, now: float) -> None:
        if answer.status != "temperror":
            zone.silences = 0
            self._look_for_errors(zone, answer, now)
            return
        zone.silences += 1
        if zone.silences >= SILENCES:
            zone.silences, zone.rests_until = 0, now + REST_S
            _log.warning("block list %s does not answer: it is left alone for %d s", zone.list.label, REST_S)

    def _look_for_errors(self, zone: _Zone, answer: Answer, now: float) -> None:
        code = find_error(zone.list, answer)
        if code and zone.rests_until <= now:
            self._leave_alone(zone, now)
            _log.warning(
                "block list %s answers %s, an error and no listing: it is left alone for %d s; see its"
                " terms of use, and ask it through a resolver of your own (dns.servers)",
                zone.list.label,
                code,
                COMPLAIN_S,
            )
