"""Section `[filter]` of the configuration.

Numbers: sections 2 to 4 of the limits.
"""

from __future__ import annotations

import ipaddress
from typing import Literal

import msgspec

from mailstack.filters.block_lists import BlockList
from mailstack.model.address import AddressError, parse_domain
from mailstack.model.errors import ConfigError


class FilterOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[filter]`."""

    #: Name in Authentication-Results fields; empty: the server's host name.
    authserv_id: str = ""
    #: Probability of spam, 0 to 1, from which mail is filed as spam.
    spam_score: float = 0.9
    #: DMARC policy reject: "with-evidence" refuses only with a second reason, "always", "never".
    dmarc_on_reject: Literal["with-evidence", "always", "never"] = "with-evidence"
    #: Who may forward mail that fails DMARC then, by address or network, or a domain (and those below it)
    #: that SPF (MAIL FROM or HELO) or a DKIM signature proves; it is not filed or refused for that.
    trusted_forwarders: tuple[str, ...] = ()
    #: Domains (and those below them) whose ARC seals are believed when they say that DMARC was a pass.
    arc_sealers: tuple[str, ...] = ()
    #: By author domain (and those below it): the most that is done about a DMARC failure,
    #: such as {"example.org" = "none"}; "quarantine" files but never refuses.
    dmarc_exceptions: dict[str, Literal["none", "quarantine"]] = {}
    #: Write a Received-SPF field (RFC 7208) into stored copies too.
    received_spf: bool = False
    #: What to answer when no filter ran: "accept" marks and delivers, "tempfail" answers 451.
    on_unfiltered: Literal["accept", "tempfail"] = "accept"
    #: Seconds from the final dot to the verdict; after that the message is accepted unfiltered.
    budget_s: float = 10.0
    #: Worker processes.
    workers: int = 2
    #: CPU and wall seconds one step of one message may take before its worker is replaced.
    step_s: float = 8.0
    #: Address space of a worker, in octets.
    worker_memory_octets: int = 536_870_912
    #: Messages after which a worker is replaced by a fresh one.
    worker_messages: int = 1_000
    #: Resident memory after which a worker is replaced, in octets.
    worker_resident_octets: int = 314_572_800
    #: Messages that may wait for a worker or for DNS at one time; more are answered unfiltered.
    jobs: int = 1_000
    #: Copies of messages that killed a worker, kept for you ('mailstack filter aside'); 0: none.
    aside_messages: int = 100
    #: Octets all these copies may take together.
    aside_octets: int = 268_435_456
    #: Days they are kept.
    aside_days: int = 30
    #: File with the trained weights; empty: the prior that comes with mailstack.
    model_file: str = ""
    #: File that adds social, newsletter, mailing and work services to those the classes know; the form is
    #: told in mailstack/filters/classes/data/services.toml.
    services_file: str = ""
    #: File that adds companies whose names fraud borrows, with the domains that are theirs; the form is
    #: told in mailstack/filters/signs/data/brands.toml.
    brands_file: str = ""
    #: File that adds hosts under which anybody puts up pages, files and short links; the form is told in
    #: mailstack/filters/signs/data/hosts.toml.
    hosts_file: str = ""
    #: Score what reverse DNS and HELO tell about the client.
    client_facts: bool = True
    #: DNS block lists, `[[filter.block_list]]` with a zone each; ask only lists whose terms you keep.
    block_list: tuple[BlockList, ...] = ()
    #: What all block lists together may add to the score, in log-odds.
    block_lists_weight: float = 6.0
    #: Seconds to wait for block lists and reverse names; silence says nothing.
    client_facts_s: float = 2.5
    #: Providers so big that spam traps say nothing about their networks, by confirmed reverse name.
    big_providers: tuple[str, ...] = (
        "google.com",
        "outlook.com",
        "yahoo.com",
        "icloud.com",
        "apple.com",
        "amazonses.com",
        "sendgrid.net",
        "mailgun.net",
        "facebook.com",
        "gmx.net",
        "web.de",
        "ovh.net",
        "protonmail.ch",
        "zoho.com",
        "yandex.net",
        "mail.ru",
    )

    def __post_init__(self) -> None:
        for key in ("arc_sealers", "dmarc_exceptions"):
            for domain in getattr(self, key):
                _check_domain(key, domain)
        for one in self.trusted_forwarders:
            if as_network(one) is None:
                _check_domain("trusted_forwarders", one)
        if not 0.5 <= self.spam_score <= 1:
            raise ConfigError("filter.spam_score", "want 0.5 <= spam_score <= 1")
        if not 0 < self.step_s <= self.budget_s <= 60:
            raise ConfigError("filter.budget_s", "want 0 < step_s <= budget_s <= 60")
        if not 1 <= self.workers <= 64:
            raise ConfigError("filter.workers", "want 1 <= workers <= 64")
        if self.worker_memory_octets < 134_217_728:
            raise ConfigError("filter.worker_memory_octets", "a worker needs at least 134217728")
        if not 0 < self.client_facts_s <= 60:
            raise ConfigError("filter.client_facts_s", "want 0 < client_facts_s <= 60")
        if min(self.aside_messages, self.aside_octets, self.aside_days) < 0:
            raise ConfigError("filter.aside_messages", "aside_messages, _octets and _days are 0 or more")
        if self.worker_messages < 1 or self.worker_resident_octets < 1 or self.jobs < 1:
            raise ConfigError("filter", "worker_messages, worker_resident_octets and jobs must be positive")


def as_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """An address or network; None when it is neither."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def _check_domain(key: str, text: str) -> None:
    try:
        domain = parse_domain(text)
    except AddressError:
        domain = ""
    if not domain or domain != text or domain.startswith("["):
        raise ConfigError(f"filter.{key}", f"{text!r} is not a domain name in lower case ASCII")
