"""Which addresses belong to others on the Internet: what a stranger names may lead nowhere else (T86).

Standards: RFC 6890 and the registries it began; RFC 6052, 3056 and 4380 (IPv4 inside IPv6).
"""

from __future__ import annotations

import ipaddress
from typing import Final

#: Of what `ipaddress` calls global, or does not know: ways to an IPv4 address, and old networks of ours.
_NOT_PUBLIC: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/32",
        "fec0::/10",
        "::/96",
        "::ffff:0:0/96",
        "192.88.99.0/24",
    )
)


def is_public(ip: str) -> bool:
    """True for a unicast address of somebody else on the Internet."""
    address = ipaddress.ip_address(ip)
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return not any(address in net for net in _NOT_PUBLIC if net.version == address.version)
