"""Blocked and allowed senders of one account.

Source: product page, section 2.5: allowed counts only when the sender is authenticated.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Literal

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


def judge(
    author: str, sender: str, blocked: AbstractSet[str], allowed: AbstractSet[str]
) -> tuple[Literal["blocked", "allowed", ""], str]:
    """Which list decides, and by which pattern.  An exact address wins over its domain.

    Args:
        author: the From address; `sender`: the envelope's; both lower case.
    """
    good, bad = find(author, allowed), find(author, blocked) or find(sender, blocked)
    if good and (not bad or ("@" in good and "@" not in bad)):
        return "allowed", good
    return ("blocked", bad) if bad else ("", "")
