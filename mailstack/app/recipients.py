"""RCPT: whether a recipient is taken, and what routing has to know to say so."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from mailstack.app import devices
from mailstack.app.hourly import Hourly
from mailstack.app.mail import Services
from mailstack.app.reputation import Reputation
from mailstack.app.whereabouts import postmaster
from mailstack.mailbox.quota import UNLIMITED
from mailstack.model.address import Address
from mailstack.model.directory import ALWAYS_REACHED, Account
from mailstack.model.envelope import Client, Recipient
from mailstack.model.errors import TemporaryFailure
from mailstack.model.reply import Reply
from mailstack.net.resolver import Resolver
from mailstack.routing.expand import Expansion
from mailstack.routing.route import Expand, Facts, Local, Refuse, Remote, route
from mailstack.smtp.options import cap
from mailstack.srs.rewrite import identity

#: How long an answer "its MX points here" is believed, in seconds.
MX_HERE_S = 300.0

#: Words of refusals that tell a client it guessed wrong.
_NOBODY = ("unknown_user", "gone", "expired", "nowhere", "relay_form")

_log = logging.getLogger(__name__)


class Recipients:
    """Answers RCPT in one worker."""

    def __init__(
        self, services: Services, resolver: Resolver, *, reputation: Reputation, now: Callable[[], float]
    ) -> None:
        self._services = services
        self._resolver = resolver
        self._reputation = reputation
        self._now = now
        self._bounces = Hourly(cap(services.config.mx.srs_bounces_per_hour))
        self._mx_here: dict[str, tuple[float, bool]] = {}

    async def check(
        self, client: Client, account: Account | None, sender: Address | None, recipient: Address
    ) -> Reply:
        """Routes one recipient: 250 or why not."""
        if account is not None and client.by_address:
            refusal = devices.check_recipient(self._services.directory, client, account, recipient)
            if refusal is not None:
                return refusal
        if account is not None or client.listener != "mx":
            reply = await self._route(account, sender, recipient)
            if client.listener == "lmtp" and reply.check == "relay":
                text = (
                    f"Mail for {recipient.domain} is not handled here; LMTP brings mail for our domains only"
                )
                return replace(reply, text=text)
            return reply
        reputation = self._reputation
        if reputation.is_guessing(client.ip) and recipient.local.lower() not in ALWAYS_REACHED:
            # The same for names that exist, so that nothing is to be learned any more; and the end, or
            # one session could write a line a guess into the log.
            return Reply(421, "7.1", "Too many unknown recipients from your address; try later", "guessing")
        reply = await self._route(account, sender, recipient)
        if reply.is_ok or reply.check in _NOBODY:
            reputation.recipient(client.ip, is_known=reply.is_ok)
        return reply

    async def _route(self, account: Account | None, sender: Address | None, recipient: Address) -> Reply:
        try:
            facts = await self.facts(account, sender)
            found = route(recipient, self._services.directory, facts)
            match found:
                case Refuse():
                    return replace(found.reply, check=found.check)
                case Local():
                    if devices.is_patient(account):
                        return _ok(recipient)  # a full mailbox is tried again by our queue
                    return await self._check_quota(found.account) or _ok(recipient)
                case Remote():
                    return self._check_bounce(found, recipient) or _ok(recipient)
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
        # Every domain is looked at for these: once per change, not once per RCPT.
        where, following = directory.derived(("routing",), self._standing)
        facts = Facts(
            sender=sender,
            now=self._now(),
            login=account,
            postmaster=where,
            srs_secrets=directory.srs_secrets(),
            srs_valid_days=config.srs.valid_days,
            long_sender=services.long_senders.find,
            standing=services.forwards.standing,
        )
        if not following:
            return facts
        return replace(facts, mx_here={name: await self._is_mx_here(name) for name in following})

    def _standing(self) -> tuple[Address | None, list[str]]:
        """The postmaster, and the domains whose MX decides whether they are here."""
        directory = self._services.directory
        following = [domain.name for domain in directory.domains() if domain.inbound == "follow-mx"]
        return postmaster(self._services.config, directory), following

    def _check_alias(self, recipient: Address, facts: Facts) -> Reply:
        """Refuses an alias or group none of whose targets can be reached; never names them."""
        expansion = Expansion(self._services.directory, facts, self._services.config.routing)
        plan = expansion.add([Recipient(recipient, 1)])
        if plan.reached:
            return _ok(recipient)
        if plan.held_back:
            # Put off, as long as one of several targets is only paused.
            return min((held.reply for held in plan.held_back), key=lambda reply: reply.code)
        return Reply(550, "1.1", f"{recipient} leads to nobody any more", "nowhere")

    def _check_bounce(self, found: Remote, recipient: Address) -> Reply | None:
        """A rewritten sender that is replayed without end (S32)."""
        if found.kind != "srs-bounce" or self._bounces.may(identity(recipient), self._now()):
            return None
        return Reply(450, "7.1", "Too many bounces to this address; try again later", "srs_rate")

    async def _check_quota(self, account: Account) -> Reply | None:
        store = self._services.store.of(account)
        if store.limits == UNLIMITED:
            return None
        full_for_s = await self._services.disk.run(store.full_for_s)
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
