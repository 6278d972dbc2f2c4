"""RCPT: whether a recipient is taken, and what routing has to know to say so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from mailstack.app.mail import Services
from mailstack.app.whereabouts import postmaster
from mailstack.mailbox.quota import UNLIMITED
from mailstack.model.address import Address
from mailstack.model.directory import Account
from mailstack.model.envelope import Client, Recipient
from mailstack.model.errors import TemporaryFailure
from mailstack.model.reply import Reply
from mailstack.net.resolver import Resolver
from mailstack.routing.expand import Expansion
from mailstack.routing.route import Expand, Facts, Local, Refuse, Remote, route

#: How long an answer "its MX points here" is believed, in seconds.
MX_HERE_S = 300.0

_log = logging.getLogger(__name__)


class Recipients:
    """Answers RCPT in one worker."""

    def __init__(self, services: Services, resolver: Resolver, *, now: Callable[[], float]) -> None:
        self._services = services
        self._resolver = resolver
        self._now = now
        self._mx_here: dict[str, tuple[float, bool]] = {}

    async def check(
        self, client: Client, account: Account | None, sender: Address | None, recipient: Address
    ) -> Reply:
        """Routes one recipient: 250 or why not."""
        try:
            facts = await self.facts(account, sender)
            found = route(recipient, self._services.directory, facts)
            match found:
                case Refuse():
                    return replace(found.reply, check=found.check)
                case Local():
                    return await self._check_quota(found.account) or _ok(recipient)
                case Remote():
                    return _ok(recipient)
                case Expand():
                    return self._check_alias(recipient, facts)
        except TemporaryFailure as error:
            _log.error("recipient check: %s", error.why)
            text = "Addresses cannot be checked at the moment; try again later"
            return Reply(451, error.status, text, "directory")

    async def facts(self, account: Account | None, sender: Address | None) -> Facts:
        """What routing needs to know beside the directory."""
        services = self._services
        config, directory = services.config, services.directory
        facts = Facts(
            sender=sender,
            now=self._now(),
            login=account,
            postmaster=postmaster(config, directory),
            srs_secrets=directory.srs_secrets(),
            srs_valid_days=config.srs.valid_days,
            long_sender=services.long_senders.find,
        )
        following = [domain.name for domain in directory.domains() if domain.inbound == "follow-mx"]
        if not following:
            return facts
        return replace(facts, mx_here={name: await self._is_mx_here(name) for name in following})

    def _check_alias(self, recipient: Address, facts: Facts) -> Reply:
        """Refuses an alias or group none of whose targets can be reached; never names them."""
        expansion = Expansion(self._services.directory, facts, self._services.config.routing)
        plan = expansion.add([Recipient(recipient, 1)])
        if plan.reached:
            return _ok(recipient)
        return Reply(550, "1.1", f"{recipient} leads to nobody any more", "nowhere")

    async def _check_quota(self, account: Account) -> Reply | None:
        store = self._services.store.of(account)
        if store.limits == UNLIMITED:
            return None
        loop = asyncio.get_running_loop()
        full_for_s = await loop.run_in_executor(self._services.disk, store.full_for_s)
        if full_for_s is None:
            return None
        days = self._services.config.mailbox.full_tempfail_days
        if full_for_s < days * 86_400:
            text = f"The mailbox of {account.address} is full; try again later"
            return Reply(452, "2.2", text, "mailbox_full")
        text = f"The mailbox of {account.address} has been full for {days} days"
        return Reply(550, "2.2", text, "mailbox_full")

    async def _is_mx_here(self, domain: str) -> bool:
        """True when the domain's MX names this host; without an answer what was true last, else True."""
        known = self._mx_here.get(domain)
        if known is not None and known[0] > self._now():
            return known[1]
        answer = await self._resolver.lookup(domain, "MX")
        if answer.status == "temperror":
            return known[1] if known is not None else True
        hosts = {str(record[1]) for record in answer.records if isinstance(record, tuple)}
        here = self._services.config.hostname in hosts
        self._mx_here[domain] = (self._now() + MX_HERE_S, here)
        return here


def _ok(recipient: Address) -> Reply:
    return Reply(250, "1.5", f"{recipient} ok")
