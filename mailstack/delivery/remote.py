"""Which hosts take the mail of a domain, in which order.

A route's host, else the relay host, else the domain's MX hosts, else the domain itself.
A plain function over DNS answers: what is not known yet is recorded in the `Lookup`.

Standards: RFC 5321 section 5.1 (MX, loops), RFC 7505 (null MX).
Imports: model.  No I/O.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from mailstack.delivery.options import UNIX, Protocol, QueueOptions, Route
from mailstack.delivery.ways import Way, route_of, way_of
from mailstack.model.dns import Lookup
from mailstack.model.reply import Reply

#: More MX hosts of a domain are not even looked up (D14).
MAX_MX_HOSTS = 10
#: More addresses of one host are not considered.
MAX_HOST_ADDRESSES = 10
_KINDS = {"both": ("AAAA", "A"), "ipv6": ("AAAA",), "ipv4": ("A",)}
#: Not reached from the Internet (RFC 1918, 6598, 4193, 3879): who names one means our own network.
_PRIVATE = tuple(
    ipaddress.ip_network(net)
    for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10")
)
#: IPv6 addresses that lead to an IPv4 one (RFC 6052, 3056): where its 32 bits begin, from the right.
_LEADING = ((ipaddress.ip_network("64:ff9b::/96"), 0), (ipaddress.ip_network("2002::/16"), 80))


@dataclass(frozen=True, slots=True)
class Host:
    """One address to try.

    Attributes:
        name: as the MX record or route names it.
        ip: where it is; "unix:/PATH" for a socket.
        protocol: what is spoken there.
    """

    name: str
    ip: str
    port: int
    protocol: Protocol = "smtp"

    def __str__(self) -> str:
        return self.ip if self.ip.startswith(UNIX) else f"{self.name}[{self.ip}]"

    @property
    def is_here(self) -> bool:
        """True when the message's way ends there, and nothing leaves this machine (LMTP)."""
        if self.protocol != "lmtp":
            return False  # who takes it by SMTP may pass it on
        return self.ip.startswith(UNIX) or _plain(self.ip).is_loopback


@dataclass(frozen=True, slots=True)
class Hosts:
    """Addresses in the order to try them; at least one, at most `max_addresses`.

    Attributes:
        way: how to talk to them.
        is_secure: nobody could have put other names there: the operator's word, or DNSSEC.
    """

    hosts: tuple[Host, ...]
    way: Way = field(default_factory=Way)
    is_secure: bool = False


