"""Section `[dns]` of the configuration: whom we ask, how long, and what is kept.

Numbers: section 4 of the limits (2 tries of 3 s, 64 questions and 20 s per message,
10,000 names, 30 s to 1 h, negative answers at most 5 min).
"""

from __future__ import annotations

import ipaddress

import msgspec

from mailstack.model.errors import ConfigError

DEFAULT_PORT = 53


class DnsOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[dns]`."""

    #: Resolvers, "address", "address:port" or "[v6address]:port"; empty: those of /etc/resolv.conf.
    servers: tuple[str, ...] = ()
    #: Of `servers` outside this machine, those whose word that an answer is authentic (DNSSEC, the AD bit)
    #: is believed; only over a network nobody else can write to. One on loopback is always believed.
    trusted: tuple[str, ...] = ()
    #: Seconds to wait for one answer.
    try_s: float = 3.0
    #: Tries per question, over the servers in turn.
    tries: int = 2
    #: Names kept in the cache of a process.
    cache_names: int = 10_000
    #: Octets of answers kept in the cache of a process.
    cache_octets: int = 16_777_216
    #: Shortest time an answer is kept, in seconds.
    min_ttl_s: int = 30
    #: Longest time an answer is kept, in seconds.
    max_ttl_s: int = 3_600
    #: Longest time a "does not exist" is kept, in seconds.
    negative_ttl_s: int = 300
    #: DNS questions one message may cause, for all checks together.
    message_questions: int = 64
    #: Seconds all look-ups of one message may take together.
    message_s: float = 20.0
    #: Seconds look-ups fail at once after nobody answered.
    down_s: float = 30.0

    def __post_init__(self) -> None:
        known = {parse_server(server) for server in self.servers}
        for server in self.trusted:
            if parse_server(server, "dns.trusted") not in known:
                raise ConfigError("dns.trusted", f"{server!r} is none of dns.servers")
        if not 0 < self.try_s <= 30 or not 1 <= self.tries <= 5:
            raise ConfigError("dns.try_s", "want 0 < try_s <= 30 and 1 <= tries <= 5")
        if not 0 <= self.min_ttl_s <= self.max_ttl_s:
            raise ConfigError("dns.min_ttl_s", "want 0 <= min_ttl_s <= max_ttl_s")
        for key in (
            "cache_names",
            "cache_octets",
            "message_questions",
            "message_s",
            "negative_ttl_s",
            "down_s",
        ):
            if getattr(self, key) < 0:
                raise ConfigError(f"dns.{key}", "may not be negative")


def parse_server(text: str, key: str = "dns.servers") -> tuple[str, int]:
    """Address and port of a configured resolver; `key`: where it was configured.

    Raises:
        ConfigError: not an IP address with an optional port.
    """
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else rest
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        address = str(ipaddress.ip_address(host))
        number = int(port) if port else DEFAULT_PORT
    except ValueError:
        raise ConfigError(key, f"{text!r} is not an IP address with an optional port") from None
    if not 0 < number < 65_536:
        raise ConfigError(key, f"{text!r} has no valid port")
    return address, number
