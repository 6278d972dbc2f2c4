"""PROXY headers: both versions as HAProxy writes them, and everything that is none (S49)."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.smtp.proxy import MAX_TEXT_OCTETS, Origin, ProxyError, parse, wanted

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def binary(
    source: str = "192.0.2.7",
    *,
    command: int = 0x21,
    kind: int | None = None,
    port: int = 4711,
    more: bytes = b"",
) -> bytes:
    """A header of version 2."""
    address = ipaddress.ip_address(source)
    other = address.packed[:-1] + b"\x01"
    family = (0x11 if address.version == 4 else 0x21) if kind is None else kind
    payload = address.packed + other + struct.pack("!HH", port, 25) + more
    return SIGNATURE + bytes((command, family)) + struct.pack("!H", len(payload)) + payload


GOOD = [
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n", Origin("192.0.2.7", 4711)),
    (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", Origin("255.255.255.255", 65535)),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 25\r\n", Origin("2001:db8::7", 4711)),
    (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 4711 25\r\n", Origin("192.0.2.7", 4711)),
    (b"PROXY UNKNOWN\r\n", Origin()),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", Origin()),
    (binary(), Origin("192.0.2.7", 4711)),
    (binary("2001:db8::7"), Origin("2001:db8::7", 4711)),
    (binary("::ffff:192.0.2.7"), Origin("192.0.2.7", 4711)),
    (binary(more=b"\x01\x00\x02h2\x04\x00\x00"), Origin("192.0.2.7", 4711)),
    (binary(command=0x20), Origin()),
    (binary(command=0x20, kind=0), Origin()),
    (binary(kind=0x00), Origin()),
    (binary(kind=0x12), Origin()),
    (binary(kind=0x31), Origin()),
    (SIGNATURE + b"\x20\x00\x00\x00", Origin()),
    (SIGNATURE + b"\x21\x00\x00\x00", Origin()),
]

BAD = [
    b"EHLO client.example\r\n",
    b"\x16\x03\x01\x02\x00\x01",
    b"PROXY",
    b"PROXY \r\n",
    b"PROXY TCP4\r\n",
    b"PROXY TCP5 192.0.2.7 198.51.100.1 4711 25\r\n",
    b"proxy TCP4 192.0.2.7 198.51.100.1 4711 25\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25 x\r\n",
    b"PROXY TCP4  192.0.2.7 198.51.100.1 4711 25\r\n",
    b"PROXY TCP4 192.0.2.07 198.51.100.1 4711 25\r\n",
    b"PROXY TCP4 192.0.2.256 198.51.100.1 4711 25\r\n",
    b"PROXY TCP4 2001:db8::7 2001:db8::1 4711 25\r\n",
    b"PROXY TCP6 192.0.2.7 198.51.100.1 4711 25\r\n",
    b"PROXY TCP6 fe80::1%eth0 fe80::2 4711 25\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 25\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 007 25\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 \xd9\xa1 25\r\n",
    b"PROXY TCP4 192.0.2.7\r\n",
    b"PROXY UNKNOWN " + b"x" * MAX_TEXT_OCTETS,
    binary(command=0x11),
    binary(command=0x31),
    binary(command=0x22),
    binary(kind=0x41),
    binary(kind=0x13),
    binary()[:14] + b"\0\x0b" + b"x" * 11,
    SIGNATURE[:11] + b"\r",
]


def read(wire: bytes, max_octets: int = 4096) -> tuple[Origin, bytes]:
    """Reads a header as the server does; also gives what was left on the wire."""
    held = b""
    while (found := parse(held, max_octets=max_octets)) is None:
        size = wanted(held)
        assert size >= 1
        if not wire:
            raise ProxyError("cut")
        held, wire = held + wire[:size], wire[size:]
    return found, wire


@pytest.mark.parametrize(("wire", "origin"), GOOD, ids=lambda value: repr(value)[:60])
def test_a_header_names_the_client_and_nothing_behind_it_is_read(wire: bytes, origin: Origin) -> None:
    # HAProxy, "The PROXY protocol", sections 2.1 and 2.2
    for behind in (b"", b"EHLO x\r\n", b"\x16\x03\x01" * 50):
        assert read(wire + behind) == (origin, behind)


@pytest.mark.parametrize("wire", BAD, ids=lambda value: repr(value)[:60])
def test_whatever_is_no_header_ends_it(wire: bytes) -> None:
    with pytest.raises(ProxyError) as caught:
        read(wire + b"EHLO client.example\r\n" * 8)
    assert caught.value.why


def test_the_longest_line_and_one_more() -> None:
    line = b"PROXY UNKNOWN ".ljust(MAX_TEXT_OCTETS - 2, b"x")
    assert read(line + b"\r\n") == (Origin(), b"")
    with pytest.raises(ProxyError, match=r"CRLF in time|too long"):
        read(line + b"x\r\n")


def test_the_longest_binary_header_and_one_more() -> None:
    # The length a header states is looked at before anything of that length is read.
    wire = binary(more=b"x" * 100)
    assert read(wire, len(wire))[0].ip == "192.0.2.7"
    with pytest.raises(ProxyError, match="more than"):
        parse(wire[:16], max_octets=len(wire) - 1)


@pytest.mark.parametrize(("wire", "origin"), GOOD, ids=lambda value: repr(value)[:60])
def test_a_header_that_is_cut_goes_on(wire: bytes, origin: Origin) -> None:
    for end in range(len(wire)):
        assert parse(wire[:end]) is None
    assert parse(wire) == origin


@given(st.binary(max_size=200))
def test_any_octets_are_a_header_or_are_refused(wire: bytes) -> None:
    try:
        origin, _ = read(wire)
    except ProxyError:
        return
    assert not origin.ip or ipaddress.ip_address(origin.ip)
