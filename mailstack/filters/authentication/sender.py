"""Who sent a message: SPF, DKIM, DMARC and ARC together.

Re-runnable: all that is not known yet is asked for at once, and what is done stays done.
HELO comes last and is not worth a long wait: it only explains, and whoever chooses it must
not be able to use up the look-ups of what decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from mmap import mmap
from typing import TypeVar

from mailstack.filters.authentication import dmarc, spf
from mailstack.filters.authentication.arc_chain import Chain, ChainVerifier
from mailstack.filters.authentication.arc_trust import find_vouching
from mailstack.filters.authentication.dkim import Verifier
from mailstack.filters.fields import Header
from mailstack.filters.remembered import Remembered
from mailstack.model.dns import Lookup, NeedLookup
from mailstack.model.verdict import (
    ArcResult,
    Authentication,
    DkimResult,
    DmarcResult,
    FilterRequest,
    Reason,
    SpfResult,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Memory:
    """What checks of earlier messages gave."""

    spf: Remembered[SpfResult] = field(default_factory=Remembered)
    dmarc: Remembered[DmarcResult] = field(default_factory=Remembered)


class Sender:
    """The checks of one message; run `check` again after a NeedLookup."""

    def __init__(
        self,
        request: FilterRequest,
        message: bytes | mmap,
        header: Header,
        *,
        author: dmarc.Author,
        sealers: Sequence[str] = (),
        memory: Memory | None = None,
    ) -> None:
        """
        Args:
            sealers: domains whose word in a chain is believed.
            memory: of earlier messages; None: there were none.
        """
        self._request = request
        self._author = author
        self._sealers = sealers
        self._verifier = Verifier(message, header, now=request.received_at)
        self._chain_verifier = ChainVerifier(message, header, now=request.received_at)
        self._spf: SpfResult | None = None
        self._memory = memory or Memory()
        self._helo: SpfResult | None = None
        self._dkim: tuple[DkimResult, ...] | None = None
        self._chain: Chain | None = None

    def check(self, lookup: Lookup) -> Authentication:
        """All results.

        Raises:
            NeedLookup: questions are recorded.
        """
        self._spf = self._spf or _try(lambda: self._check_spf(self._request.sender, lookup))
        if self._dkim is None:
            self._dkim = _try(lambda: self._verifier.verify(lookup))
        self._chain = self._chain or _try(lambda: self._chain_verifier.verify(lookup))
        try:
            if self._spf is None or self._dkim is None or self._chain is None:
                dmarc.prefetch(self._author, lookup)
                raise NeedLookup
            policy = dmarc.check(self._author, self._spf, self._dkim, lookup, memory=self._memory.dmarc)
        except NeedLookup:
            self._prefetch_helo(lookup)
            raise
        self._helo = self._helo or self._check_helo(self._spf, lookup)
        return Authentication(self._spf, self._helo, self._dkim, policy, self._arc(self._chain))

    def _check_spf(self, sender: str, lookup: Lookup) -> SpfResult:
        request = self._request
        return spf.check(
            request.ip, sender, request.helo, now=request.received_at, lookup=lookup, memory=self._memory.spf
        )

    def _prefetch_helo(self, lookup: Lookup) -> None:
        """Its first question, while others wait."""
        if self._request.sender and self._helo is None:
            hasty = Lookup(lookup.known)
            spf.prefetch(self._request.ip, self._request.helo, hasty)
            lookup.add_hasty(hasty)

    def _check_helo(self, of_sender: SpfResult, lookup: Lookup) -> SpfResult:
        """RFC 7208 section 2.3: checked beside MAIL FROM; for a null sender it is the same."""
        if not self._request.sender:
            return of_sender
        hasty = Lookup(lookup.known)
        try:
            return self._check_spf("", hasty)
        except NeedLookup:
            lookup.add_hasty(hasty)
            raise

    def _arc(self, chain: Chain) -> ArcResult:
        domains = self._author.domains
        vouches = find_vouching(chain, domains[0], self._sealers) if len(domains) == 1 else ""
        sealer = chain.sealers[-1] if chain.sealers else ""
        return ArcResult(chain.result, chain.why, sealer, vouches, chain.oldest_pass)


def problems(found: Authentication) -> Iterator[Reason]:
    """What is wrong with records and signatures, by name; it weighs nothing by itself."""
    if found.dmarc.problem and found.dmarc.domain:
        yield Reason("dmarc_record", 0.0, found.dmarc.problem)
    for name, spf_ in (("spf", found.spf), ("spf_helo", found.helo_spf)):
        if spf_.why and not (name == "spf_helo" and spf_ == found.spf):
            yield Reason(f"{name}_{spf_.result}", 0.0, f"{spf_.domain}: {spf_.why}")
    for one in found.dkim:
        if one.why:
            yield Reason(f"dkim_{one.result}", 0.0, f"{one.domain or '?'}: {one.why}")
    if found.arc.why:
        yield Reason("arc_fail", 0.0, found.arc.why)


def _try(check: Callable[[], T]) -> T | None:
    """What it gives; None while it waits for answers."""
    try:
        return check()
    except NeedLookup:
        return None
