"""Does the author's domain stand behind this message, and what does it want if not?

A plain function with a look-up parameter: the tree walk of RFC 9989, no public suffix
list.  What to do with a failure is decided elsewhere (filters/disposition).

Standards: RFC 9989 sections 4.8 to 4.10, 5.3; RFC 7489 records are still read.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mailstack.filters.authentication.dmarc_record import POLICIES, Policy, Record, is_record, parse
from mailstack.filters.fields import Header
from mailstack.filters.remembered import Remembered
from mailstack.mime.addresses import Unparsable, strict_addresses
from mailstack.model.dns import Lookup, NeedLookup
from mailstack.model.verdict import DkimResult, DmarcResult, PublishedPolicy, SpfResult

#: RFC 9989 section 4.10: a walk asks at most this often.
MAX_QUERIES = 8
#: Several authors in one From field: each is looked at, but no crowd.
MAX_AUTHORS = 8


@dataclass(frozen=True, slots=True)
class Author:
    """Who the From field says wrote it.

    Attributes:
        domains: of the addresses, A-labels, without repeats.
        count: From fields in the message.
        problem: why there is no single author; "" when there is.
        address: of the only author, lower case; "" otherwise.
    """

    domains: tuple[str, ...]
    count: int
    problem: str = ""
    address: str = ""


class _TemporaryError(Exception):
    """The DNS does not answer now."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What a tree walk found.

    Attributes:
        start: where it began.
        records: domain to record, from the start upwards.
        problems: domain to what is wrong with its record.
        incomplete: the DNS failed on the way up; what was found below still counts.
    """

    start: str
    records: dict[str, Record]
    problems: dict[str, str]
    incomplete: bool = False

    @property
    def organizational_domain(self) -> str:
        """RFC 9989 section 4.10.2."""
        for domain, record in self.records.items():
            if record.psd == "n":
                return domain
            if record.psd == "y" and domain != self.start:
                labels = self.start.split(".")
                return ".".join(labels[-(domain.count(".") + 2) :])
        return min(self.records, key=lambda domain: domain.count("."), default=self.start)


def find_author(header: Header) -> Author:
    """The domains in the From field, read strictly (T20).

    Source: RFC 9989 section 5.3.1; RFC 5322 section 3.6.2.
    """
    fields = header.all(b"from")
    if not fields:
        return Author((), 0, "there is no From field")
    if len(fields) > 1:
        return Author((), len(fields), "there is more than one From field")
    addresses = strict_addresses(fields[0].value)
    if isinstance(addresses, Unparsable):
        return Author((), 1, addresses.why)
    domains = tuple(dict.fromkeys(a.domain for a in addresses if a.domain))
    if not domains:
        return Author((), 1, "there is no address in From")
    if len(domains) > MAX_AUTHORS:
        return Author((), 1, "there are too many authors")
    if any(domain.startswith("[") for domain in domains):
        return Author((), 1, "the author has an address literal")
    return Author(domains, 1, address=addresses[0].key if len(addresses) == 1 else "")


def prefetch(author: Author, lookup: Lookup) -> None:
    """Records what a check will ask first."""
    for domain in author.domains:
        for name in tree(domain):
            lookup.prefetch(f"_dmarc.{name}", "TXT")


def check(
    author: Author,
    spf: SpfResult,
    dkim: Sequence[DkimResult],
    lookup: Lookup,
    *,
    memory: Remembered[DmarcResult] | None = None,
) -> DmarcResult:
    """Evaluates DMARC.

    Args:
        memory: of earlier checks.

    Returns:
        pass, fail, none, temperror or permerror; `policy` is what the record asks for,
        `disposition` the same after t=y; both before any local decision.

    Raises:
        NeedLookup: questions are recorded.
    """
    if not author.domains:
        # An author nobody can read is a failure, not an absence of policy.
        word = "none" if author.count == 0 else "fail"
        return DmarcResult(word, why=author.problem, problem=author.problem)
    memory = memory or Remembered()
    # Of SPF and DKIM it looks at results and domains only.
    proven = (spf.result, spf.domain, *((one.result, one.domain) for one in dkim))
    results = []
    waiting = False
    for domain in author.domains:
        evaluate = functools.partial(_check_domain, domain, spf, dkim)
        try:
            results.append(memory.get((domain, proven), evaluate, lookup))
        except NeedLookup:
            waiting = True
    if waiting:
        raise NeedLookup
    if len(results) == 1:
        return results[0]
    return _strictest(results)


def _strictest(results: Sequence[DmarcResult]) -> DmarcResult:
    """Several authors: none is a pass; the strictest policy that is not met counts.

    A domain of the sender's own that passes, or whose DNS is silent, takes nothing away from it.
    """
    words = [r.result for r in results]
    word = next((word for word in ("fail", "temperror") if word in words), "fail")
    if set(words) == {"none"}:
        word = "none"
    counted = [r for r in results if r.result == word] or results
    worst = max(counted, key=lambda r: POLICIES.index(r.policy) if r.policy in POLICIES else -1)
    why = "the From field has authors of several domains"
    return DmarcResult(word, worst.domain, worst.policy, worst.disposition, why, problem=why)


def _check_domain(domain: str, spf: SpfResult, dkim: Sequence[DkimResult], lookup: Lookup) -> DmarcResult:
    try:
        walk = walk_tree(domain, lookup)
        found = _find_policy(domain, walk, lookup)
    except _TemporaryError:
        return DmarcResult("temperror", domain, None, "none", "the policy cannot be looked up now")
    problem = "; ".join(f"_dmarc.{where}: {what}" for where, what in walk.problems.items())
    if found is None:
        return DmarcResult("none", domain, None, "none", problem, problem=problem)
    policy, where, record = found
    published = _published(where, record, walk)
    try:
        aligned = _is_aligned(domain, walk, record, spf, dkim, lookup)
    except _TemporaryError:
        why = "alignment cannot be looked up now"
        return DmarcResult("temperror", domain, policy, "none", why, published, problem=problem)
    if aligned:
        by_dkim, by_spf = _aligned_by(domain, walk, record, spf, dkim)
        return DmarcResult("pass", domain, policy, "none", problem, published, by_dkim, by_spf, problem)
    if _could_align(domain, walk, record, spf, dkim):
        why = "SPF or DKIM could not be checked"
        return DmarcResult("temperror", domain, policy, "none", why, published, problem=problem)
    why = problem or _why_not(spf, dkim)
    asked = _lower(policy) if record.testing else policy
    return DmarcResult("fail", domain, policy, asked, why, published, problem=problem)


def _published(where: str, record: Record, walk: Walk) -> PublishedPolicy | None:
    """What a report repeats; None when nobody wants one."""
    if not record.rua:
        return None
    return PublishedPolicy(
        domain=where,
        p=record.policy,
        sp=record.subdomain or "",
        np=record.nonexistent or "",
        adkim="s" if record.strict_dkim else "r",
        aspf="s" if record.strict_spf else "r",
        fo=record.fo,
        is_testing=record.testing,
        rua=record.rua,
        organization=walk.organizational_domain,
    )


def _aligned_by(
    author: str, walk: Walk, record: Record, spf: SpfResult, dkim: Sequence[DkimResult]
) -> tuple[bool, bool]:
    """Whether DKIM, and whether SPF, made it pass, for reports.  That something did is known."""
    by_dkim = any(
        one.result == "pass" and _belongs(one.domain, author, walk, is_strict=record.strict_dkim)
        for one in dkim
    )
    by_spf = spf.result == "pass" and _belongs(spf.domain, author, walk, is_strict=record.strict_spf)
    return by_dkim, by_spf


def _could_align(author: str, walk: Walk, record: Record, spf: SpfResult, dkim: Sequence[DkimResult]) -> bool:
    """True when something the DNS gave no answer for might have passed for the author's domain.

    What never can does not count: else a stranger's broken DNS would undo anybody's policy.
    """
    open_ = [(d.domain, record.strict_dkim) for d in dkim if d.result == "temperror"]
    if spf.result == "temperror":
        open_.append((spf.domain, record.strict_spf))
    return any(_belongs(domain, author, walk, is_strict=strict) for domain, strict in open_)


def _belongs(domain: str, author: str, walk: Walk, *, is_strict: bool) -> bool:
    """By the names alone, without further walks; only a sub-domain that is an organization of its own
    is told wrong."""
    if domain == author:
        return True
    return not is_strict and f".{domain}".endswith(f".{walk.organizational_domain}")


def _why_not(spf: SpfResult, dkim: Sequence[DkimResult]) -> str:
    signed = ", ".join(f"{d.result} for {d.domain or '?'}" for d in dkim) or "no signature"
    return f"SPF {spf.result} {f'for {spf.domain}' if spf.domain else '(no sender to ask)'}; DKIM {signed}"


def _lower(policy: Policy) -> Policy:
    return "quarantine" if policy == "reject" else "none"


def walk_tree(domain: str, lookup: Lookup) -> Walk:
    """Asks from `domain` upwards.

    Raises:
        NeedLookup: questions are recorded.

    Source: RFC 9989 section 4.10.
    """
    walk = Walk(domain, {}, {})
    names = list(tree(domain))
    for name in names:
        lookup.prefetch(f"_dmarc.{name}", "TXT")
    for name in names:
        answer = lookup(f"_dmarc.{name}", "TXT")
        if answer.status == "temperror":
            return replace(walk, incomplete=True)
        texts = [r for r in answer.records if isinstance(r, bytes) and is_record(r)]
        if len(texts) > 1:
            walk.problems[name] = "several DMARC records: all are ignored"
            continue
        if not texts:
            continue
        record = parse(texts[0])
        if isinstance(record, str):
            walk.problems[name] = record
            continue
        walk.records[name] = record
        if record.problems:
            walk.problems[name] = ", ".join(record.problems)
        if record.psd in ("y", "n"):
            break
    return walk


def tree(domain: str) -> Iterator[str]:
    """The names a walk asks for, at most eight."""
    labels = domain.split(".")
    yield domain
    # A name of eight or more labels is cut to seven at once (D21).
    labels = labels[-7:] if len(labels) >= MAX_QUERIES else labels[1:]
    while labels:
        yield ".".join(labels)
        labels = labels[1:]


def _find_policy(domain: str, walk: Walk, lookup: Lookup) -> tuple[Policy, str, Record] | None:
    """The policy that applies to the author domain, where its record is, and the record.

    Source: RFC 9989 section 4.10.1.
    """
    own = walk.records.get(domain)
    if own is not None:
        return own.policy, domain, own
    if walk.incomplete:
        raise _TemporaryError
    where = walk.organizational_domain
    if where not in walk.records:
        where = next((name for name, record in walk.records.items() if record.psd == "y"), "")
    above = walk.records.get(where)
    if above is None:
        return None
    existing = above.subdomain or above.policy
    missing = above.nonexistent or existing
    if existing == missing:
        return existing, where, above
    answer = lookup(domain, "A")
    if answer.status == "temperror":
        raise _TemporaryError
    return (missing if answer.status == "nxdomain" else existing), where, above


def _is_aligned(
    author: str, walk: Walk, record: Record, spf: SpfResult, dkim: Sequence[DkimResult], lookup: Lookup
) -> bool:
    """True when something that passed belongs to the author's domain.

    Source: RFC 9989 section 4.4 (identifier alignment).
    """
    passed = [(d.domain, record.strict_dkim) for d in dkim if d.result == "pass"]
    if spf.result == "pass":
        passed.append((spf.domain, record.strict_spf))
    if any(domain == author for domain, _ in passed):
        return True
    relaxed = [domain for domain, strict in passed if not strict and _may_share(domain, author)]
    if walk.incomplete and relaxed:
        raise _TemporaryError
    return _shares_organization(walk.organizational_domain, relaxed, lookup)


def _may_share(domain: str, author: str) -> bool:
    """Domains under different top-level names never belong to one organization."""
    return domain.rpartition(".")[2] == author.rpartition(".")[2]


def _shares_organization(organization: str, domains: Sequence[str], lookup: Lookup) -> bool:
    waiting = broken = False
    for domain in domains:
        # Only the organizational domain itself and what is below it can be aligned.
        if not (domain == organization or domain.endswith("." + organization)):
            continue
        try:
            walk = walk_tree(domain, lookup)
        except NeedLookup:
            waiting = True
            continue
        if not walk.incomplete and walk.organizational_domain == organization:
            return True
        broken = broken or walk.incomplete
    if waiting:
        raise NeedLookup
    if broken:
        raise _TemporaryError
    return False