@dataclass(frozen=True, slots=True)
class NoHost:
    """Nobody to send to: 4xx for now, 5xx for good."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Self:
    """How we know ourselves, against loops (Q11, D13).

    Attributes:
        names: host names under which we take mail, lower case.
        has_address: True for an IP address of this machine.
        chance: 0 to 1; shuffles hosts of equal preference.
    """

    names: Collection[str]
    has_address: Callable[[str], bool]
    chance: Callable[[], float]


def next_hop(domain: str, options: QueueOptions) -> str:
    """What connections are counted by: the route's or relay's host and port, else the domain."""
    route = route_of(domain, options)
    return f"{route.host}:{route.port}" if route is not None and route.host else domain


def find_hosts(domain: str, lookup: Lookup, options: QueueOptions, me: Self) -> Hosts | NoHost:
    """The addresses to try for a domain.

    Args:
        domain: lower case A-labels, or an address literal in brackets.
        lookup: raises NeedLookup for what it does not know yet.

    Source: RFC 5321 section 5.1.
    """
    route = route_of(domain, options)
    way = way_of(route, options)
    # The operator's word: loopback and our own addresses are meant.
    found = (
        _of_route(route, lookup, options, way)
        if route is not None and route.host
        else _of_dns(domain, lookup, options, me, way)
    )
    if isinstance(found, NoHost):
        return found
    if route is not None and not route.tls and all(host.is_here for host in found.hosts):
        # What is wanted on the way to others is not needed where nothing leaves this machine.
        way = replace(way, tls="opportunistic")
    return replace(found, way=way)


def _of_route(route: Route, lookup: Lookup, options: QueueOptions, way: Way) -> Hosts | NoHost:
    if route.host.startswith(UNIX) or _is_ip(route.host):
        host = Host(route.host, route.host, route.port, route.protocol)
        return Hosts((host,), is_secure=True)
    addresses, is_uncertain = _addresses(route.host, lookup, way)
    if not addresses:
        # A host that is configured and not found is our trouble, not the sender's.
        why = "gives no answer for" if is_uncertain else "knows no address of"
        return NoHost(Reply(451, "4.3", f"The name service {why} {route.host}"))
    hosts = [Host(route.host, ip, route.port, route.protocol) for ip in addresses]
    return Hosts(_first(hosts, options.max_addresses), is_secure=True)


def _of_dns(domain: str, lookup: Lookup, options: QueueOptions, me: Self, way: Way) -> Hosts | NoHost:
    if domain.startswith("["):
        return _of_literal(domain, options, me)
    answer = lookup(domain, "MX")
    if answer.status == "temperror":
        return NoHost(Reply(451, "4.3", f"The name service gives no answer for {domain}"))
    if answer.status == "nxdomain":
        return NoHost(Reply(550, "1.2", f"There is no domain {domain}"))
    search = _Search(domain, lookup, options, me, way)
    # RFC 5321 section 5.1: without MX records the domain is its own host.
    found = search.of_hosts([(0, domain)]) if answer.status == "nodata" else search.of_mx(answer.records)
    return replace(found, is_secure=True) if isinstance(found, Hosts) and answer.secure else found


def _of_literal(domain: str, options: QueueOptions, me: Self) -> Hosts | NoHost:
    ip = domain[1:-1].removeprefix("IPv6:").removeprefix("ipv6:")
    if not _is_ip(ip) or not _is_usable(ip, options) or _is_ours(ip, me):
        return NoHost(Reply(550, "4.4", f"No mail can be sent to {domain}"))
    return Hosts((Host(domain, ip, options.port),))


@dataclass(frozen=True, slots=True)
class _Search:
    """From the names DNS gives for a domain to addresses."""

    domain: str
    lookup: Lookup
    options: QueueOptions
    me: Self
    way: Way

    def of_mx(self, records: Iterable[object]) -> Hosts | NoHost:
        """The hosts of MX records."""
        pairs = [r for r in records if isinstance(r, tuple) and len(r) == 2]
        named = [(int(preference), str(host)) for preference, host in pairs if str(host) not in ("", ".")]
        if not named:
            # RFC 7505 section 3
            return NoHost(Reply(556, "1.10", f"{self.domain} says that it receives no mail (null MX)"))
        order = [(preference, self.me.chance(), host) for preference, host in named]
        ranked = [(preference, host) for preference, _, host in sorted(order)]
        ours = [preference for preference, host in ranked if host in self.me.names]
        if ours:
            ranked = [(preference, host) for preference, host in ranked if preference < min(ours)]
            if not ranked:
                return _loop(self.domain)
        return self.of_hosts(ranked[:MAX_MX_HOSTS])

    def of_hosts(self, ranked: list[tuple[int, str]]) -> Hosts | NoHost:
        """The addresses of hosts in their order."""
        for _, host in ranked:
            for kind in _KINDS[self.way.ip_version]:
                self.lookup.prefetch(host, kind)
        found: list[Host] = []
        is_uncertain = False
        refused: list[str] = []
        worst = None
        for preference, host in ranked:
            if worst is not None and preference >= worst:
                break
            addresses, uncertain = _addresses(host, self.lookup, self.way)
            is_uncertain |= uncertain
            if any(_is_ours(ip, self.me) for ip in addresses):
                # RFC 5321 section 5.1: what is as far away as we are, or farther, is no way forward.
                worst = preference
                found = [h for h in found if (preference, h.name) not in ranked]
                continue
            usable = [ip for ip in addresses if _is_usable(ip, self.options)]
            refused += [ip for ip in addresses if ip not in usable]
            found.extend(Host(host, ip, self.options.port) for ip in usable)
        if found:
            return Hosts(_first(found, self.options.max_addresses))
        return self._none(is_uncertain=is_uncertain, is_loop=worst is not None, refused=refused)

    def _none(self, *, is_uncertain: bool, is_loop: bool, refused: list[str]) -> NoHost:
        if is_uncertain:
            why = f"The name service gives no address for the hosts of {self.domain}"
            return NoHost(Reply(451, "4.3", why))
        if is_loop:
            return _loop(self.domain)
        only = f": {', '.join(refused[:3])} cannot be reached from the Internet" if refused else ""
        why = f"No host of {self.domain} has an address that mail can be sent to{only}"
        return NoHost(Reply(550, "4.4", why))


def _loop(domain: str) -> NoHost:
    return NoHost(Reply(554, "4.6", f"Mail for {domain} loops back to us, and it is not one of our domains"))


def _addresses(host: str, lookup: Lookup, way: Way) -> tuple[list[str], bool]:
    """Addresses of a host, IPv6 and IPv4 in turn; and whether an answer is missing."""
    if _is_ip(host):
        return [], False  # an MX record names a host (D13)
    by_kind: list[list[str]] = []
    is_uncertain = False
    kinds = _KINDS[way.ip_version]
    for kind in kinds:
        lookup.prefetch(host, kind)
    for kind in kinds:
        answer = lookup(host, kind)
        is_uncertain |= answer.status == "temperror"
        by_kind.append([str(ip) for ip in answer.records if _is_ip(str(ip))][:MAX_HOST_ADDRESSES])
    turns = itertools.zip_longest(*by_kind)
    return [ip for turn in turns for ip in turn if ip is not None], is_uncertain


def _first(hosts: list[Host], count: int) -> tuple[Host, ...]:
    """The first ones, but never of one family alone where the other exists (Q12)."""
    chosen, rest = hosts[:count], hosts[count:]
    families = {":" in host.ip for host in chosen}
    other = next((host for host in rest if (":" in host.ip) not in families), None)
    if other is not None and count > 1:
        chosen[-1] = other
    return tuple(chosen)


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _plain(ip: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """With IPv4 taken out of its IPv6 dress."""
    address = ipaddress.ip_address(ip)
    if isinstance(address, ipaddress.IPv4Address):
        return address
    for network, at in _LEADING:
        if address in network:
            return ipaddress.IPv4Address(int(address) >> at & 0xFFFFFFFF)
    return address.ipv4_mapped or address


def _is_usable(ip: str, options: QueueOptions) -> bool:
    address = _plain(ip)
    if address.is_loopback:
        return options.allow_loopback
    if not options.allow_private and any(address in network for network in _PRIVATE):
        return False
    in_zero = address.version == 4 and int(address) >> 24 == 0
    return not (address.is_unspecified or address.is_multicast or address.is_link_local or in_zero)


def _is_ours(ip: str, me: Self) -> bool:
    # Loopback is every machine's; whether it may be used is an option.
    return not _plain(ip).is_loopback and me.has_address(ip)
