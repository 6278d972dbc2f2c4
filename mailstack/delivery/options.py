"""Section `[queue]` of the configuration: outbound mail, retries, reports.

Numbers: section 9 of the limits.

Standards: RFC 5321 sections 4.5.3.2 (timeouts) and 4.5.4.1 (retries).
Imports: model.  No I/O.
"""

from __future__ import annotations

import ipaddress
from functools import cached_property
from typing import Literal

import msgspec

from mailstack.model.address import AddressError, parse_domain
from mailstack.model.errors import ConfigError
from mailstack.smtp.options import Cap, cap

#: "none": never TLS; "opportunistic": when offered, else in clear; "require": TLS or not at all;
#: "verify": with a certificate of the host that is meant, or not at all.
TlsMode = Literal["none", "opportunistic", "require", "verify"]
#: "" in a route: as in the section.
RouteTls = Literal["", "none", "opportunistic", "require", "verify"]
IpVersion = Literal["both", "ipv4", "ipv6"]
RouteIpVersion = Literal["", "both", "ipv4", "ipv6"]
#: "lmtp": for what takes mail for mailboxes or lists of its own, such as Mailman.
Protocol = Literal["smtp", "lmtp"]
#: In front of a socket's path in `host`.
UNIX = "unix:"
#: There TLS comes before everything else (RFC 8314 section 7.3).
SUBMISSIONS_PORT = 465
EightBit = Literal["bounce", "send"]


