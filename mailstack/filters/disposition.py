"""What is done about a DMARC failure: refuse, file as spam, or nothing.

RFC 9989 forbids to refuse mail on the policy alone, so `reject` needs a second reason:
the message looks like spam, or nothing hints at a mailing list or forwarder.  The operator
may know better (`find_exception`): forwarders and sealers that are trusted, domains.

Source: product page, section 2.3; limits, section 4; RFC 9989 section 5.4.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from mailstack.filters.authentication.dmarc import Author
from mailstack.filters.fields import Header
from mailstack.filters.options import FilterOptions, as_network
from mailstack.model.verdict import Authentication, DmarcResult

#: Fields that lists and forwarders leave behind.
_LIST_FIELDS = (
    b"list-id",
    b"list-post",
    b"mailing-list",
    b"x-mailman-version",
    b"x-beenthere",
    b"x-mailing-list",
)
_FORWARD_FIELDS = (b"resent-from", b"resent-sender", b"x-forwarded-to", b"x-forwarded-for", b"arc-seal")

Override: TypeAlias = Literal["", "local_policy", "mailing_list", "policy_test_mode", "trusted_forwarder"]

_FROM_LIST = "it came through a mailing list"


@dataclass(frozen=True, slots=True)
class Disposition:
    """What to do.

    Attributes:
        action: "accept", "junk" or "reject".
        applied: the RFC 9989 word: none, quarantine or reject.
        reply: words for the SMTP reply of a refusal.
        override: why less is done than the policy asks for, as RFC 9990 names it.
    """

    action: Literal["accept", "junk", "reject"]
    applied: str
    why: str = ""
    reply: str = ""
    override: Override = ""


#: Of mail that does not fail DMARC.
NOTHING = Disposition("accept", "none")


@dataclass(frozen=True, slots=True)
class LocalException:
    """The most the operator wants done about a failure.

    Attributes:
        most: "none" or "quarantine".
        override: as RFC 9990 names it.
    """

    most: Literal["none", "quarantine"]
    why: str
    override: Override


def decide(
    dmarc: DmarcResult,
    *,
    mode: str,
    is_spam: bool,
    is_definite: bool,
    detour: str,
    exception: LocalException | None = None,
) -> Disposition:
    """Decides about one message.

    Args:
        mode: the option `dmarc_on_reject`.
        is_spam: the classifier agrees that it is unwanted.
        is_definite: SPF and DKIM gave definite results; a temporary error never refuses.
        detour: the sign of a mailing list or forwarder; "" for none.
        exception: of the operator, for this message.
    """
    if dmarc.result != "fail":
        return NOTHING
    if exception is not None and dmarc.disposition in ("quarantine", "reject"):
        if exception.most == "none":
            return Disposition("accept", "none", exception.why, override=exception.override)
        if dmarc.disposition == "reject":
            return Disposition("junk", "quarantine", exception.why, override=exception.override)
    is_test = dmarc.policy != dmarc.disposition
    if dmarc.disposition not in ("quarantine", "reject"):
        return Disposition("accept", "none", override="policy_test_mode" if is_test else "")
    if dmarc.disposition == "quarantine" or mode == "never":
        why = f"the policy of {dmarc.domain} is {dmarc.policy}"
        if dmarc.disposition == "reject":
            return Disposition("junk", "quarantine", why, override="local_policy")
        return Disposition("junk", "quarantine", why, override="policy_test_mode" if is_test else "")
    if not is_definite:
        why = "not refused: SPF and DKIM gave no definite result"
        return Disposition("junk", "quarantine", why, override="local_policy")
    if mode == "with-evidence" and not is_spam and detour:
        override: Override = "mailing_list" if detour == _FROM_LIST else "local_policy"
        return Disposition("junk", "quarantine", f"not refused: {detour}", override=override)
    reply = (
        f"{dmarc.domain} publishes the DMARC policy {dmarc.policy} and this message fails it:"
        f" {dmarc.why or 'not authenticated'}"
    )
    return Disposition("reject", "reject", reply, reply)


def find_exception(
    found: Authentication, author: Author, options: FilterOptions, *, ip: str
) -> LocalException | None:
    """What the operator knows better about this message, the most lenient first."""
    if found.arc.vouches:
        # RFC 9989 has no word of its own for it: RFC 8617 section 7.2.2 wants local_policy and arc=pass.
        why = f"arc=pass: {found.arc.vouches} says that DMARC was a pass before"
        return LocalException("none", why, "local_policy")
    forwarder = _trusted_forwarder(found, options.trusted_forwarders, ip=ip)
    if forwarder:
        return LocalException("none", f"{forwarder} is a trusted forwarder", "trusted_forwarder")
    named = [_of_author(domain, options) for domain in author.domains]
    if named and all(named):
        # Several authors: an exception for one is none for the others.
        domain, most = max((one for one in named if one), key=lambda one: one[1] == "quarantine")
        return LocalException(most, f"an exception is configured for {domain}", "local_policy")
    return None


def _trusted_forwarder(found: Authentication, trusted: Sequence[str], *, ip: str) -> str:
    proven = [d.domain for d in found.dkim if d.result == "pass"]
    proven += [one.domain for one in (found.spf, found.helo_spf) if one.result == "pass"]
    for text in trusted:
        network = as_network(text)
        if network is None:
            if any(f".{domain}".endswith(f".{text}") for domain in proven):
                return text
        elif ip and ipaddress.ip_address(ip) in network:
            return ip
    return ""


def _of_author(domain: str, options: FilterOptions) -> tuple[str, Literal["none", "quarantine"]] | None:
    """The exception nearest to a domain."""
    while domain:
        most = options.dmarc_exceptions.get(domain)
        if most is not None:
            return domain, most
        domain = domain.partition(".")[2]
    return None


def find_detour(header: Header, author: Author, found: Authentication, sender: str) -> str:
    """The first sign that an honest list or forwarder stands between author and us; "" for none."""
    for field in _LIST_FIELDS:
        if header.has(field):
            return _FROM_LIST
    if header.first(b"precedence").lower() == b"list":
        return _FROM_LIST
    if found.arc.result == "pass" or any(header.has(field) for field in _FORWARD_FIELDS):
        return "it was forwarded"
    if sender.upper().startswith(("SRS0", "SRS1")):
        return "it was forwarded"
    if any(d.result == "pass" and d.domain not in author.domains for d in found.dkim):
        return "another domain has signed it"
    if found.spf.result == "pass":
        return "the sending domain is authenticated"
    return ""
