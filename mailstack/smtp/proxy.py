"""The PROXY header: a load balancer says for whom it speaks, before anything else.

Version 1 is a line of text, version 2 is binary; both stand before TLS.  A header is
read to its end and not an octet further, since what follows is the client's:

    held = b""
    while (found := parse(held)) is None:
        held += read_exactly_at_most(wanted(held))

It is believed from listed addresses only (`net/proxy_wire.py`); whoever could send it
from elsewhere could be anybody.

Standards: "The PROXY protocol, versions 1 & 2" (HAProxy, 2020-03-05), sections 2.1, 2.2.
Imports: model.  No I/O.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Final, NamedTuple

from mailstack.model.network import unmap

#: Section 2.1: the longest line, with CRLF.
MAX_TEXT_OCTETS: Final = 107
MAX_OCTETS: Final = 65_551
_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_TEXT: Final = b"PROXY "
#: "PROXY UNKNOWN" with CRLF; version 2 is longer.
_SHORTEST: Final = 15
_FIXED: Final = 16
_LOCAL: Final = 0
_FAMILIES: Final = {1: (4, ipaddress.IPv4Address), 2: (16, ipaddress.IPv6Address)}
_STREAM: Final = 1


class Origin(NamedTuple):
    """The client, as the proxy says; `ip` is "" when the proxy speaks for itself."""

    ip: str = ""
    port: int = 0


class ProxyError(Exception):
    """It is no PROXY header; `why` in words.  The connection is worth nothing."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def wanted(held: bytes) -> int:
    """How many octets may be read now without reading past the header; at least 1."""
    if len(held) < _SHORTEST:
        return _SHORTEST - len(held)
    if held.startswith(_TEXT):
        return 1 if held.endswith(b"\r") else 2
    if len(held) < _FIXED:
        return _FIXED - len(held)
    return max(1, _length(held) - len(held))


def parse(held: bytes, *, max_octets: int = MAX_OCTETS) -> Origin | None:
    """Reads a header.

    Args:
        held: what came so far, read as `wanted` says.
        max_octets: a longer header is refused.

    Returns:
        None when the header goes on.

    Raises:
        ProxyError: this is no header, or one we do not take.
    """
    if not _TEXT.startswith(held[: len(_TEXT)]) and not _SIGNATURE.startswith(held[: len(_SIGNATURE)]):
        raise ProxyError("does not begin with a PROXY header")
    if held[:1] == _TEXT[:1]:
        return _parse_text(held)
    if len(held) < _FIXED:
        return None
    length = _length(held)
    if length > max_octets:
        raise ProxyError(f"a header of {length} octets, more than {max_octets}")
    return _parse_binary(held) if len(held) >= length else None


def _length(held: bytes) -> int:
    size: int = struct.unpack_from("!H", held, 14)[0]
    return _FIXED + size


# -- version 1 ---------------------------------------------------------------------------


def _parse_text(held: bytes) -> Origin | None:
    line, end, rest = held.partition(b"\r\n")
    if not end:
        if len(held) >= MAX_TEXT_OCTETS or b"\n" in held:
            raise ProxyError("a line that does not end with CRLF in time")
        return None
    if rest or len(line) + 2 > MAX_TEXT_OCTETS:
        raise ProxyError("a line that is too long")
    try:
        words = line.decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise ProxyError("a line that is not ASCII") from None
    if words[1] == "UNKNOWN":
        return Origin()
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise ProxyError("a line that is not 'PROXY TCP4|TCP6 source destination port port'")
    source, _ = (_address(words[1], text) for text in words[2:4])
    port, _ = (_port(text) for text in words[4:6])
    return Origin(source, port)


def _address(family: str, text: str) -> str:
    kind = ipaddress.IPv4Address if family == "TCP4" else ipaddress.IPv6Address
    try:
        if "%" in text:
            raise ValueError
        return unmap(str(kind(text)))
    except ValueError:
        raise ProxyError(f"an address that is none of {family}") from None


def _port(text: str) -> int:
    if (
        not (text.isascii() and text.isdigit())
        or len(text) > 5
        or int(text) > 65_535
        or text != str(int(text))
    ):
        raise ProxyError("a port that is no number from 0 to 65535")
    return int(text)


# -- version 2 ---------------------------------------------------------------------------


def _parse_binary(held: bytes) -> Origin:
    version, command = divmod(held[12], 16)
    family, transport = divmod(held[13], 16)
    if version != 2:
        raise ProxyError(f"version {version} of the binary header")
    if command == _LOCAL:
        return Origin()
    if command != 1:
        raise ProxyError(f"command {command} of the binary header")
    if family not in _FAMILIES or transport != _STREAM:
        if family > 3 or transport > 2:
            raise ProxyError("a kind of address that does not exist")
        return Origin()  # section 2.2: unspecified, or a Unix socket
    size, kind = _FAMILIES[family]
    if _length(held) < _FIXED + 2 * size + 4:
        raise ProxyError("a header that is too short for its addresses")
    source = str(kind(held[_FIXED : _FIXED + size]))
    port: int = struct.unpack_from("!H", held, _FIXED + 2 * size)[0]
    return Origin(unmap(source), port)
