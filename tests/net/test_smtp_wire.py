"""Lines and counted octets out of one stream, however it was cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailstack.net.smtp_wire import SmtpWire

STREAM = st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"a", b"bc", b"\r\n\r\n", b"\0"]), max_size=40).map(
    b"".join
)


def bare_wire() -> SmtpWire:
    """Without a connection: what holds input needs none."""
    wire = SmtpWire.__new__(SmtpWire)
    wire._chunks, wire._lines, wire._buffer, wire._held = [], [], b"", 0
    return wire


class Plain:
    """The same, on one string of octets."""

    def __init__(self, stream: bytes) -> None:
        self.rest = stream

    def line(self) -> bytes | None:
        line, end, rest = self.rest.partition(b"\r\n")
        if not end:
            return None
        self.rest = rest
        return line

    def take(self, most: int) -> bytes:
        taken, self.rest = self.rest[:most], self.rest[most:]
        return taken


@given(STREAM, st.lists(st.integers(0, 12), max_size=30), st.integers(1, 9))
def test_lines_and_chunks_are_those_of_the_stream(stream: bytes, steps: list[int], size: int) -> None:
    """A step of 0 asks for a line, any other for so many octets."""
    wire, plain = bare_wire(), Plain(stream)
    wire._chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    for most in steps:
        if most:
            assert wire._take(most) == plain.take(most)
        else:
            assert wire._next_line() == plain.line()
    assert wire._take(1000) == plain.rest
    assert not wire._has_pending()


@given(st.lists(STREAM, max_size=6), st.lists(st.integers(0, 12), max_size=30))
def test_what_comes_later_is_put_behind(pieces: list[bytes], steps: list[int]) -> None:
    wire, plain = bare_wire(), Plain(b"")
    for n, most in enumerate(steps):
        if n < len(pieces) and pieces[n]:
            wire._chunks.append(pieces[n])
            plain.rest += pieces[n]
        if most:
            assert wire._take(most) == plain.take(most)
        else:
            assert wire._next_line() == plain.line()
