"""Section `[outbound_tls]` of the configuration: what other domains ask of TLS towards them.

Standards: RFC 7672 (DANE), RFC 8461 (MTA-STS), RFC 8460 (TLSRPT).
Imports: model.  No I/O.
"""

from __future__ import annotations

import msgspec

from mailstack.model.errors import ConfigError


class OutboundTlsOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[outbound_tls]`; holds for mail to MX hosts, not for routes and relay hosts."""

    #: Heed TLSA records; needs a resolver that validates (see `dns.trusted`).
    dane: bool = True
    #: Heed MTA-STS policies.
    mta_sts: bool = True
    #: TCP port of the servers that publish policies.
    mta_sts_port: int = 443
    #: Fetch policies from loopback and private addresses too; for tests and closed networks only.
    mta_sts_allow_private: bool = False
    #: Seconds a policy may take to arrive, in all.
    mta_sts_timeout_s: float = 60.0
    #: Octets of a policy.
    mta_sts_max_octets: int = 65_536
    #: Seconds after which a policy is fetched again although its id is the same.
    mta_sts_refresh_s: float = 86_400.0
    #: Seconds before a policy that could not be had is asked for again.
    mta_sts_retry_s: float = 300.0
    #: Policies that are kept; of more, those that were not used for longest go.
    mta_sts_max_policies: int = 10_000
    #: Days without mail after which a policy is no longer fetched again before it ends.
    mta_sts_unused_days: int = 30
    #: Days a domain must have shown a level of TLS before falling below it is told; 0: never told.
    ratchet_days: int = 30
    #: Sessions in which it must have shown it.
    ratchet_sessions: int = 3
    #: Days without mail after which a domain's levels are forgotten.
    ratchet_keep_days: int = 180
    #: Days results of TLS are kept for reports.
    facts_keep_days: int = 7

    def __post_init__(self) -> None:
        if not 0 < self.mta_sts_port < 65_536:
            raise ConfigError("outbound_tls.mta_sts_port", f"{self.mta_sts_port} is not a TCP port")
        for key in ("mta_sts_timeout_s", "mta_sts_refresh_s", "mta_sts_retry_s"):
            if getattr(self, key) <= 0:
                raise ConfigError(f"outbound_tls.{key}", "want more than 0")
        for key in (
            "mta_sts_max_octets",
            "mta_sts_max_policies",
            "mta_sts_unused_days",
            "ratchet_sessions",
            "ratchet_keep_days",
            "facts_keep_days",
        ):
            if getattr(self, key) < 1:
                raise ConfigError(f"outbound_tls.{key}", "want 1 or more")
        if self.ratchet_days < 0:
            raise ConfigError("outbound_tls.ratchet_days", "may not be negative")
        if self.ratchet_keep_days < self.ratchet_days:
            raise ConfigError("outbound_tls.ratchet_keep_days", "want at least ratchet_days")
