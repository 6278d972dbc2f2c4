"""Lines of tokens: what is taken, what is refused, what ends the connection."""

from __future__ import annotations

import pytest

from mailstack.managesieve.errors import Bad, HangUp
from mailstack.managesieve.framing import (
    DRAIN_OCTETS,
    LINE_OCTETS,
    LITERAL_OCTETS,
    MAX_TOKENS,
    Atom,
    Dropped,
    Framer,
    Token,
)


def read(*pieces: bytes, trusted: bool = False, literal_octets: int = LITERAL_OCTETS) -> list[Token] | None:
    framer = Framer()
    framer.is_trusted, framer.literal_octets = trusted, literal_octets
    for piece in pieces[:-1]:
        framer.feed(piece)
        assert framer.next() is None
    framer.feed(pieces[-1])
    return framer.next()


@pytest.mark.parametrize(
    ("wire", "tokens"),
    [
        (b"\r\n", []),
        (b"  \r\n", []),
        (b"noop\r\n", [Atom(b"NOOP")]),
        (b'NOOP "a b"\r\n', [Atom(b"NOOP"), b"a b"]),
        (b'NOOP  ""  \r\n', [Atom(b"NOOP"), b""]),
        (rb'NOOP "a\"\\b"' + b"\r\n", [Atom(b"NOOP"), b'a"\\b']),
        (b'HAVESPACE "x" 12\r\n', [Atom(b"HAVESPACE"), b"x", 12]),
        (b'HAVESPACE "x" 0\r\n', [Atom(b"HAVESPACE"), b"x", 0]),
        (b'HAVESPACE "x" 4294967295\r\n', [Atom(b"HAVESPACE"), b"x", 4294967295]),
        (b"NOOP {3+}\r\na\r\n\r\n", [Atom(b"NOOP"), b"a\r\n"]),
        (b"NOOP {0+}\r\n\r\n", [Atom(b"NOOP"), b""]),
        (b'PUTSCRIPT {1+}\r\na "x"\r\n', [Atom(b"PUTSCRIPT"), b"a", b"x"]),
        (b"PUTSCRIPT {1+}\r\na {2+}\r\n\0\xff\r\n", [Atom(b"PUTSCRIPT"), b"a", b"\0\xff"]),
        (b"{3+}\r\nabc\r\n", [b"abc"]),
        (b'"\xc3\xa9\t"\r\n', [b"\xc3\xa9\t"]),
        (b"NOOP 1a\r\n", [Atom(b"NOOP"), Atom(b"1A")]),
        (b'NOOP "{5+}"\r\n', [Atom(b"NOOP"), b"{5+}"]),
    ],
    ids=repr,
)
def test_a_line_is_cut_into_its_tokens(wire: bytes, tokens: list[Token]) -> None:
    assert read(wire) == tokens
    assert read(*(wire[at : at + 1] for at in range(len(wire)))) == tokens


@pytest.mark.parametrize(
    "line",
    [
        b'NOOP "a',
        b'NOOP a"b"',
        b'NOOP "a"b',
        b'NOOP "a""b"',
        rb'NOOP "\a"',
        b'NOOP "a\rb"',
        b'NOOP "a\nb"',
        b'NOOP "a\0b"',
        b"NOOP (a)",
        b"NOOP \\",
        b"NOOP\tx",
        b"NO\xc3\xa9P",
        b'HAVESPACE "x" 012',
        b'HAVESPACE "x" 4294967296',
        b'HAVESPACE "x" 99999999999999999999',
        b"NOOP " + b"a " * MAX_TOKENS,
        b"a" * 1025,
    ],
    ids=lambda line: repr(line[:30]),
)
def test_what_is_written_wrongly_is_refused_and_the_next_line_is_read(line: bytes) -> None:
    framer = Framer()
    framer.feed(line + b"\r\nNOOP\r\n")
    with pytest.raises(Bad):
        framer.next()
    assert framer.next() == [Atom(b"NOOP")]


@pytest.mark.parametrize(
    "line",
    [
        b"NOOP {3}",  # who knows whether the octets follow
        b'NOOP "a {3+}',
        b"NOOP x{3+}",
        b"NOOP {-1+}",
        b"NOOP {+}",
        b"NOOP {3+} ",
        b"NOOP {3++}",
        b"NOOP {999999999999999999999+}",
    ],
)
def test_what_could_be_a_literal_ends_the_connection(line: bytes) -> None:
    with pytest.raises(HangUp):
        read(line + b"\r\n", trusted=True)


def test_something_glued_to_a_literal_is_refused() -> None:
    with pytest.raises(Bad):
        read(b'NOOP {1+}\r\nax "b"\r\n')


def test_a_line_may_be_so_long_and_no_longer() -> None:
    # All lines of one command together.
    quoted = b'"' + b"a" * (LINE_OCTETS - 7) + b'"'
    assert read(b"NOOP " + quoted + b"\r\n") == [Atom(b"NOOP"), quoted[1:-1]]
    assert read(b"NOOP " + quoted, b"\r", b"\n") == [Atom(b"NOOP"), quoted[1:-1]]
    for pieces in ([b"NOOP " + quoted + b" \r\n"], [b"NOOP " + quoted, b" "]):
        with pytest.raises(HangUp, match="too long"):
            read(*pieces)
    with pytest.raises(HangUp, match="too long"):
        read(b"NOOP {0+}\r\n " + quoted + b"\r\n")


def test_a_stranger_may_send_8_kib_of_literals_and_no_more() -> None:
    # G1: nothing of it is read first.
    text = b"a" * LITERAL_OCTETS
    assert read(b"NOOP {%d+}\r\n%b\r\n" % (LITERAL_OCTETS, text)) == [Atom(b"NOOP"), text]
    for wire in (b"NOOP {8193+}\r\n", b"NOOP {100000000+}\r\n", b"NOOP {8192+}\r\n" + text + b" {1+}\r\n"):
        with pytest.raises(HangUp, match="too long"):
            read(wire)


def test_a_user_has_literals_that_are_too_long_read_and_dropped() -> None:
    # G3: memory stays flat.
    framer = Framer()
    framer.is_trusted, framer.literal_octets = True, 100
    framer.feed(b'PUTSCRIPT "x" {1000000+}\r\n')
    for _ in range(1_000):
        assert framer.next() is None
        assert framer.held == 0
        framer.feed(b"x" * 1_000)
    framer.feed(b"\r\nNOOP\r\n")
    assert framer.next() == [Atom(b"PUTSCRIPT"), b"x", Dropped(1_000_000)]
    assert framer.next() == [Atom(b"NOOP")]


def test_what_is_dropped_has_a_bound_too() -> None:
    for wire in (
        b"X {%d+}\r\n" % (DRAIN_OCTETS + 1),
        b"X {200+}\r\n" + b"x" * 200 + b" {%d+}\r\n" % (DRAIN_OCTETS - 199),
    ):
        with pytest.raises(HangUp) as caught:
            read(wire, trusted=True, literal_octets=100)
        assert caught.value.code == "QUOTA/MAXSIZE"
