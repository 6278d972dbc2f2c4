"""Section `[proxy]`: load balancers in front of us that say who the client is."""

from __future__ import annotations

import ipaddress
from typing import Literal

import msgspec

from mailstack.model.errors import ConfigError

Listener = Literal[
    "mx",
    "submission",
    "submissions",
    "submission_legacy",
    "submissions_legacy",
    "lmtp",
    "imap",
    "imaps",
    "pop3",
    "pop3s",
    "sieve",
]


class ProxyOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[proxy]` of conf/mailstack.toml.

    Whoever is listed must begin every connection with a PROXY header (version 1 or 2); what it
    says is believed, and limits, filter and log see the client it names.  From anybody else
    the header is an unknown command.
    """

    #: Addresses or networks of the proxies (HAProxy, nginx, stunnel ...).  Empty: there are none.
    networks: tuple[str, ...] = ()
    #: Ports, by their names in `[listen]`, that proxies forward to; on others they are clients like any.
    listeners: tuple[Listener, ...] = (
        "mx",
        "submission",
        "submissions",
        "imap",
        "imaps",
        "pop3",
        "pop3s",
        "sieve",
    )
    #: Seconds a proxy has to send its header.
    header_wait_s: float = 5
    #: Longest header in octets; version 2 may carry 65551, and none needs that many.
    header_octets: int = 4096

    def __post_init__(self) -> None:
        """Refuses what is no network."""
        for network in self.networks:
            try:
                if ipaddress.ip_network(network, strict=False).prefixlen == 0:
                    raise ValueError("everybody could say to be anybody")
            except ValueError as error:
                raise ConfigError(
                    "proxy.networks", f"{network!r} is no address or network: {error}"
                ) from None
        if not 107 <= self.header_octets <= 65_551:
            raise ConfigError("proxy.header_octets", "want 107 <= header_octets <= 65551")
