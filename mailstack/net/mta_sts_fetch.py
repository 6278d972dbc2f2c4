"""MTA-STS policies: looked up, fetched, kept, fetched again; what cannot be had changes nothing (L16).

    TXT record ─► same id as the policy we have ─► that policy, fetched again now and then
               ─► another id, or none kept      ─► HTTPS ─► new policy, else the one we have until it ends
               ─► no record                     ─► the policy we have until it ends

Standards: RFC 8461 sections 3.1, 3.3, 5 and 10.2; RFC 8460 section 4.3 (what is reported).
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from mailstack.delivery import mta_sts
from mailstack.delivery.mta_sts import BadPolicy, Policy
from mailstack.delivery.security_options import OutboundTlsOptions
from mailstack.model.errors import TemporaryFailure
from mailstack.net.https import HttpsFailed, Limits, request, trusting
from mailstack.net.resolver import DnsSource
from mailstack.state.sts_policies import KeptPolicy, StsPolicies
from mailstack.state.tls_facts import TlsFact, TlsPolicy, TlsResult

PATH = "/.well-known/mta-sts.txt"
#: Domains whose policy, or lack of one, is at hand without asking state.db.
MAX_AT_HAND = 2_000
#: So long state.db is not asked for it, nor told that it is of use: seconds.
AT_HAND_S = 43_200.0
#: Policies that are fetched again in one round, before they end.
MAX_ROUND = 100

K = TypeVar("K")

_log = logging.getLogger(__name__)


class NoPolicy(Exception):
    """It could not be had.

    Attributes:
        result: RFC 8460's word for it.
        why: for people.
    """

    def __init__(self, result: TlsResult, why: str) -> None:
        super().__init__(why)
        self.result = result
        self.why = why


@dataclass(frozen=True, slots=True)
class _Held:
    """A policy at hand, with what it is made of; since `at` (Unix seconds)."""

    kept: KeptPolicy
    policy: Policy
    at: float


class StsSource:
    """The policies of other domains.  Belongs to one event loop."""

    def __init__(
        self,
        options: OutboundTlsOptions,
        *,
        dns: DnsSource,
        table: StsPolicies,
        now: Callable[[], float],
        note: Callable[[TlsFact], None],
        ca_file: str = "",
    ) -> None:
        """Nothing happens before `policy`.

        Args:
            now: Unix seconds.
            note: takes what a report says about policies that could not be had.
            ca_file: whom to trust; "": whom the system does.
        """
        self._options = options
        self._dns = dns
        self._table = table
        self._now = now
        self._note = note
        self._ca_file = ca_file
        self._at_hand: OrderedDict[str, _Held] = OrderedDict()
        self._absent: OrderedDict[str, float] = OrderedDict()
        self._failed: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._flights: dict[str, asyncio.Task[_Held | None]] = {}

    async def close(self) -> None:
        """Ends what is under way."""
        tasks = list(self._flights.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def policy(self, domain: str) -> Policy | None:
        """The policy that holds for a domain now; None for none.

        Args:
            domain: of the recipients; lower case A-labels.
        """
        answer = await self._dns.lookup(mta_sts.name_of(domain), "TXT")
        wanted = mta_sts.policy_id(answer.records)
        held = await self._held(domain)
        if not wanted:
            return held.policy if held is not None else None
        if held is not None and held.kept.policy_id == wanted:
            if self._now() - held.kept.fetched_at > self._options.mta_sts_refresh_s:
                self._begin(domain, wanted)
            return held.policy
        fetched = await self._fetched(domain, wanted)
        found = fetched if fetched is not None else held
        return found.policy if found is not None else None

    async def refresh(self) -> int:
        """Fetches those again that were fetched long ago; gives how many came.

        Raises:
            TemporaryFailure: state.db is in trouble.

        Source: RFC 8461 section 10.2: who waits for the next message gives an attacker time.
        """
        now, day_s = self._now(), 86_400.0
        await asyncio.to_thread(self._table.forget, now=now)
        stale = await asyncio.to_thread(
            lambda: self._table.stale(
                fetched_before=now - self._options.mta_sts_refresh_s,
                used_after=now - self._options.mta_sts_unused_days * day_s,
                now=now,
                most=MAX_ROUND,
            )
        )
        came = 0
        for kept in stale:
            answer = await self._dns.lookup(mta_sts.name_of(kept.domain), "TXT")
            wanted = mta_sts.policy_id(answer.records)
            if wanted and await self._fetched(kept.domain, wanted) is not None:
                came += 1
        return came

    async def fetch(self, domain: str) -> Policy:
        """Fetches a domain's policy now, whatever is kept; keeps nothing.

        Raises:
            NoPolicy: it cannot be had.
        """
        return mta_sts.parse(await self._text(domain))

    # -- inside -------------------------------------------------------------------------

    async def _held(self, domain: str) -> _Held | None:
        """What was fetched before and has not ended."""
        held, now = self._at_hand.get(domain), self._now()
        held = held if held is not None and held.kept.expires_at > now else None
        if held is not None and 0 <= now - held.at < AT_HAND_S:
            return held
        if held is None and self._is_recent(self._absent, domain):
            return None
        try:
            kept = await asyncio.to_thread(self._table.find, domain, now=now)
            if kept is not None:
                return self._keep_at_hand(_Held(kept, mta_sts.parse(kept.text.encode()), now))
            if held is None:
                self._remember(self._absent, domain)
        except TemporaryFailure as error:
            _log.error("the MTA-STS policy of %s is not looked up: %s", domain, error.why)
        except BadPolicy as error:
            _log.error("the MTA-STS policy kept for %s is none: %s", domain, error)
        return held

    def _keep_at_hand(self, held: _Held) -> _Held:
        self._at_hand[held.kept.domain] = held
        self._at_hand.move_to_end(held.kept.domain)
        while len(self._at_hand) > MAX_AT_HAND:
            self._at_hand.popitem(last=False)
        return held

    def _begin(self, domain: str, wanted: str) -> asyncio.Task[_Held | None] | None:
        """A fetch, unless one failed a moment ago; many who want it share it."""
        flight = self._flights.get(domain)
        if flight is not None:
            return flight
        # RFC 8461 section 3.3: no more than once in five minutes for one id.
        if self._is_recent(self._failed, (domain, wanted)):
            return None
        flight = asyncio.get_running_loop().create_task(self._fly(domain, wanted))
        self._flights[domain] = flight
        return flight

    async def _fetched(self, domain: str, wanted: str) -> _Held | None:
        flight = self._begin(domain, wanted)
        return await asyncio.shield(flight) if flight is not None else None

    async def _fly(self, domain: str, wanted: str) -> _Held | None:
        try:
            text = await self._text(domain)
            policy = mta_sts.parse(text)
        except (NoPolicy, BadPolicy) as error:
            result = error.result if isinstance(error, NoPolicy) else "sts-policy-invalid"
            self._remember(self._failed, (domain, wanted))
            _log.warning("no MTA-STS policy of %s: %s", domain, error)
            self._note(TlsFact(TlsPolicy(domain, "sts"), result, reason=str(error)))
            return None
        finally:
            del self._flights[domain]
        now = self._now()
        # One that ends at once would be fetched for every message.
        until = now + max(policy.max_age_s, self._options.mta_sts_retry_s)
        kept = KeptPolicy(domain, wanted, text.decode(), now, until)
        try:
            await asyncio.to_thread(self._table.keep, kept, most=self._options.mta_sts_max_policies)
        except TemporaryFailure as error:
            _log.error("the MTA-STS policy of %s is not kept: %s", domain, error.why)
        return self._keep_at_hand(_Held(kept, policy, now))

    def _remember(self, memory: OrderedDict[K, float], key: K) -> None:
        memory[key] = asyncio.get_running_loop().time()
        memory.move_to_end(key)
        while len(memory) > MAX_AT_HAND:
            memory.popitem(last=False)

    def _is_recent(self, memory: OrderedDict[K, float], key: K) -> bool:
        clock = asyncio.get_running_loop().time()
        return memory.get(key, float("-inf")) + self._options.mta_sts_retry_s > clock

    async def _text(self, domain: str) -> bytes:
        options = self._options
        limits = Limits(options.mta_sts_timeout_s, options.mta_sts_max_octets, options.mta_sts_allow_private)
        try:
            response = await request(
                mta_sts.host_of(domain),
                PATH,
                dns=self._dns,
                context=trusting(self._ca_file),
                limits=limits,
                port=options.mta_sts_port,
            )
        except HttpsFailed as error:
            raise NoPolicy(_result_of(error), error.why) from None
        except OSError as error:
            raise NoPolicy("sts-policy-fetch-error", f"queue.ca_file cannot be used: {error}") from None
        if response.status != 200:
            # RFC 8461 section 3.3: a redirection is not followed.
            why = f"{mta_sts.host_of(domain)} answers {response.status} instead of 200"
            raise NoPolicy("sts-policy-fetch-error", why)
        if response.kind != "text/plain":
            why = f"the policy comes as {response.kind[:40] or 'nothing'!r} instead of text/plain"
            raise NoPolicy("sts-policy-invalid", why)
        return response.body


def _result_of(error: HttpsFailed) -> TlsResult:
    if error.is_certificate:
        return "sts-webpki-invalid"
    return "sts-policy-invalid" if error.is_answer else "sts-policy-fetch-error"
