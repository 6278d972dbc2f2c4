"""Rewrites envelope senders for forwarding, and finds the way back for bounces.

`SRS0=tag=stamp=domain=local@us` for an ordinary sender; for one that another forwarder
has rewritten already `SRS1=tag=host=...@us`, which leads a bounce straight back to that
first forwarder.  The tag covers everything else; only its maker can make it (threat T8).
`+` and `-` may stand instead of the first `=`.

Source: "Sender Rewriting Scheme" (M. Weber, S. Ristov); docs/srs.md.
Imports: model.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mailstack.model.address import MAX_LOCAL_OCTETS, Address, AddressError
from mailstack.srs import token

VALID_DAYS = 10

# ASCII: "ſ" is no "S".
_FLAGS = re.ASCII | re.IGNORECASE | re.DOTALL
_SRS = re.compile(r"SRS([01])[-+=](.*)\Z", _FLAGS)
_PREFIX = re.compile(r"(SRS[01])[-+=]", _FLAGS)
_SRS0 = re.compile(r"SRS0([-+=].*)\Z", _FLAGS)
_SRS0_PARTS = re.compile(r"([^=]*)=([^=]*)=([^=]+)=(.+)\Z", re.DOTALL)
_SRS1_PARTS = re.compile(r"([^=]*)=([^=]+)=([-+=].+)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TooLong:
    """The rewritten local part would not fit; `short.shorten` makes one that does.

    Attributes:
        octets: length it would have; at most 64 are allowed.
    """

    sender: Address
    octets: int


@dataclass(frozen=True, slots=True)
class BadToken:
    """Not an address we made, or too old.  `why`: a sentence without its subject."""

    why: str


def identity(address: Address) -> str:
    """The same for every way to write an SRS address: case and separator do not count."""
    return token.fold(_PREFIX.sub(r"\1=", address.local)) + f"@{address.domain}"


def lifetime_s(valid_days: int) -> float:
    """Seconds after which no address is good any more that is made now."""
    # Ages are whole days, and a stamp may be tomorrow's.
    return (valid_days + 1 + token.EARLY_DAYS) * token.DAY_S


def is_srs(address: Address) -> bool:
    """True when the local part claims to be SRS0 or SRS1, whether or not the tag is good."""
    return _SRS.match(address.local) is not None


def forward(sender: Address, *, domain: str, secrets: Sequence[bytes], now: float) -> Address | TooLong:
    """The sender under which mail of `sender` is passed on.

    Args:
        sender: the envelope sender as received; never the null sender.
        domain: ours; A-labels, lower case.
        secrets: newest first; the newest signs.
        now: Unix seconds.

    Returns:
        An address at `domain`, or TooLong when it exceeds RFC 5321 section 4.5.3.1.1.

    Raises:
        ValueError: no secret, or a sender without a domain; a mistake of ours.
    """
    if not secrets:
        raise ValueError("SRS needs a secret")
    if not sender.domain:
        raise ValueError("SRS needs a sender with a domain")
    rewritten = Address(_forward_local(sender, secrets[0], now), domain)
    octets = len(str(rewritten).rpartition("@")[0].encode("utf-8", "surrogatepass"))
    return rewritten if octets <= MAX_LOCAL_OCTETS else TooLong(sender, octets)


def _forward_local(sender: Address, secret: bytes, now: float) -> str:
    first = _SRS0.match(sender.local)
    if first is not None:
        return _sign1(sender.domain, first.group(1), secret)
    again = _parts1(sender.local)
    if again is not None:
        # The host that rewrote it last drops out: bounces go to the first one directly.
        _, host, rest = again
        return _sign1(host, rest, secret)
    return sign0(f"{token.make_stamp(now)}={sender.domain}={sender.local}", secret)


def sign0(text: str, secret: bytes) -> str:
    """An SRS0 local part over `stamp=domain=local`."""
    return f"SRS0={token.make_tag('0' + text, secret)}={text}"


def _sign1(host: str, rest: str, secret: bytes) -> str:
    return f"SRS1={token.make_tag(f'1{host}={rest}', secret)}={host}={rest}"


def _parts1(local: str) -> tuple[str, str, str] | None:
    """Tag, first forwarder and its opaque part (with its separator) of an SRS1 local part."""
    match = _SRS.match(local)
    if match is None or match.group(1) != "1":
        return None
    parts = _SRS1_PARTS.match(match.group(2))
    return (parts.group(1), parts.group(2), parts.group(3)) if parts is not None else None


def reverse(
    address: Address, *, secrets: Sequence[bytes], now: float, valid_days: int = VALID_DAYS
) -> Address | BadToken:
    """The sender behind an address that `forward` made.

    Args:
        address: the recipient of a bounce; its domain is not looked at.
        secrets: any of them may have signed.
        now: Unix seconds.
        valid_days: age up to which an SRS0 address is good.

    Returns:
        The original sender (SRS0) or the first forwarder's SRS0 address (SRS1).
    """
    match = _SRS.match(address.local)
    if match is None:
        return BadToken("is not an SRS address")
    if match.group(1) == "0":
        return _reverse0(match.group(2), secrets, now, valid_days)
    return _reverse1(address.local, secrets)


def _reverse0(body: str, secrets: Sequence[bytes], now: float, valid_days: int) -> Address | BadToken:
    parts = _SRS0_PARTS.match(body)
    if parts is None:
        return BadToken("lacks parts of an SRS0 address")
    tag, stamp, domain, local = parts.groups()
    if not token.is_tag_of(tag, f"0{stamp}={domain}={local}", secrets):
        return BadToken("was not made here: its tag is wrong")
    age = token.age_days(stamp, now)
    if age is None:
        return BadToken("has no day stamp")
    if age > valid_days:
        return BadToken(f"is {age} days old; bounces are taken for {valid_days} days")
    return _address(local, domain)


def _reverse1(whole: str, secrets: Sequence[bytes]) -> Address | BadToken:
    parts = _parts1(whole)
    if parts is None:
        return BadToken("lacks parts of an SRS1 address")
    tag, host, rest = parts
    if not token.is_tag_of(tag, f"1{host}={rest}", secrets):
        return BadToken("was not made here: its tag is wrong")
    # No day stamp of ours: the first forwarder checks its own.
    return _address(f"SRS0{rest}", host)


def claimed(address: Address) -> Address:
    """The sender an address rewritten by anybody names; by its word alone, so never to be written to.

    Returns:
        The address itself when it is not rewritten, or cannot be read.
    """
    one = _parts1(address.local)
    if one is not None:
        _, host, rest = one
        inner = _address(f"SRS0{rest}", host)
        address = inner if isinstance(inner, Address) else address
    match = _SRS.match(address.local)
    parts = _SRS0_PARTS.match(match.group(2)) if match is not None and match.group(1) == "0" else None
    if parts is None:
        return address
    found = _address(parts.group(4), parts.group(3))
    return found if isinstance(found, Address) else address


def _address(local: str, domain: str) -> Address | BadToken:
    try:
        return Address.parse(str(Address(local, domain)))
    except AddressError as error:
        return BadToken(f"holds no usable address: {error}")
