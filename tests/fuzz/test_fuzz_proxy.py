"""PROXY headers: any octets are refused or name one address; nothing behind a header is read."""

from __future__ import annotations

import ipaddress
import struct

from hypothesis import given
from hypothesis import strategies as st

from mailstack.smtp.proxy import Origin, ProxyError, parse, wanted
from tests.kit.fuzzing import FUZZ

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PIECES = st.sampled_from(
    [
        b"PROXY ",
        b"TCP4 ",
        b"TCP6 ",
        b"UNKNOWN",
        b"192.0.2.7 ",
        b"2001:db8::7 ",
        b"4711 ",
        b"25",
        b" ",
        b"\r",
        b"\n",
        b"\r\n",
    ]
)
TEXT = st.lists(st.one_of(PIECES, PIECES, st.binary(max_size=3)), max_size=16).map(b"".join)
BINARY = st.builds(
    lambda command, family, size, payload: (
        SIGNATURE + bytes((command, family)) + struct.pack("!H", size) + payload
    ),
    st.sampled_from([0x20, 0x21, 0x21, 0x21, 0x11, 0x2F]),
    st.sampled_from([0x11, 0x21, 0x12, 0x31, 0x00, 0xFF]),
    st.sampled_from([0, 11, 12, 36, 216, 65535]),
    st.binary(max_size=60),
)


def read(wire: bytes) -> tuple[Origin | str, int]:
    held = b""
    try:
        while (found := parse(held)) is None:
            size = wanted(held)
            if len(wire) < len(held) + size:
                return "cut", len(held)
            held += wire[len(held) : len(held) + size]
    except ProxyError as error:
        return error.why, len(held)
    return found, len(held)


@FUZZ
@given(st.one_of(TEXT, BINARY, st.binary(max_size=64)), st.binary(max_size=8))
def test_what_stands_behind_a_header_changes_nothing(wire: bytes, behind: bytes) -> None:
    found, end = read(wire)
    if not isinstance(found, Origin):
        return
    assert not found.ip or str(ipaddress.ip_address(found.ip)) == found.ip
    assert 0 <= found.port < 65536
    assert read(wire[:end] + behind) == (found, end)
    assert parse(wire[:end]) == found
