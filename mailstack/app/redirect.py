"""Is the author of a redirected message who it says?  Its own DKIM signature must prove it.

A mail program's Redirect sends the message as it was, under a Resent block of its user.
The signature that proves it is one of the author's domain, or of a domain that DMARC takes
for the same; anybody can sign with a domain of their own.

Only redirects get here, so the smtp daemon verifies them itself: a bounded scan of the
fields and a hash over the body, in a thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailstack.app import trace
from mailstack.filters.authentication import dmarc
from mailstack.filters.authentication.dkim import Verifier
from mailstack.filters.fields import Header
from mailstack.model.dns import Lookup
from mailstack.model.envelope import Body
from mailstack.model.verdict import DkimResult, SpfResult
from mailstack.net.resolver import DnsSource, run_in_threads

if TYPE_CHECKING:
    from mmap import mmap


async def is_author_proven(body: Body, *, resolver: DnsSource, threads: Executor, now: float) -> bool:
    """True when each author's domain stands behind the message as it is."""
    with trace.opened(body) as message:
        evidence = _Evidence(message, now)
        budget = resolver.new_budget()
        return await run_in_threads(evidence.is_proven, resolver, threads, budget=budget)


@dataclass(slots=True)
class _Evidence:
    """Re-runnable."""

    author: dmarc.Author
    verifier: Verifier

    def __init__(self, message: bytes | mmap, now: float) -> None:
        header = Header(message)
        self.author = dmarc.find_author(header)
        self.verifier = Verifier(message, header, now=now)

    def is_proven(self, lookup: Lookup) -> bool:
        """Decides; raises NeedLookup."""
        if not self.author.domains or self.author.problem:
            return False
        signed = [result for result in self.verifier.verify(lookup) if result.result == "pass"]
        if not signed:
            return False
        if all(_vouches(domain, signed) for domain in self.author.domains):
            return True
        # Relaxed alignment of sister domains needs the organization's record.
        return dmarc.check(self.author, SpfResult(), signed, lookup).result == "pass"


def _vouches(domain: str, signed: Sequence[DkimResult]) -> bool:
    """A domain signs for itself and for what is below it, not the other way round."""
    return any(domain == one.domain or domain.endswith(f".{one.domain}") for one in signed)
