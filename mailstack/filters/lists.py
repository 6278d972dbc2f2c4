"""Blocked and allowed senders of one account.

Source: product page, section 2.5: allowed counts only when the sender is authenticated.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from mailstack.model.verdict import Authentication


def find(address: str, patterns: AbstractSet[str]) -> str:
    """The pattern (address key or domain) that covers an address; "" for none.

    Args:
        address: `local@domain`, lower case.
    """
    if not address or not patterns:
        return ""
    if address in patterns:
        return address
    domain = address.rpartition("@")[2]
    while domain:
        if domain in patterns:
            return domain
        domain = domain.partition(".")[2]
    return ""


def is_author_authenticated(domain: str, found: Authentication) -> bool:
    """True when DMARC passes, or SPF or DKIM vouch for the author's domain or one above it."""
    if found.dmarc.result == "pass":
        return True
    if found.dmarc.result in ("fail", "temperror", "permerror") or not domain:
        return False
    vouching = [d.domain for d in found.dkim if d.result == "pass"]
    if found.spf.result == "pass":
        vouching.append(found.spf.domain)
    return any(domain == v or ("." in v and domain.endswith("." + v)) for v in vouching)


Lists: TypeAlias = tuple[AbstractSet[str], AbstractSet[str]]


@dataclass(frozen=True, slots=True)
class Listed:
    """Which list decides.  `pattern`: the entry that does."""

    kind: Literal["blocked", "allowed", ""] = ""
    pattern: str = ""
    whose: Literal["account", "domain"] = "account"

    @property
    def why(self) -> str:
        """A sentence."""
        of = " of the domain" if self.whose == "domain" else ""
        return f"{self.pattern} is on the {self.kind} list{of}"


_UNLISTED = Listed()


def judge(author: str, sender: str, blocked: AbstractSet[str], allowed: AbstractSet[str]) -> Listed:
    """Which of two lists decides, by its most particular entry; in doubt it is blocked.

    Args:
        author: the From address; `sender`: the envelope's; both lower case.
    """
    good, bad = find(author, allowed), find(author, blocked)
    if good and (not bad or _rank(good) > _rank(bad)):
        other = "" if find(sender, {good}) else find(sender, blocked)
        # Who sends for others is blocked with all he sends, but not a person by name.
        if not other or ("@" in good and "@" not in other):
            return Listed("allowed", good)
        bad = other
    bad = bad or find(sender, blocked)
    return Listed("blocked", bad) if bad else Listed()


def decide(author: str, sender: str, own: Lists, domain: Lists) -> Listed:
    """The account's own lists first, then those of its domain; each as (blocked, allowed)."""
    found = judge(author, sender, *own) if any(own) else _UNLISTED
    if found.kind or not any(domain):
        return found
    return replace(judge(author, sender, *domain), whose="domain")


def _rank(pattern: str) -> tuple[bool, int]:
    """An address before any domain, a domain before what is above it."""
    return "@" in pattern, pattern.count(".")
