"""One account and one message: what its scripts, and whoever carries out their wishes, must know."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from mailstack.filters.surroundings import Nowhere, Surroundings
from mailstack.model.directory import Plan
from mailstack.model.verdict import Class, FilterRecipient, FilterRequest, MessageVerdict

#: What the scripts of all accounts want of one message: less than a frame of the filter's sockets.
MAX_WISHES_OCTETS = 6_291_456


@dataclass(frozen=True, slots=True)
class Case:
    """What is known.

    Attributes:
        klass, score: for this account; no score: the verdict's.
        is_spam: it goes to the Spam folder, whatever its class.
        blocked, allowed: the account's lists.
        author: the only From address, lower case; "" when there is none that can be read.
        flags: what a message that is in a folder already has; None: it is on its way in.
        room_octets: what its scripts want must not take more, messages they change or write with it.
    """

    request: FilterRequest
    recipient: FilterRecipient
    verdict: MessageVerdict
    plan: Plan = "normal"
    klass: Class = "ham"
    is_spam: bool = False
    blocked: AbstractSet[str] = frozenset()
    allowed: AbstractSet[str] = frozenset()
    around: Surroundings = field(default_factory=Nowhere)
    author: str = ""
    flags: tuple[str, ...] | None = None
    room_octets: int = MAX_WISHES_OCTETS
    score: float | None = None

    @property
    def spam(self) -> float | None:
        """How sure the filter is; None: nobody has looked."""
        if self.request.login or self.verdict.unfiltered:
            return None
        return self.verdict.score if self.score is None else self.score

    @property
    def virus(self) -> float | None:
        """How sure a virus scanner is; None: nobody has looked."""
        result = self.verdict.virus.result
        return {"found": 1.0, "clean": 0.0}.get(result)

    @property
    def why_silent(self) -> str:
        """Why nobody gets an automatic answer to it; "" when somebody may.

        Source: product page, section 4; RFC 3834 section 2.
        """
        if self.is_spam or self.klass == "spam":
            return "it is spam"
        if self.klass != "ham":
            return f"it is one of many ({self.klass})"
        if self.recipient.catch_all:
            return f"there is no address {self.recipient.original}"
        found, sender = self.verdict.authentication, self.request.sender.lower()
        if self.request.login or found.proves(sender, author=self.author):
            return ""
        if found.proves_author_only:
            # Whoever signs his own mail could have us answer anybody he names as the sender.
            return f"only its author {self.author} is authenticated, not its sender"
        if found.dmarc.result == "fail":
            return "its author is not authenticated (DMARC)"
        if found.spf.result in ("fail", "softfail", "permerror"):
            return f"its sender is not authenticated (SPF {found.spf.result})"
        return ""
