"""Behind a trusted relay: who gave the message to it, out of the Received fields.

A backup MX or gateway of ours hands on what others sent.  The topmost Received field is
the relay's own and names its client; if that is a trusted relay again, or the relay
itself (a content filter on loopback), the next field speaks.  Fields below the first
client that is not trusted are anybody's invention and are not looked at.

Standards: RFC 5321 section 4.4 (the form of the field; what Postfix, Exim, sendmail,
qmail and Exchange make of it is read too).
Imports: mime, model.  No I/O.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from mailstack.mime.header import MAX_BLOCK_OCTETS, Headers
from mailstack.model.network import Networks, unmap

#: Relays in a row.
MAX_RELAYS: Final = 10
#: Of each field this much is looked at, in octets.
_MAX_FIELD: Final = 2000

_FROM = re.compile(r"\s*from\s+(\S+)\s*", re.IGNORECASE)
_BY = re.compile(r"\sby\s", re.IGNORECASE)
# [192.0.2.1], [IPv6:2001:db8::1], and the bare (192.0.2.1) of qmail and Exchange.
_ADDRESS = re.compile(r"\[(?:IPv6:)?([0-9A-F:.]{2,45})(?:%\w+)?\]|\(([0-9A-F:.]{2,45})\)", re.IGNORECASE)
_HELO = re.compile(r"\bhelo[=\s]\s*([^\s)]{1,255})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who gave the message to the outermost trusted relay.  `ip`: "" when no field says."""

    ip: str
    helo: str


def find_origin(header: bytes, trusted: Networks) -> Origin:
    """Looks through trusted relays.

    Args:
        header: the message's beginning as the last relay sent it.
        trusted: the relays.
    """
    for field in Headers.parse(header[:MAX_BLOCK_OCTETS]).all("received")[:MAX_RELAYS]:
        origin = read(field)
        if origin is None:
            break
        if origin.ip in trusted or ipaddress.ip_address(origin.ip).is_loopback:
            continue
        return origin
    return Origin("", "")


def read(value: bytes) -> Origin | None:
    """The client a Received field names; None when there is no address in its from clause."""
    text = value[:_MAX_FIELD].decode("ascii", "replace")
    start = _FROM.match(text)
    if start is None:
        return None
    end = _BY.search(text, start.end() - 1)
    name = start.group(1)[:255]
    comment = text[start.end(1) : end.start() if end is not None else len(text)]
    named = _HELO.search(comment)
    # A client may call itself [192.0.2.1]: what it says of itself is never the address.
    found = _ADDRESS.findall(_HELO.sub("", comment))
    if found:
        ip = _ip("".join(found[-1]))
    else:
        ip = _ip(name.removeprefix("[").removesuffix("]")) if named is not None else ""
    return Origin(ip, named.group(1) if named is not None else name) if ip else None


def _ip(text: str) -> str:
    try:
        return unmap(str(ipaddress.ip_address(re.sub(r"(?i)\Aipv6:", "", text))))
    except ValueError:
        return ""
