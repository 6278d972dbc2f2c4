"""Lines: their ends, their caps, and what becomes of one that is too long."""

from __future__ import annotations

import pytest

from mailstack.pop3.errors import Bad, HangUp
from mailstack.pop3.lines import DROPPED_OCTETS, LineReader


def read(*pieces: bytes, most: int = 255) -> list[bytes | str]:
    reader = LineReader()
    out: list[bytes | str] = []
    for piece in pieces:
        reader.feed(piece)
        while True:
            try:
                line = reader.next(most)
            except (Bad, HangUp) as error:
                out.append(error.text)
                if isinstance(error, HangUp):
                    return out
                continue
            if line is None:
                break
            out.append(line)
    return out


def test_a_line_ends_at_crlf_and_nowhere_else() -> None:
    assert read(b"a\r\nb\nc\r", b"\nd\re\r\n\r\nrest") == [b"a", b"b\nc", b"d\re", b""]


@pytest.mark.parametrize("length", [252, 253, 254, 255, 10_000])
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_a_line_has_255_octets_with_its_end(length: int, step: int) -> None:
    wire = b"x" * length + b"\r\nNOOP\r\n"
    first = b"x" * length if length <= 253 else "The line is too long"
    assert read(*(wire[at : at + step] for at in range(0, len(wire), step))) == [first, b"NOOP"]


def test_a_line_without_end_is_not_read_for_ever() -> None:
    assert read(b"x" * 300, b"y" * DROPPED_OCTETS) == ["The line is too long", "The line does not end"]


def test_an_exchange_may_have_longer_lines() -> None:
    assert read(b"x" * 1000 + b"\r\n", most=12_290) == [b"x" * 1000]
