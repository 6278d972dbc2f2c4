"""IP addresses as keys: unmapped, and cut to the network a limit counts.

Limits count a network, not an address: one IPv6 host owns a whole /64.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache


def unmap(ip: str) -> str:
    """The address as people write it: `::ffff:192.0.2.1` becomes `192.0.2.1`, no zone id.

    Text that is no address comes back as it is (Unix sockets have none).
    """
    if ":" not in ip:
        return ip
    try:
        address = ipaddress.IPv6Address(ip.partition("%")[0])
    except ValueError:
        return ip
    return str(address.ipv4_mapped or address)


@lru_cache(maxsize=16384)
def network_of(ip: str, v4_bits: int, v6_bits: int) -> str:
    """The network an unmapped address belongs to, e.g. `192.0.2.0/24`.

    Text that is no address is its own network.
    """
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ip
    bits = v4_bits if address.version == 4 else v6_bits
    return str(ipaddress.ip_network((address, bits), strict=False))