class Route(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[queue.route]]`: where mail for a domain goes, and how."""

    #: Domain in the recipient address; "*" for every domain without a route of its own.
    domain: str
    #: Host name or IP address that takes the mail, whatever MX records say, or unix:/PATH of a
    #: socket; empty: the domain's MX hosts, with the settings that follow.
    host: str = ""
    #: TCP port; of MX hosts `queue.port` holds.
    port: int = 25
    #: "smtp", or "lmtp" for a mailing-list manager or another mail store.
    protocol: Protocol = "smtp"
    #: As `queue.tls`; empty: "verify" with a login, else what `queue.tls` says.
    tls: RouteTls = ""
    #: TLS from the first octet; on port 465 always.
    implicit_tls: bool = False
    #: Login at the host, only over TLS (SCRAM-SHA-256, PLAIN or LOGIN); empty: none.
    login: str = ""
    #: Password at the host.
    password: str = ""
    #: Our address for connections by IPv4; empty: as in the section.
    source_ipv4: str = ""
    #: Our address for connections by IPv6; empty: as in the section.
    source_ipv6: str = ""
    #: As `queue.ip_version`; empty: what that says.
    ip_version: RouteIpVersion = ""
    #: Our name in EHLO, such as the one that belongs to the address; empty: `server.hostname`.
    helo: str = ""

    def __post_init__(self) -> None:
        if self.domain != "*":
            _check_domain("queue.route.domain", self.domain)
        _check_host("queue.route.host", self.host)
        if self.host.startswith(UNIX) and not self.host.startswith(f"{UNIX}/"):
            raise ConfigError("queue.route.host", f"{self.host!r}: a socket's path begins with /")
        _check_port("queue.route.port", self.port)
        self._check_way()

    def _check_way(self) -> None:
        if not self.host and (self.login or self.implicit_tls or self.protocol == "lmtp"):
            raise ConfigError(
                "queue.route.host", "login, implicit_tls and lmtp are for a host, not for whatever DNS names"
            )
        _check_login("queue.route.", self.login, self.password, self.tls)
        if self.implicit_tls and self.tls in ("none", "opportunistic"):
            raise ConfigError("queue.route.tls", 'with implicit_tls want "require" or "verify"')
        _check_sources("queue.route.", self.source_ipv4, self.source_ipv6)
        if self.helo:
            _check_domain("queue.route.helo", self.helo)


class QueueOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """Section `[queue]` of conf/mailstack.toml."""

    #: Static routes, `[[queue.route]]` with domain, host, port, protocol, tls, implicit_tls, login,
    #: password, source_ipv4, source_ipv6, ip_version and helo each; all but domain may be left out.
    route: tuple[Route, ...] = ()
    #: Host that takes all mail without a route of its own; empty: the domains' MX hosts.
    relay_host: str = ""
    #: Port of the relay host.
    relay_port: int = 25
    #: Login at the relay host, only over TLS (SCRAM-SHA-256, PLAIN or LOGIN); empty: none.
    relay_login: str = ""
    #: Password at the relay host.
    relay_password: str = ""
    #: TLS towards the relay host, as `tls`; empty: "verify" with a login, else what `tls` says.
    relay_tls: RouteTls = ""
    #: Port of MX hosts.
    port: int = 25
    #: Deliver to MX hosts on loopback addresses; for tests and demonstrations only.
    allow_loopback: bool = False
    #: Deliver to MX hosts with private addresses (10.0.0.0/8 and the like), as on an intranet.
    allow_private: bool = False
    #: Addresses under which others reach us, where this machine itself does not have them (NAT).
    public_ips: tuple[str, ...] = ()
    #: Our address for connections by IPv4; empty: what the system chooses.
    source_ipv4: str = ""
    #: Our address for connections by IPv6; empty: what the system chooses.
    source_ipv6: str = ""
    #: Addresses of other servers that are used: "both", "ipv4" or "ipv6".
    ip_version: IpVersion = "both"
    #: TLS towards other servers: "none", "opportunistic", "require", or "verify" their certificates too.
    tls: TlsMode = "opportunistic"
    #: Certificates that are trusted where a server's must be verified; empty: the system's.
    ca_file: str = ""
    #: Others' 8-bit mail for a server without 8BITMIME: "bounce" (5.6.3) or "send" as it is.
    eight_bit: EightBit = "bounce"
    #: Seconds before the second attempt; doubles up to max_wait_s.
    first_wait_s: float = 300.0
    #: Longest time between two attempts, in seconds.
    max_wait_s: float = 4_000.0
    #: Every wait is longer or shorter by up to this share, in percent.
    jitter_percent: int = 10
    #: Seconds after which mail is given up and its sender told.
    give_up_after_s: float = 432_000.0
    #: Seconds after which our own reports and automatic replies are given up.
    bounce_give_up_after_s: float = 172_800.0
    #: Seconds after which a local sender is told once that mail is late.
    delay_notice_after_s: float = 14_400.0
    #: Processes that deliver; they share the limits that follow.
    processes: int = 1
    #: Deliveries at the same time, in all.
    max_deliveries: int = 100
    #: Connections to one destination at the start.
    start_concurrency: int = 2
    #: Most connections to one destination; reached step by step while it answers well.
    max_concurrency: int = 10
    #: Recipients in one transaction.
    max_recipients: int = 50
    #: Recipients from which a message is bulk, and goes after what people write.
    bulk_recipients: int = 50
    #: Addresses of a destination that are tried in one attempt.
    max_addresses: int = 5
    #: Hosts of a destination that are talked to in one attempt.
    max_sessions: int = 2
    #: Seconds an address that gave no connection is tried after all others.
    unreachable_s: float = 300.0
    #: Messages sent over one connection.
    messages_per_session: int = 20
    #: Seconds an idle connection is kept for the next message.
    session_idle_s: float = 60.0
    #: Seconds to wait for a connection.
    connect_timeout_s: float = 30.0
    #: Seconds to wait for greeting and for the answers to EHLO, MAIL and RCPT.
    command_timeout_s: float = 300.0
    #: Seconds to wait for the answer to DATA.
    data_timeout_s: float = 120.0
    #: Seconds for one block of the message to leave.
    block_timeout_s: float = 180.0
    #: Seconds to wait for the answer to the final dot.
    end_timeout_s: float = 600.0
    #: Seconds to wait for the answer to QUIT.
    quit_timeout_s: float = 10.0
    #: Seconds a queue entry belongs to the process that claimed it; renewed while it works.
    lease_s: float = 900.0
    #: Messages in the queue; above it submission gets 452.
    max_messages: int = 20_000
    #: Share of its disk the queue may take up, in percent; above it as with max_messages.
    max_disk_percent: int = 20
    #: Messages of one account in a full queue; above it this account gets 452.
    max_messages_per_account: int = 500
    #: Largest message a report returns whole, in octets; of larger ones the header only.
    dsn_full_octets: int = 50_000
    #: Reports about mail that was redirected, an hour to each sender elsewhere, in each process; what
    #: fails beyond them stays in the mailbox that redirects it. "off": any number.
    forward_reports_per_hour: Cap = 20
    #: Seconds between two letters to the postmaster that list reports nobody could be given.
    undelivered_every_s: float = 86_400.0
    #: Reports such a letter lists; the rest it counts.
    undelivered_listed: int = 100

    @cached_property
    def routes(self) -> dict[str, Route]:
        """By domain, in lower case."""
        return {route.domain.lower(): route for route in self.route}

    def _check_routes(self) -> None:
        if len(self.routes) < len(self.route):
            names = [route.domain.lower() for route in self.route]
            twice = next(name for name in names if names.count(name) > 1)
            raise ConfigError("queue.route.domain", f"{twice!r} has two routes; one would never count")

    def __post_init__(self) -> None:
        _check_host("queue.relay_host", self.relay_host)
        self._check_routes()
        for key in ("relay_port", "port"):
            _check_port(f"queue.{key}", getattr(self, key))
        if not 0 < self.first_wait_s <= self.max_wait_s <= self.give_up_after_s:
            raise ConfigError("queue.first_wait_s", "want 0 < first_wait_s <= max_wait_s <= give_up_after_s")
        if not 0 <= self.jitter_percent <= 50:
            raise ConfigError("queue.jitter_percent", "want 0 to 50")
        if not 1 <= self.start_concurrency <= self.max_concurrency <= self.max_deliveries:
            raise ConfigError(
                "queue.start_concurrency", "want 1 <= start_concurrency <= max_concurrency <= max_deliveries"
            )
        if not 1 <= self.max_disk_percent <= 100:
            raise ConfigError("queue.max_disk_percent", "want 1 to 100")
        for key in _AT_LEAST_ONE:
            if getattr(self, key) < 1:
                raise ConfigError(f"queue.{key}", "want 1 or more")
        for key in _ABOVE_ZERO:
            if getattr(self, key) <= 0:
                raise ConfigError(f"queue.{key}", "want more than 0")
        if (cap(self.forward_reports_per_hour) or 0) < 0:
            raise ConfigError("queue.forward_reports_per_hour", 'may not be negative, but "off"')
        for key in _NOT_NEGATIVE:
            if getattr(self, key) < 0:
                raise ConfigError(f"queue.{key}", "may not be negative")
        _check_login("queue.relay_", self.relay_login, self.relay_password, self.relay_tls)
        _check_sources("queue.", self.source_ipv4, self.source_ipv6)
        for ip in self.public_ips:
            _check_ip("queue.public_ips", ip)


_AT_LEAST_ONE = (
    "processes",
    "max_recipients",
    "bulk_recipients",
    "max_addresses",
    "max_sessions",
    "messages_per_session",
    "lease_s",
)
_ABOVE_ZERO = (
    "connect_timeout_s",
    "command_timeout_s",
    "data_timeout_s",
    "block_timeout_s",
    "end_timeout_s",
    "quit_timeout_s",
)
_NOT_NEGATIVE = (
    "bounce_give_up_after_s",
    "delay_notice_after_s",
    "session_idle_s",
    "unreachable_s",
    "max_messages",
    "max_messages_per_account",
    "dsn_full_octets",
    "undelivered_every_s",
    "undelivered_listed",
)


def _check_port(key: str, port: int) -> None:
    if not 0 < port < 65_536:
        raise ConfigError(key, f"{port} is not a TCP port")


def _check_host(key: str, host: str) -> None:
    """A host name or an IP address, without brackets and port as other programs write them."""
    if any(c <= " " for c in host) or ("/" in host and not host.startswith(UNIX)):
        raise ConfigError(key, f"{host!r} is not a host name or IP address")
    if not host.startswith(UNIX) and (host[:1] == "[" or host.count(":") == 1):
        port = key.removesuffix("host") + "port"
        raise ConfigError(key, f"{host!r}: want the name or IP address alone; the port goes into {port}")


def _check_domain(key: str, domain: str) -> None:
    try:
        parse_domain(domain)
    except AddressError:
        hint = '; a route for each subdomain, or one for all others with "*"' if domain[:2] == "*." else ""
        raise ConfigError(key, f"{domain!r} is not a domain name{hint}") from None


def _check_login(prefix: str, login: str, password: str, tls: RouteTls) -> None:
    if bool(login) != bool(password):
        raise ConfigError(f"{prefix}login", f"want both {prefix}login and {prefix}password, or neither")
    if "\0" in login + password:
        raise ConfigError(f"{prefix}login", "may hold no NUL")
    if login and tls in ("none", "opportunistic"):
        raise ConfigError(f"{prefix}tls", 'with a login want "require" or "verify"')


def _check_sources(prefix: str, ipv4: str, ipv6: str) -> None:
    for key, ip, version in (("source_ipv4", ipv4, 4), ("source_ipv6", ipv6, 6)):
        if ip and _check_ip(f"{prefix}{key}", ip) != version:
            raise ConfigError(f"{prefix}{key}", f"{ip!r} is not an IPv{version} address")


def _check_ip(key: str, ip: str) -> int:
    try:
        return ipaddress.ip_address(ip).version
    except ValueError:
        raise ConfigError(key, f"{ip!r} is not an IP address") from None
