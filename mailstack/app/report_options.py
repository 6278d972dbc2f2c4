"""Section `[reports]` of the configuration: reports to other domains about their mail and their TLS."""

from __future__ import annotations

import msgspec

from mailstack.model.address import Address, AddressError, parse_domain
from mailstack.model.errors import ConfigError


class ReportOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[reports]` of conf/mailstack.toml.

    Once a day, for the day before, by the queue daemon; only to domains that ask for it in the DNS.
    """

    #: Send DMARC aggregate reports: what we saw of mail that names a domain as its author.
    dmarc: bool = True
    #: Send TLS reports: how TLS went when we delivered to a domain.
    tls: bool = True
    #: Address reports come from; empty: postmaster@ the first domain here that has a DKIM key.
    sender: str = ""
    #: Name of who reports, in the reports; empty: the domain of the sender.
    organization: str = ""
    #: Domains that get no reports, with all below them.
    opt_out: tuple[str, ...] = ()
    #: Earliest minute of the day (UTC) at which yesterday's reports are sent.
    send_minute: int = 30
    #: Seconds over which a day's reports are spread, at most.
    spread_s: float = 14_400
    #: Reports a day, of each kind.
    per_day: int = 2_000
    #: Addresses one domain's report goes to.
    targets: int = 5
    #: TLS reports a day that go to one domain about others: it is not asked whether it wants them.
    per_stranger: int = 100
    #: Octets of a report's message; a longer one is not sent.
    max_octets: int = 10_485_760
    #: Domains counted a day for DMARC reports.
    domains: int = 10_000
    #: Rows of one domain's DMARC report.
    rows: int = 2_000
    #: Rows of all DMARC reports of one day.
    rows_per_day: int = 200_000
    #: Seconds between two times at which a worker writes down what it counted.
    flush_s: float = 5.0
    #: Seconds an HTTPS server may take for a TLS report.
    https_s: float = 30.0
    #: Send TLS reports to loopback and private addresses too; for tests and closed networks only.
    https_allow_private: bool = False
    #: Days a report that could not be sent is tried again.
    tries_days: int = 2
    #: Days what was counted and sent is kept.
    keep_days: int = 20

    def __post_init__(self) -> None:
        if self.sender:
            try:
                Address.parse(self.sender)
            except AddressError as error:
                raise ConfigError("reports.sender", f"{self.sender!r}: {error}") from None
        for name in self.opt_out:
            try:
                parse_domain(name)
            except AddressError as error:
                raise ConfigError("reports.opt_out", f"{name!r}: {error}") from None
        if not 0 <= self.send_minute < 1_440:
            raise ConfigError("reports.send_minute", "want 0 <= send_minute < 1440")
        if not 0 <= self.spread_s <= 43_200:
            raise ConfigError("reports.spread_s", "want 0 <= spread_s <= 43200")
        if not 0 < self.flush_s <= 60 or self.https_s <= 0:
            raise ConfigError("reports.flush_s", "want 0 < flush_s <= 60, and https_s above 0")
        if not 1 <= self.tries_days < self.keep_days:
            raise ConfigError("reports.tries_days", "want 1 <= tries_days < keep_days")
