"""DEFLATE on a connection: bounded, flushed, and hung up on when it is none (RFC 4978, T70)."""

from __future__ import annotations

import zlib

import pytest

from mailstack.model.asking import HangUp
from mailstack.net.deflate import Deflate


def packed(data: bytes, *, bits: int = -15) -> bytes:
    """What a peer sends."""
    pack = zlib.compressobj(9, zlib.DEFLATED, bits)
    return pack.compress(data) + pack.flush(zlib.Z_SYNC_FLUSH)


def unpack_all(deflate: Deflate, data: bytes, most: int) -> list[bytes]:
    """Everything there is, in the pieces it comes in."""
    pieces = [deflate.unpack(data, most)]
    while deflate.has_more:
        pieces.append(deflate.unpack(b"", most))
    return pieces


def test_every_write_can_be_read_at_once_and_memory_is_given_back_in_between() -> None:
    ours, peer = Deflate(), zlib.decompressobj(-15)
    for number in range(50):
        text = b"* %d EXISTS\r\n" % number * 100
        assert peer.decompress(ours.pack(text)) == text
        if number % 7 == 0:
            ours.rest()


@pytest.mark.parametrize("bits", [-9, -12, -15])
def test_the_peer_may_use_any_window(bits: int) -> None:
    text = bytes(range(256)) * 300
    assert b"".join(unpack_all(Deflate(), packed(text, bits=bits), 1_000)) == text


def test_a_bomb_comes_out_in_bounded_pieces() -> None:
    bomb = packed(bytes(20_000_000))
    assert len(bomb) < 40_000
    pieces = unpack_all(Deflate(), bomb, 16_384)
    assert max(map(len, pieces)) == 16_384 and sum(map(len, pieces)) == 20_000_000


def test_an_octet_at_a_time_is_enough() -> None:
    deflate, found = Deflate(), b""
    for octet in packed(b"a NOOP\r\n" * 50):
        found += b"".join(unpack_all(deflate, bytes([octet]), 7))
    assert found == b"a NOOP\r\n" * 50


@pytest.mark.parametrize("wrong", [b"a NOOP\r\n", b"\xff" * 10, zlib.compress(b"x")])
def test_what_is_no_deflate_is_hung_up_on(wrong: bytes) -> None:
    with pytest.raises(HangUp):
        unpack_all(Deflate(), wrong, 100)


def test_a_stream_that_ends_is_hung_up_on() -> None:
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    with pytest.raises(HangUp, match="ended"):
        unpack_all(Deflate(), pack.compress(b"a NOOP\r\n") + pack.flush() + b"b NOOP\r\n", 100)
