"""Clients that speak something else: browsers, SSH, TLS on a port in clear.

A browser can be made to send mail by a page it shows (ALPACA); what it says is told
once that this is a mail server, and no line after it is looked at (T63).
"""

from __future__ import annotations

import re

_FOREIGN = re.compile(
    rb"(?:GET|POST|PUT|HEAD|OPTIONS|CONNECT|TRACE|DELETE|PATCH|PRI|INVITE|DESCRIBE) "
    rb"|SSH-|[A-Za-z-]+: ",
    re.IGNORECASE,
)


def is_foreign(line: bytes) -> bool:
    """True for a request line, a header line or a banner of another protocol."""
    return _FOREIGN.match(line) is not None


def speaks_tls(held: bytes | bytearray) -> bool:
    """True when a connection begins as TLS (ClientHello) or SSL 2 does.

    Args:
        held: its first octets; fewer than three tell nothing.

    Source: RFC 8446 section 5.1; RFC 5246 appendix E.2.
    """
    if len(held) < 3:
        return False
    return held[:2] == b"\x16\x03" or (held[0] >= 0x80 and held[2] == 1)
