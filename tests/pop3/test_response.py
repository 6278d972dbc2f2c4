"""Dots and the lines of TOP, however the message is cut into pieces."""

from __future__ import annotations

import pytest

from mailstack.pop3.response import DotStuffer, TopCutter, err, ok

MESSAGES = [
    b"",
    b".\r\n",
    b"..\r\n",
    b"\r\n.\r\n",
    b".",
    b"a\r\n.\r\n.b\r\n..c",
    b"Subject: x\r\n\r\nbody\r\n",
    b"\r\n.\r\n.\r\n\r\n",
]


def pieces(data: bytes, step: int) -> list[bytes]:
    return [data[at : at + step] for at in range(0, len(data), step)]


def unstuffed(wire: bytes) -> bytes:
    """What a client makes of a multi-line response."""
    assert wire.endswith(b".\r\n")
    lines = wire.split(b"\r\n")
    assert b"." not in lines[:-2] and lines[-2:] == [b".", b""]
    return b"".join(line.removeprefix(b".") + b"\r\n" for line in lines[:-2])


@pytest.mark.parametrize("data", MESSAGES)
@pytest.mark.parametrize("step", [1, 2, 3, 100])
def test_dots_are_transparent(data: bytes, step: int) -> None:
    # POP7
    stuffer = DotStuffer()
    wire = b"".join(stuffer.add(piece) for piece in pieces(data, step)) + stuffer.finish()
    assert unstuffed(wire) == data + (b"" if not data or data.endswith(b"\r\n") else b"\r\n")


@pytest.mark.parametrize(
    ("data", "lines", "passed"),
    [
        (b"A: b\r\nC: d\r\n\r\n1\r\n2\r\n3\r\n", 0, b"A: b\r\nC: d\r\n\r\n"),
        (b"A: b\r\nC: d\r\n\r\n1\r\n2\r\n3\r\n", 2, b"A: b\r\nC: d\r\n\r\n1\r\n2\r\n"),
        (b"A: b\r\nC: d\r\n\r\n1\r\n2\r\n3\r\n", 9, b"A: b\r\nC: d\r\n\r\n1\r\n2\r\n3\r\n"),
        (b"A: b\r\n\r\n1\r\n2", 1, b"A: b\r\n\r\n1\r\n"),
        (b"A: b\r\n\r\n1\r\n2", 2, b"A: b\r\n\r\n1\r\n2"),
        (b"\r\n1\r\n2\r\n", 1, b"\r\n1\r\n"),
        (b"\r\n1\r\n2\r\n", 0, b"\r\n"),
        (b"A: only a header\r\n", 3, b"A: only a header\r\n"),
        (b"", 3, b""),
    ],
)
@pytest.mark.parametrize("step", [1, 2, 3, 100])
def test_top_cuts_behind_its_lines(data: bytes, lines: int, passed: bytes, step: int) -> None:
    cutter = TopCutter(lines)
    out = b""
    for piece in pieces(data, step):
        if cutter.is_done:
            break
        out += cutter.add(piece)
    assert out == passed


def test_codes_stand_in_brackets() -> None:
    assert ok("") == b"+OK\r\n" and ok("Goodbye") == b"+OK Goodbye\r\n"
    assert err("no", "SYS/TEMP") == b"-ERR [SYS/TEMP] no\r\n" and err("no") == b"-ERR no\r\n"
