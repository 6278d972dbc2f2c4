"""Results that follow from DNS answers, remembered for as long as the answers stay the same.

Whoever sends much mail sends it from few clients and domains.  A check that looks at nothing
but its arguments and the DNS need not run again for them: it is enough to see that every
answer it read is known still and says what it said.  Nothing is believed longer than the
answers themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from mailstack.model.dns import Answer, Lookup, Question

#: Results of one kind of check; the oldest is forgotten.
MAX_RESULTS = 2_048
#: A check that read more answers, or more in them, is not remembered: not worth a look, or not its memory.
MAX_ANSWERS = 16
MAX_RECORD_OCTETS = 4_096
#: What Python takes for a record beside its text.
_EACH_OCTETS = 64

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    result: T
    answers: tuple[tuple[Question, Answer], ...]


class _Noted(Mapping[Question, Answer]):
    """Answers, and which of them were read."""

    def __init__(self, known: Mapping[Question, Answer]) -> None:
        self._known = known
        self.read: dict[Question, Answer] = {}

    def get(self, question: Question, default: Answer | None = None) -> Answer | None:  # type: ignore[override]
        answer = self._known.get(question)
        if answer is None:
            return default
        self.read[question] = answer
        return answer

    def __getitem__(self, question: Question) -> Answer:
        answer = self.get(question)
        if answer is None:
            raise KeyError(question)
        return answer

    def __contains__(self, question: object) -> bool:
        return question in self._known

    def __iter__(self) -> Iterator[Question]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


class Remembered(Generic[T]):
    """One worker's results of one kind of check."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Kept[T]] = {}

    def get(
        self,
        key: Hashable,
        check: Callable[[Lookup], T],
        lookup: Lookup,
        *,
        may_keep: Callable[[Collection[Answer]], bool] = lambda answers: True,
    ) -> T:
        """What the check gives.

        Args:
            key: everything the result depends on beside the answers.
            check: looks at `key` and the DNS, nothing else.
            may_keep: False: with these answers it looked at more.

        Raises:
            NeedLookup: by the check; nothing is remembered.
        """
        kept = self._kept.get(key)
        known = lookup.known
        if kept is not None and all(_is_same(known.get(q), answer) for q, answer in kept.answers):
            return kept.result
        noted = _Noted(known)
        result = check(Lookup(noted, lookup.wanted, lookup.hasty))
        self._kept.pop(key, None)
        if _is_worth_it(noted.read.values()) and may_keep(noted.read.values()):
            self._kept[key] = _Kept(result, tuple(noted.read.items()))
            if len(self._kept) > MAX_RESULTS:
                del self._kept[next(iter(self._kept))]
        return result


def _is_same(now: Answer | None, then: Answer) -> bool:
    if now is then:
        return True
    return now is not None and (now.status, now.records, now.secure) == (
        then.status,
        then.records,
        then.secure,
    )


def _is_worth_it(answers: Collection[Answer]) -> bool:
    if len(answers) > MAX_ANSWERS:
        return False
    return sum(_octets(record) for answer in answers for record in answer.records) <= MAX_RECORD_OCTETS


def _octets(record: object) -> int:
    return _EACH_OCTETS + (len(record) if isinstance(record, bytes | str) else len(repr(record)))
