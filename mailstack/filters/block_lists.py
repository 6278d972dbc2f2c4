"""DNS lists of client addresses: what each says, and what they weigh together.

A list only adds to the score.  What is no listing is never taken for one: the codes of
127.255.255.0/24 and 127.0.0.1 tell that the list refuses us, answers outside 127.0.0.0/8
come from a dead list or a resolver that invents addresses, silence says nothing.

Standards: RFC 5782 sections 2.1 and 2.4 (names for IPv4 and IPv6), RFC 6471 section 3.4.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from mailstack.model.address import AddressError, parse_domain
from mailstack.model.dns import Answer, Lookup
from mailstack.model.errors import ConfigError
from mailstack.model.network import is_outside
from mailstack.model.verdict import Reason

#: Records of one answer that are looked at.
MAX_RECORDS: Final = 16
#: Log-odds; more would say nothing more.
MAX_WEIGHT: Final = 20

_LISTINGS = ipaddress.IPv4Network("127.0.0.0/8")
_ERRORS = ipaddress.IPv4Network("127.255.255.0/24")
_TEST_ANSWER = ipaddress.IPv4Address("127.0.0.1")


class BlockList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[filter.block_list]]`."""

    #: Zone that is asked, such as "zen.spamhaus.org"; a key you were given stands in it.
    zone: str
    #: What reasons and logs call the list; empty: its zone. Give one when the zone holds a key.
    name: str = ""
    #: What a listing adds to the score, in log-odds; 2.2 alone makes neutral mail doubtful.
    weight: float = 2.0
    #: What single answers add, by address, network or {"127.0.0.4-127.0.0.7" = 2.5}; others then add nothing.
    answers: dict[str, float] = {}
    #: The list knows IPv6 addresses.
    ipv6: bool = True
    #: A list of good senders: its weight is taken off the score.
    allows: bool = False

    def __post_init__(self) -> None:
        try:
            parse_domain(self.zone)
        except AddressError:
            raise ConfigError("filter.block_list.zone", f"{self.zone!r} is not a domain name") from None
        for text, weight in self.answers.items():
            _parse_range(text)
            if not 0 <= weight <= MAX_WEIGHT:
                raise ConfigError("filter.block_list.answers", f"{text}: want 0 to {MAX_WEIGHT}")
        if not 0 <= self.weight <= MAX_WEIGHT:
            raise ConfigError("filter.block_list.weight", f"want 0 to {MAX_WEIGHT}")

    @property
    def label(self) -> str:
        """How the list is called in public."""
        return self.name or self.zone


def questions(ip: str, lists: Sequence[BlockList]) -> list[tuple[BlockList, str]]:
    """The name to ask each list for; none for addresses nobody lists."""
    if not lists or not is_outside(ip):
        return []
    address = ipaddress.ip_address(ip)
    reverse = address.reverse_pointer.rsplit(".", 2)[0]
    return [(one, f"{reverse}.{one.zone}") for one in lists if address.version == 4 or one.ipv6]


def check(ip: str, lists: Sequence[BlockList], lookup: Lookup, *, max_weight: float) -> tuple[Reason, ...]:
    """What the lists say.

    Args:
        max_weight: what all lists together may add or take off.

    Raises:
        NeedLookup: questions are recorded in `lookup`.
    """
    asked = questions(ip, lists)
    for _, name in asked:
        lookup.prefetch(name, "A")
    found = [reason for one, name in asked for reason in _read(one, lookup(name, "A"), ip)]
    total = abs(sum(reason.weight for reason in found))
    if total <= max_weight:
        return tuple(found)
    return tuple(Reason(r.name, round(r.weight * max_weight / total, 4), r.why) for r in found)


def _read(one: BlockList, answer: Answer, ip: str) -> Iterator[Reason]:
    if answer.status != "ok":
        return
    wrong = find_error(one, answer)
    if wrong:
        yield Reason("list_error", 0.0, f"{one.label} answers {wrong}, which is an error, no listing")
        return
    weight, code = max(((_weight(one, code), code) for code in _codes(answer)), default=(0.0, None))
    if not weight:
        return
    if one.allows:
        yield Reason(f"good_{one.label}", -weight, f"{one.label} vouches for {ip} ({code})")
    else:
        yield Reason(f"listed_{one.label}", weight, f"{one.label} lists {ip} ({code})")


def find_error(one: BlockList, answer: Answer) -> str:
    """The code that says the list refuses us or is none any more; "" when there is none."""
    return next((str(code) for code in _codes(answer) if _is_error(one, code)), "")


def _codes(answer: Answer) -> list[ipaddress.IPv4Address]:
    return [code for code in map(_address, answer.records[:MAX_RECORDS]) if code is not None]


def _is_error(one: BlockList, code: ipaddress.IPv4Address) -> bool:
    if code in _ERRORS or code not in _LISTINGS:
        return True
    return code == _TEST_ANSWER and not _weight_of(one, code)


def _weight(one: BlockList, code: ipaddress.IPv4Address) -> float:
    return _weight_of(one, code) if one.answers else one.weight


def _weight_of(one: BlockList, code: ipaddress.IPv4Address) -> float:
    for text, weight in one.answers.items():
        first, last = _parse_range(text)
        if first <= code <= last:
            return weight
    return 0.0


def _parse_range(text: str) -> tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]:
    try:
        if "-" in text:
            first, _, last = text.partition("-")
            return ipaddress.IPv4Address(first.strip()), ipaddress.IPv4Address(last.strip())
        network = ipaddress.IPv4Network(text)
        return network[0], network[-1]
    except ValueError:
        raise ConfigError(
            "filter.block_list.answers",
            f'{text!r} is not an IPv4 address, network, or "first-last" of two addresses',
        ) from None


def _address(record: object) -> ipaddress.IPv4Address | None:
    try:
        return ipaddress.IPv4Address(str(record))
    except ValueError:
        return None
