"""Answers kept for a while: bounded in names and in octets.

Source: RFC 2308 (negative answers); the numbers are section 4 of the limits.
"""

from __future__ import annotations

from mailstack.model.dns import Answer, Question
from mailstack.net.dns_options import DnsOptions

#: A failure is kept this long, so that a domain whose servers are dead costs its waiting once.
FAILURE_S = 5
#: What a record costs beside its octets, roughly.
_OVERHEAD_OCTETS = 200


class Cache:
    """Oldest entries leave first.  Not thread-safe; clock readings are passed in (seconds)."""

    def __init__(self, options: DnsOptions) -> None:
        self._options = options
        self._entries: dict[Question, tuple[float, Answer, int]] = {}
        self._octets = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, question: Question, now: float) -> Answer | None:
        """The answer while it is fresh."""
        entry = self._entries.get(question)
        if entry is None:
            return None
        if entry[0] <= now:
            self._drop(question)
            return None
        return entry[1]

    def put(self, question: Question, answer: Answer, now: float) -> None:
        """Keeps an answer for as long as its kind may be kept."""
        self._drop(question)
        octets = _OVERHEAD_OCTETS + sum(_size(record) for record in answer.records)
        if octets > self._options.cache_octets // 16:
            return  # one giant answer does not push out everything else
        self._entries[question] = (now + self.keep_s(answer), answer, octets)
        self._octets += octets
        while self._entries and (
            len(self._entries) > self._options.cache_names or self._octets > self._options.cache_octets
        ):
            self._drop(next(iter(self._entries)))

    def keep_s(self, answer: Answer) -> float:
        """Seconds this answer may be kept."""
        options = self._options
        if answer.status == "temperror":
            return FAILURE_S
        longest = options.max_ttl_s if answer.status == "ok" else options.negative_ttl_s
        return min(max(answer.ttl_s, options.min_ttl_s), longest)

    def _drop(self, question: Question) -> None:
        entry = self._entries.pop(question, None)
        if entry is not None:
            self._octets -= entry[2]


def _size(record: object) -> int:
    if isinstance(record, bytes | str):
        return 60 + len(record)
    if isinstance(record, tuple):
        return 60 + sum(_size(part) for part in record)
    return 30
