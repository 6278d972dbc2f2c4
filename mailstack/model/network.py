"""IP addresses as keys: unmapped, and cut to the network a limit counts.

Limits count a network, not an address: one IPv6 host owns a whole /64.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

#: Addresses whose answer is remembered.
_KNOWN: Final = 4096


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


class Networks:
    """A list of networks: `"192.0.2.1" in Networks(("192.0.2.0/24",))`."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Takes addresses and networks such as "192.0.2.0/24"; ValueError names what is neither."""
        self._networks = [_parse(text) for text in texts]
        self._known: dict[str, bool] = {}

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, ip: object) -> bool:
        if not self._networks or not isinstance(ip, str):
            return False
        known = self._known.get(ip)
        if known is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            known = self._known[ip] = self._holds(ip)
        return known

    def _holds(self, ip: str) -> bool:
        try:
            address = ipaddress.ip_address(ip)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def _parse(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address or network") from None


#: Loopback, private and link-local addresses: nobody keeps a reputation of them.
_INSIDE = Networks(
    ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
     "0.0.0.0/8", "::/127", "fc00::/7", "fe80::/10")
)  # fmt: skip


@lru_cache(maxsize=_KNOWN)
def is_outside(ip: str) -> bool:
    """True for an address of the Internet; False for those of this machine and its own network."""
    try:
        ipaddress.ip_address(ip)
    except ValueError:
        return False
    return ip not in _INSIDE
