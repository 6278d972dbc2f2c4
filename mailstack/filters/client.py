"""What the client's address and name tell: reverse DNS, and what it calls itself.

Facts for the score, never a refusal: honest small servers have broken reverse names too
(limits, section 2: "MX-side HELO strictness").  What the DNS does not answer says nothing.

Standards: RFC 1912 section 2.1 (PTR and A match), RFC 5321 sections 2.3.5 and 4.1.1.1.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from mailstack.filters.remembered import Remembered
from mailstack.model.address import AddressError, parse_domain
from mailstack.model.dns import Lookup
from mailstack.model.network import is_outside
from mailstack.model.verdict import Reason

#: Of several reverse names so many are looked up again.
MAX_NAMES: Final = 3
#: Addresses that were looked at before.
KNOWN_ADDRESSES: Final = 4_096

_GENERIC_WORD = re.compile(
    r"(?:^|[.-])(?:dyn|dynamic|dhcp|dial|dialup|pool|ppp|adsl|dsl|cable|broadband)\d*[.-]"
)


@dataclass(frozen=True, slots=True)
class Client:
    """Who is it, as far as DNS tells.

    Attributes:
        name: a reverse name whose own addresses hold this one; "" for none.
    """

    name: str = ""
    reasons: tuple[Reason, ...] = ()


def check(
    ip: str,
    helo: str,
    *,
    ours: Collection[str],
    lookup: Lookup,
    memory: Remembered[Client] | None = None,
) -> Client:
    """Looks at one client.

    Args:
        ip: "" or an inside address: nothing is asked or said.
        helo: "" when it is not known.
        ours: names of this host, lower case.
        memory: of earlier checks, with the same names.

    Raises:
        NeedLookup: questions are recorded in `lookup`.
    """
    if not is_outside(ip):
        return Client()
    memory = memory or Remembered()
    return memory.get((ip, helo), functools.partial(_check, ip, helo, ours), lookup)


def _check(ip: str, helo: str, ours: Collection[str], lookup: Lookup) -> Client:
    host = _host(helo)
    kind = "AAAA" if ":" in ip else "A"
    if host:
        lookup.prefetch(host, kind)
    name, found = _reverse(ip, kind, lookup)
    return Client(
        name, (*found, *_helo_reasons(ip, helo, host, ours, lookup, is_same=bool(name) and host == name))
    )


@functools.lru_cache(KNOWN_ADDRESSES)
def reverse_name(ip: str) -> str:
    """The name reverse look-ups ask for."""
    return ipaddress.ip_address(ip).reverse_pointer


def _reverse(ip: str, kind: str, lookup: Lookup) -> tuple[str, list[Reason]]:
    answer = lookup(reverse_name(ip), "PTR")
    if answer.status == "temperror":
        return "", []
    names = [str(record) for record in answer.records[:MAX_NAMES]]
    if not names:
        return "", [Reason("no_reverse_name", 0.7, f"{ip} has no reverse name")]
    is_known = True
    for name in names:
        lookup.prefetch(name, kind)
    for name in names:
        forward = lookup(name, kind)
        if ip in map(_canonical, map(str, forward.records)):
            return name, _generic(ip, name)
        is_known = is_known and forward.status != "temperror"
    if not is_known:
        return "", []
    return "", [Reason("reverse_name_wrong", 0.4, f"{ip} calls itself {names[0]}, which has other addresses")]


@functools.lru_cache(KNOWN_ADDRESSES)
def _canonical(record: str) -> str:
    try:
        return str(ipaddress.ip_address(record))
    except ValueError:
        return ""


def _generic(ip: str, name: str) -> list[Reason]:
    """A name made from the address, as access providers give it to homes."""
    digits = re.findall(r"\d+", name)
    parts = ip.split(".")
    has_address = ":" not in ip and sum(part in digits for part in parts) == len(parts)
    if has_address or _GENERIC_WORD.search(name):
        return [Reason("reverse_name_generic", 0.5, f"{name} looks like a home connection")]
    return []


def _host(helo: str) -> str:
    """The HELO as a host name to look up; "" when it is none."""
    try:
        name = parse_domain(helo.rstrip("."))
    except AddressError:
        return ""
    return "" if name.startswith("[") or "." not in name else name


def _helo_reasons(
    ip: str, helo: str, host: str, ours: Collection[str], lookup: Lookup, *, is_same: bool
) -> Iterator[Reason]:
    if not helo:
        return  # a relay did not say, or nobody asked
    if helo.lower().rstrip(".") in (*ours, "localhost", "localhost.localdomain"):
        yield Reason("helo_ours", 1.5, f"it calls itself {helo[:80]}, which is this host")
    elif helo.startswith("["):
        if ip not in helo:
            yield Reason("helo_literal_wrong", 1.0, "it names an address that is not its own")
        else:
            yield Reason("helo_literal", 0.4, "it calls itself by its address")
    elif not host:
        yield Reason("helo_no_name", 0.5, "it calls itself something that is no full host name")
    elif not is_same and _is_nowhere(host, ip, lookup):
        yield Reason("helo_unknown", 0.3, f"the name it calls itself, {host[:80]}, does not exist")


def _is_nowhere(host: str, ip: str, lookup: Lookup) -> bool:
    return lookup(host, "AAAA" if ":" in ip else "A").status == "nxdomain"
