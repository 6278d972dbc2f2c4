"""The octets of BDAT: text is put right, binary is kept."""

from __future__ import annotations

import pytest

from mailstack.smtp.chunks import ChunkReader


def read(*blocks: bytes, is_binary: bool = False, octets: int = 100_000) -> ChunkReader:
    reader = ChunkReader(max_octets=octets, max_line_octets=1000, is_binary=is_binary)
    for block in blocks:
        reader.feed(block)
    reader.end()
    return reader


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (b"", b""),
        (b"a: b\r\n\r\n.\r\n..\r\n.x\r\n", b"a: b\r\n\r\n.\r\n..\r\n.x\r\n"),
        (b"a\nb\rc\r\n", b"a\r\nb c\r\n"),
        (b"x\n.\ny\r\n", b"x\r\n.\r\ny\r\n"),
        (b"no end", b"no end\r\n"),
        (b"bare end\r", b"bare end \r\n"),
        (b"\r\r\n", b" \r\n"),
        (b"a\0b\r\n", b"a\0b\r\n"),
    ],
    ids=repr,
)
def test_text_has_one_reading_however_it_is_cut(wire: bytes, message: bytes) -> None:
    # T1, S37: no dot ends anything, none is taken off
    whole, single = read(wire), read(*(wire[at : at + 1] for at in range(len(wire))))
    assert whole.take() == single.take() == message
    assert whole.size_octets == single.size_octets == len(message)
    assert (whole.had_bare_cr, whole.had_bare_lf) == (single.had_bare_cr, single.had_bare_lf)


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (b"a: b\r\n\r\n\n\r\0\xff\r\n.\r\n\r", b"a: b\r\n\r\n\n\r\0\xff\r\n.\r\n\r"),
        (b"a: b\nc: d\r\r\n\r\n\n\r", b"a: b\r\nc: d \r\n\r\n\n\r"),
        (b"a: b\n\n\n\r", b"a: b\r\n\r\n\n\r"),
        (b"a: b\n\r\n\n\r", b"a: b\r\n\r\n\n\r"),
        (b"\r\n\n\r", b"\r\n\n\r"),
        (b"a: b\r\n\r\r\n\n", b"a: b\r\n \r\n\r\n"),
        (b"only: header", b"only: header"),
    ],
    ids=repr,
)
def test_a_binary_body_keeps_every_octet(wire: bytes, message: bytes) -> None:
    # RFC 3030 section 3; the header is text (T1)
    whole = read(wire, is_binary=True)
    single = read(*(wire[at : at + 1] for at in range(len(wire))), is_binary=True)
    assert whole.take() == single.take() == message
    assert whole.size_octets == len(message)


def test_limits_hold_and_nothing_is_held_beyond_them() -> None:
    # S5, S13
    assert read(b"x" * 1000 + b"\r\n").fault() is None
    long = read(b"x" * 1001)
    assert long.fault() is not None
    assert long.held_octets == 0
    large = read(*[b"y\r\n" * 100] * 10, octets=2999)
    assert large.fault() is not None
    assert (large.is_dropping, large.held_octets, large.take()) == (True, 0, b"")
    assert read(b"a: b\r\n\r\n" + b"z" * 50_000, is_binary=True).fault() is None
