"""Which hosts take the mail of a domain, in which order.

A static route, else the relay host, else the domain's MX hosts, else the domain itself.
A plain function over DNS answers: what is not known yet is recorded in the `Lookup`.

Standards: RFC 5321 section 5.1 (MX, loops), RFC 7505 (null MX).
Imports: model.  No I/O.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from mailstack.delivery.options import UNIX, Protocol, QueueOptions
from mailstack.model.dns import Lookup
from mailstack.model.reply import Reply

#: More MX hosts of a domain are not even looked up (D14).
MAX_MX_HOSTS = 10
#: More addresses of one host are not considered.
MAX_HOST_ADDRESSES = 10


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
        is_relay: the configured relay host, which may want our login.
        is_secure: nobody could have put other names there: the operator's word, or DNSSEC.
    """

    hosts: tuple[Host, ...]
    is_relay: bool = False
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


@dataclass(frozen=True, slots=True)
class _Next:
    host: str
    port: int
    is_relay: bool
    protocol: Protocol = "smtp"


def next_hop(domain: str, options: QueueOptions) -> str:
    """What connections are counted by: the route's or relay's host and port, else the domain."""
    found = _static(domain, options)
    return f"{found.host}:{found.port}" if found is not None else domain


def _static(domain: str, options: QueueOptions) -> _Next | None:
    for wanted in (domain, "*"):
        for route in options.route:
            if route.domain.lower() == wanted:
                return _Next(route.host, route.port, False, route.protocol)
    if options.relay_host:
        return _Next(options.relay_host, options.relay_port, True)
    return None


def find_hosts(domain: str, lookup: Lookup, options: QueueOptions, me: Self) -> Hosts | NoHost:
    """The addresses to try for a domain.

    Args:
        domain: lower case A-labels, or an address literal in brackets.
        lookup: raises NeedLookup for what it does not know yet.

    Source: RFC 5321 section 5.1.
    """
    found = _static(domain, options)
    if found is not None:
        # The operator's word: loopback and our own addresses are meant.
        return _of_route(found, lookup, options)
    if domain.startswith("["):
        return _of_literal(domain, options, me)
    answer = lookup(domain, "MX")
    if answer.status == "temperror":
        return NoHost(Reply(451, "4.3", f"The name service gives no answer for {domain}"))
    if answer.status == "nxdomain":
        return NoHost(Reply(550, "1.2", f"There is no domain {domain}"))
    if answer.status == "nodata":
        # RFC 5321 section 5.1: the implicit MX.
        found_hosts = _of_hosts(domain, [(0, domain)], lookup, options, me)
    else:
        found_hosts = _of_mx(domain, answer.records, lookup, options, me)
    if isinstance(found_hosts, Hosts) and answer.secure:
        return replace(found_hosts, is_secure=True)
    return found_hosts


def _of_route(found: _Next, lookup: Lookup, options: QueueOptions) -> Hosts | NoHost:
    if found.host.startswith(UNIX) or _is_ip(found.host):
        host = Host(found.host, found.host, found.port, found.protocol)
        return Hosts((host,), found.is_relay, is_secure=True)
    addresses, is_uncertain = _addresses(found.host, lookup)
    if not addresses:
        # A host that is configured and not found is our trouble, not the sender's.
        why = "gives no answer for" if is_uncertain else "knows no address of"
        return NoHost(Reply(451, "4.3", f"The name service {why} {found.host}"))
    hosts = [Host(found.host, ip, found.port, found.protocol) for ip in addresses]
    return Hosts(_first(hosts, options.max_addresses), found.is_relay, is_secure=True)


def _of_literal(domain: str, options: QueueOptions, me: Self) -> Hosts | NoHost:
    ip = domain[1:-1].removeprefix("IPv6:").removeprefix("ipv6:")
    if not _is_ip(ip) or not _is_usable(ip, options) or _is_ours(ip, me):
        return NoHost(Reply(550, "4.4", f"No mail can be sent to {domain}"))
    return Hosts((Host(domain, ip, options.port),))


def _of_mx(
    domain: str, records: Iterable[object], lookup: Lookup, options: QueueOptions, me: Self
) -> Hosts | NoHost:
    pairs = [r for r in records if isinstance(r, tuple) and len(r) == 2]
    named = [(int(preference), str(host)) for preference, host in pairs if str(host) not in ("", ".")]
    if not named:
        # RFC 7505 section 3
        return NoHost(Reply(556, "1.10", f"{domain} says that it receives no mail (null MX)"))
    order = [(preference, me.chance(), host) for preference, host in named]
    ranked = [(preference, host) for preference, _, host in sorted(order)]
    ours = [preference for preference, host in ranked if host in me.names]
    if ours:
        ranked = [(preference, host) for preference, host in ranked if preference < min(ours)]
        if not ranked:
            return _loop(domain)
    return _of_hosts(domain, ranked[:MAX_MX_HOSTS], lookup, options, me)


def _of_hosts(
    domain: str, ranked: list[tuple[int, str]], lookup: Lookup, options: QueueOptions, me: Self
) -> Hosts | NoHost:
    for _, host in ranked:
        for kind in ("AAAA", "A"):
            lookup.prefetch(host, kind)
    found: list[Host] = []
    is_uncertain = False
    worst = None
    for preference, host in ranked:
        if worst is not None and preference >= worst:
            break
        addresses, uncertain = _addresses(host, lookup)
        is_uncertain |= uncertain
        if any(_is_ours(ip, me) for ip in addresses):
            # RFC 5321 section 5.1: what is as far away as we are, or farther, is no way forward.
            worst = preference
            found = [h for h in found if (preference, h.name) not in ranked]
            continue
        found.extend(Host(host, ip, options.port) for ip in addresses if _is_usable(ip, options))
    if found:
        return Hosts(_first(found, options.max_addresses))
    if is_uncertain:
        return NoHost(Reply(451, "4.3", f"The name service gives no address for the hosts of {domain}"))
    if worst is not None:
        return _loop(domain)
    return NoHost(Reply(550, "4.4", f"No host of {domain} has an address that mail can be sent to"))


def _loop(domain: str) -> NoHost:
    return NoHost(Reply(554, "4.6", f"Mail for {domain} loops back to us, and it is not one of our domains"))


def _addresses(host: str, lookup: Lookup) -> tuple[list[str], bool]:
    """Addresses of a host, IPv6 and IPv4 in turn; and whether an answer is missing."""
    if _is_ip(host):
        return [], False  # an MX record names a host (D13)
    by_kind: list[list[str]] = []
    is_uncertain = False
    for kind in ("AAAA", "A"):
        lookup.prefetch(host, kind)
    for kind in ("AAAA", "A"):
        answer = lookup(host, kind)
        is_uncertain |= answer.status == "temperror"
        by_kind.append([str(ip) for ip in answer.records if _is_ip(str(ip))][:MAX_HOST_ADDRESSES])
    return _in_turn(*by_kind), is_uncertain


def _in_turn(first: list[str], second: list[str]) -> list[str]:
    mixed = []
    for n in range(max(len(first), len(second))):
        mixed += [*first[n : n + 1], *second[n : n + 1]]
    return mixed


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
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_usable(ip: str, options: QueueOptions) -> bool:
    address = _plain(ip)
    if address.is_loopback:
        return options.allow_loopback
    in_zero = address.version == 4 and int(address) >> 24 == 0
    return not (address.is_unspecified or address.is_multicast or address.is_link_local or in_zero)


def _is_ours(ip: str, me: Self) -> bool:
    # Loopback is every machine's; whether it may be used is an option.
    return not _plain(ip).is_loopback and me.has_address(ip)
