"""What will stand in the way of a redirection, as far as the DNS says so when it is set.

Nothing is refused for it: the DNS may be wrong today and right tomorrow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mailstack.net.resolver import Resolver

if TYPE_CHECKING:
    from mailstack.app.config import Config
    from mailstack.model.address import Address
    from mailstack.net.resolver import Budget, DnsSource

#: Who sets a redirection waits for the answers: so many questions and seconds for all of them.
MAX_QUESTIONS = 40
MAX_S = 3.0


async def find_warnings(config: Config, owner: Address, targets: Iterable[Address]) -> list[str]:
    """What speaks against sending mail of an address here on to targets outside."""
    resolver = Resolver(config.dns)
    await resolver.start()
    try:
        return await warnings(resolver, config.srs.domain or owner.domain, targets)
    finally:
        await resolver.close()


async def warnings(source: DnsSource, leaving: str, targets: Iterable[Address]) -> list[str]:
    """As `find_warnings`; `leaving`: the domain of the rewritten senders."""
    budget = source.new_budget()
    budget.questions = min(budget.questions, MAX_QUESTIONS)
    budget.deadline = min(budget.deadline, asyncio.get_running_loop().time() + MAX_S)
    domains = list(dict.fromkeys(target.domain for target in targets))
    spf, refused = await asyncio.gather(
        source.lookup(leaving, "TXT", budget=budget),
        asyncio.gather(*(_why_not(source, name, budget) for name in domains)),
    )
    found = [
        f"{domain} {why}: what is sent on there will fail"
        for domain, why in zip(domains, refused, strict=True)
        if why
    ]
    is_known = spf.status != "temperror"
    if is_known and not any(isinstance(r, bytes) and r.lower().startswith(b"v=spf1") for r in spf.records):
        found.append(
            f"{leaving} has no SPF record, and what is sent on leaves with senders in it: other servers will"
            f" trust it less; 'mailstack domain dns {leaving}' prints the record"
        )
    return found


async def _why_not(source: DnsSource, domain: str, budget: Budget) -> str:
    """Why no mail can reach a domain; "" when nothing is known against it."""
    mx = await source.lookup(domain, "MX", budget=budget)
    if mx.status == "nxdomain":
        return "does not exist"
    if mx.status == "ok":
        is_null = all(isinstance(record, tuple) and not record[1] for record in mx.records)
        return "takes no mail at all (null MX)" if is_null else ""
    if mx.status != "nodata":
        return ""
    for kind in ("A", "AAAA"):
        if (await source.lookup(domain, kind, budget=budget)).status in ("ok", "temperror"):
            return ""
    return "has no mail server"
