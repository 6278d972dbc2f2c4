"""Block lists and reverse names are not waited for long."""

from __future__ import annotations

import asyncio
import logging

import pytest

from mailstack.app.filter_patience import SILENCES, Patience
from mailstack.filters.block_lists import BlockList
from mailstack.model.dns import Answer, Question
from mailstack.net.dns_wire import TEMPERROR
from mailstack.net.resolver import Budget

LISTED = Question("1.2.0.192.bl.test", "A")
OTHER = Question("example.org", "TXT")
FOUND = Answer("ok", ("127.0.0.2",))
NEVER = "1.0.0.127.BL.test"


class Source:
    """Answers what it knows; is silent about the rest until the budget's deadline."""

    def __init__(self) -> None:
        self.known: dict[str, Answer] = {OTHER.name: FOUND}
        self.asked: list[tuple[str, float]] = []

    def new_budget(self) -> Budget:
        return Budget(64, asyncio.get_running_loop().time() + 20)

    async def lookup(self, name: str, kind: str, *, budget: Budget | None = None) -> Answer:
        assert budget is not None
        now = asyncio.get_running_loop().time()
        self.asked.append((name, budget.deadline - now))
        if budget.questions <= 0:
            return TEMPERROR
        budget.questions -= 1
        if name in self.known:
            return self.known[name]
        await asyncio.sleep(max(0.0, min(budget.deadline - now, 0.01)))
        return TEMPERROR


def make(wait_s: float = 0.5) -> tuple[Source, Patience]:
    source = Source()
    return source, Patience(source, (BlockList(zone="BL.test", name="the list"),), wait_s=wait_s)


async def test_only_the_hasty_ones_have_the_short_wait() -> None:
    source, patience = make()
    budget = source.new_budget()
    answers = await patience.lookup_all([LISTED, OTHER], {LISTED}, budget=budget)
    assert answers == {LISTED: TEMPERROR, OTHER: FOUND}
    waits = dict(source.asked)
    assert waits[LISTED.name] <= 0.5
    assert waits[OTHER.name] > 10
    assert budget.questions == 62


async def test_a_list_that_is_silent_again_and_again_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    source, patience = make()
    budget = source.new_budget()
    with caplog.at_level(logging.WARNING):
        for _ in range(SILENCES + 5):
            assert await patience.lookup_all([LISTED], {LISTED}, budget=budget) == {LISTED: TEMPERROR}
    assert len(source.asked) == SILENCES
    assert caplog.messages == ["block list the list does not answer: it is left alone for 60 s"]
    source.known[LISTED.name] = FOUND
    for zone in patience._zones.values():
        zone.rests_until = 0.0
    assert await patience.lookup_all([LISTED], {LISTED}, budget=budget) == {LISTED: FOUND}


async def test_one_answer_makes_up_for_silence() -> None:
    source, patience = make()
    budget = source.new_budget()
    for _ in range(3 * SILENCES):
        for _ in range(SILENCES - 1):
            await patience.lookup_all([LISTED], {LISTED}, budget=budget)
        source.known[LISTED.name] = FOUND
        assert await patience.lookup_all([LISTED], {LISTED}, budget=budget) == {LISTED: FOUND}
        del source.known[LISTED.name]
        budget = source.new_budget()


async def test_the_questions_of_a_message_are_counted_all_the_same() -> None:
    source, patience = make()
    budget = Budget(1, asyncio.get_running_loop().time() + 20)
    many = [Question(f"{n}.2.0.192.bl.test", "A") for n in range(10)]
    assert set((await patience.lookup_all(many, set(many), budget=budget)).values()) == {TEMPERROR}
    assert len(source.asked) == 1


@pytest.mark.parametrize("code", ["127.0.0.1", "8.8.8.8", "127.255.255.254"])
async def test_d28_a_list_that_answers_errors_is_left_alone_and_named_once(
    code: str, caplog: pytest.LogCaptureFixture
) -> None:
    source, patience = make()
    source.known[LISTED.name] = Answer("ok", (code,))
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            await patience.lookup_all([LISTED], {LISTED}, budget=source.new_budget())
    (said,) = caplog.messages
    assert said.startswith(f"block list the list answers {code}, an error and no listing: it is left alone")
    assert len(source.asked) == 1


@pytest.mark.parametrize("answer", [Answer("ok", ("127.0.0.2",)), Answer("ok", ("8.8.8.8",))])
async def test_d28_a_list_that_lists_everything_is_not_believed(
    answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    # RFC 5782 section 5
    source, patience = make()
    source.known |= {LISTED.name: FOUND, NEVER: answer}
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            found = await patience.lookup_all([LISTED], {LISTED}, budget=source.new_budget())
            assert found == {LISTED: TEMPERROR}
    (said,) = caplog.messages
    assert "lists 127.0.0.1, so it lists everything: it is left alone" in said
    assert [name for name, _ in source.asked] == [LISTED.name, NEVER]


async def test_a_list_is_asked_for_its_proof_once_an_hour() -> None:
    source, patience = make()
    source.known |= {LISTED.name: FOUND, NEVER: Answer("nxdomain")}
    for _ in range(5):
        found = await patience.lookup_all([LISTED], {LISTED}, budget=source.new_budget())
        assert found == {LISTED: FOUND}
    assert [name for name, _ in source.asked].count(NEVER) == 1


async def test_what_is_known_of_a_list_that_rests_is_not_told() -> None:
    # D28: the cache still holds what it said before it was left alone
    class Cached:
        def known(self, question: Question) -> Answer | None:
            return Answer("ok", ("127.0.0.2",))

        async def lookup(self, name: str, kind: str, *, budget: Budget | None = None) -> Answer:
            return Answer("ok", ("127.0.0.2",))

        def new_budget(self) -> Budget:
            return Budget(10, 1e12)

    patience = Patience(Cached(), [BlockList(zone="bl.test", weight=1.0)], wait_s=1)
    listed, other = Question("2.0.0.192.bl.test", "A"), Question("example.test", "TXT")
    assert patience.known(other, is_hasty=False) == Answer("ok", ("127.0.0.2",))
    assert patience.known(listed, is_hasty=True) is None, "nobody has looked whether it lists everything"
    await patience.lookup_all([listed], [listed], budget=Budget(10, 1e12))
    known = patience.known(listed, is_hasty=True)
    assert known is not None and known.status == "temperror", "it lists 127.0.0.1 too"
