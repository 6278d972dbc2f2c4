"""DEFLATE: whatever octets come, they inflate in bounded pieces or end the connection."""

from __future__ import annotations

import itertools
import zlib

from hypothesis import given
from hypothesis import strategies as st

from mailstack.model.asking import HangUp
from mailstack.net.deflate import Deflate
from tests.kit.fuzzing import FUZZ


def packed(text: bytes, bits: int, level: int) -> bytes:
    pack = zlib.compressobj(level, zlib.DEFLATED, bits)
    return pack.compress(text) + pack.flush(zlib.Z_SYNC_FLUSH)


STREAMS = st.builds(
    packed,
    st.one_of(
        st.binary(max_size=400),
        st.builds(lambda text, n: text * n, st.binary(max_size=9), st.integers(0, 5_000)),
    ),
    st.integers(-15, -9),
    st.integers(0, 9),
)


def unpack_all(pieces: list[bytes], most: int) -> bytes:
    deflate, out = Deflate(), []
    for piece in pieces:
        out.append(deflate.unpack(piece, most))
        while deflate.has_more:
            out.append(deflate.unpack(b"", most))
    assert all(len(text) <= most for text in out)
    return b"".join(out)


@FUZZ
@given(
    st.one_of(st.binary(max_size=300), STREAMS),
    st.integers(0, 300),
    st.binary(max_size=4),
    st.integers(1, 5_000),
)
def test_hostile_octets_end_in_text_or_in_a_hang_up(octets: bytes, at: int, noise: bytes, most: int) -> None:
    try:
        unpack_all([octets[:at] + noise + octets[at + len(noise) :]], most)
    except HangUp:
        pass


@FUZZ
@given(STREAMS, st.lists(st.integers(0, 500), max_size=5), st.integers(1, 5_000))
def test_where_packets_are_cut_does_not_matter(octets: bytes, cuts: list[int], most: int) -> None:
    bounds = [0, *sorted(cuts), max([len(octets), *cuts])]
    pieces = [octets[low:high] for low, high in itertools.pairwise(bounds)]
    assert (
        unpack_all(pieces, most) == unpack_all([octets], 65_536) == zlib.decompressobj(-15).decompress(octets)
    )


@FUZZ
@given(st.lists(st.tuples(st.binary(max_size=300), st.booleans()), max_size=8))
def test_what_we_send_can_be_read_after_every_write(texts: list[tuple[bytes, bool]]) -> None:
    ours, theirs = Deflate(), zlib.decompressobj(-15)
    for text, rests in texts:
        assert theirs.decompress(ours.pack(text)) == text
        if rests:
            ours.rest()
