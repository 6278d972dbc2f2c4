"""Does this Python behave as our code assumes?  Five answers at start, one log line.

Debian patches its Python; a silent change in one of these would weaken a defence.
What each trap is about: docs/threats.md.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import sqlite3
import ssl
import sys

_log = logging.getLogger(__name__)


def _lines_split_at_crlf_only() -> bool:
    # str.splitlines also splits at VT, FF, NEL and U+2028, so nothing of ours uses it on mail.
    text = "a\u2028b\x0bc\x85d"
    return len(text.splitlines()) == 4 and len(text.split("\r\n")) == 1


def _mapped_addresses_unmap() -> bool:
    mapped = ipaddress.ip_address("::ffff:127.0.0.1")
    return isinstance(mapped, ipaddress.IPv6Address) and str(mapped.ipv4_mapped) == "127.0.0.1"


def _long_lines_are_refused_by_the_reader() -> bool:
    async def read() -> bool:
        reader = asyncio.StreamReader(limit=4)
        reader.feed_data(b"0123456789\r\nQUIT\r\n")
        try:
            await reader.readuntil(b"\r\n")
        except asyncio.LimitOverrunError:
            return True
        return False

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(read())
    finally:
        loop.close()


def _tls_has_a_floor() -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return ssl.HAS_TLSv1_3 and context.minimum_version == ssl.TLSVersion.TLSv1_2


def _sqlite_is_serialized() -> bool:
    return sqlite3.threadsafety == 3 and sqlite3.sqlite_version_info >= (3, 34, 0)


CHECKS = (
    _lines_split_at_crlf_only,
    _mapped_addresses_unmap,
    _long_lines_are_refused_by_the_reader,
    _tls_has_a_floor,
    _sqlite_is_serialized,
)


def run() -> bool:
    """Runs the checks and logs one line; True when all hold."""
    failed = [check.__name__.strip("_") for check in CHECKS if not check()]
    version = ".".join(map(str, sys.version_info[:3]))
    if failed:
        _log.error("self-test: Python %s differs: %s", version, ", ".join(failed))
    else:
        _log.info("self-test: Python %s behaves as assumed (%d checks)", version, len(CHECKS))
    return not failed
