"""ARC seals for what is sent on, when `[forwarding] arc` asks for them.

The chain a message came with is verified first, by look-ups in DNS; only what arrived from
outside, and what the filter has looked at, is sealed.
"""

from __future__ import annotations

import logging
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from mailstack.app import trace
from mailstack.filters.authentication.arc_chain import Chain, ChainVerifier
from mailstack.filters.authentication.arc_seal import seal
from mailstack.filters.authentication.rsa_adapter import BadKey
from mailstack.filters.fields import Header
from mailstack.model.errors import TemporaryFailure
from mailstack.net.resolver import DnsSource, run_in_threads

if TYPE_CHECKING:
    from mailstack.app.mail import Mail, Services
    from mailstack.model.envelope import Body

_log = logging.getLogger(__name__)


def is_sealed(services: Services, mail: Mail) -> bool:
    """True when what is sent on of this message gets a seal."""
    return services.config.forwarding.arc and mail.account is None and mail.answer.results_header != ""


async def find_chain(body: Body, *, resolver: DnsSource, threads: Executor, now: float) -> Chain | None:
    """The chain a message came with, verified; None when that cannot be done.  Never raises."""
    try:
        with trace.opened(body) as message:
            verifier = ChainVerifier(message, Header(message), now=now)
            return await run_in_threads(verifier.verify, resolver, threads, budget=resolver.new_budget())
    except Exception:
        # P10: fields that our reader fails on must not keep the message from being taken.
        _log.exception("sent on without a seal: its chain cannot be verified")
        return None


def lines(services: Services, mail: Mail, domain: str) -> bytes:
    """The seal of a domain of ours, as header lines; b"" for none.  Blocking."""
    if mail.chain is None:
        return b""
    try:
        key = next((k for k in services.directory.dkim_keys(domain) if k.algorithm == "rsa-sha256"), None)
        if key is None:
            return b""
        now = int(mail.envelope.received_at)
        with trace.opened(mail.body) as message:
            return seal(message, mail.chain, key, results=mail.answer.results_header, now=now)
    except (BadKey, TemporaryFailure) as error:
        # A seal is a help, not a must.
        _log.error("%s is sent on without a seal: %s", mail.envelope.accept_id, error)
        return b""
