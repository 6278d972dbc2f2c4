"""Questions to the DNS that a pure check records, and the answers it is given.

A check is a plain function with a `Lookup`.  What is not yet known is recorded
and `NeedLookup` is raised; the shell resolves all recorded questions and calls
the check again (architecture, section 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias


class Question(NamedTuple):
    """`name` lower case A-labels without final dot; `kind` such as "TXT", "A", "MX"."""

    name: str
    kind: str


Status: TypeAlias = Literal["ok", "nodata", "nxdomain", "temperror"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question.

    Attributes:
        status: "ok" with at least one record; "nodata": the name exists without
            this type; "nxdomain"; "temperror": timeout, SERVFAIL, broken answer.
        records: TXT and SPF: one bytes per record (strings joined); A, AAAA: textual
            addresses; MX: (preference, host); PTR, CNAME, NS: host names; TLSA: (usage,
            selector, matching, bytes).  Host names are lower case without final dot.
        secure: the AD bit of a resolver we trust.
        ttl_s: seconds it may be kept.
    """

    status: Status
    records: tuple[object, ...] = ()
    secure: bool = False
    ttl_s: int = 0


class NeedLookup(BaseException):
    """Some questions are not answered yet; they are recorded in the Lookup.

    A BaseException, because pyspf has bare `except Exception` in places.
    """


@dataclass(slots=True)
class Lookup:
    """Answers from a table; records what is missing.

    Attributes:
        known: what has been answered so far.
        wanted: questions asked and not yet answered, in order.
        hasty: those of them that are not worth a long wait.
    """

    known: Mapping[Question, Answer]
    wanted: dict[Question, None] = field(default_factory=dict)
    hasty: set[Question] = field(default_factory=set)

    def __call__(self, name: str, kind: str) -> Answer:
        """The answer, or NeedLookup after recording the question."""
        question = Question(name.lower().rstrip("."), kind)
        answer = self.known.get(question)
        if answer is None:
            self.wanted[question] = None
            raise NeedLookup
        return answer

    def add_hasty(self, other: Lookup) -> None:
        """Records what another look-up wants, as not worth a long wait."""
        self.hasty.update(question for question in other.wanted if question not in self.wanted)
        self.wanted.update(other.wanted)

    def prefetch(self, name: str, kind: str) -> None:
        """Records a question that will be needed, without raising."""
        question = Question(name.lower().rstrip("."), kind)
        if question not in self.known:
            self.wanted[question] = None
