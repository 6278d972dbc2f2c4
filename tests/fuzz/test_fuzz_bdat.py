"""BDAT: the chunk reader whole, cut, and beside a plain reading; sessions with chunks of any octets."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from mailstack.smtp.chunks import ChunkReader
from tests.kit.bare_smtp import BareSmtp
from tests.kit.fuzzing import FUZZ

PIECES = st.sampled_from([b"\r\n", b"\r", b"\n", b"\n\r\n", b"\r\r\n", b".", b"\0", b"a", b"\xff", b"x" * 40])
WIRE = st.lists(st.one_of(PIECES, st.binary(max_size=8)), max_size=60).map(b"".join)


def run(blocks: list[bytes], *, is_binary: bool) -> tuple[bytes, bool, bool, bool, int]:
    reader = ChunkReader(max_octets=300, max_line_octets=100, is_binary=is_binary)
    taken = b""
    for block in blocks:
        reader.feed(block)
        taken += reader.take()
    reader.end()
    taken += reader.take()
    fault = reader.fault()
    taken = b"" if fault else taken
    return taken, fault is None, reader.had_bare_cr, reader.had_bare_lf, reader.size_octets


def plain(text: bytes) -> bytes:
    """Text, put right octet by octet."""
    out = b""
    for piece in re.findall(rb"\r\n|[\x00-\xff]", text):
        out += b"\r\n" if piece in (b"\r\n", b"\n") else b" " if piece == b"\r" else piece
    return out


def reference(wire: bytes, *, is_binary: bool) -> bytes:
    """What a message must be stored as."""
    if not is_binary:
        text = plain(wire)
        return text if not text or text.endswith(b"\r\n") else text + b"\r\n"
    end = re.search(rb"\A\r?\n|\n\r?\n", wire)
    cut = end.end() if end else len(wire)
    return plain(wire[:cut]) + wire[cut:]


@FUZZ
@given(WIRE, st.integers(1, 50), st.booleans())
def test_any_octets_in_any_chunks_give_the_same_message(wire: bytes, size: int, is_binary: bool) -> None:
    whole = run([wire], is_binary=is_binary)
    for step in (1, size):
        blocks = [wire[at : at + step] for at in range(0, len(wire), step)]
        assert run(blocks, is_binary=is_binary) == whole
    if whole[1]:
        assert whole[0] == reference(wire, is_binary=is_binary)


@FUZZ
@given(st.lists(WIRE, min_size=1, max_size=6), st.booleans(), st.booleans())
def test_chunks_of_any_octets_are_never_commands(
    chunks: list[bytes], is_good: bool, is_pipelined: bool
) -> None:
    # S37: however a chunk is answered, the next command is read behind it.
    session = BareSmtp()
    wire = [b"EHLO x\r\n"]
    if is_good:
        wire += [b"MAIL FROM:<a@b.test> BODY=BINARYMIME\r\n", b"RCPT TO:<bob@example.test>\r\n"]
    for n, octets in enumerate(chunks):
        wire.append(b"BDAT %d%s\r\n%s" % (len(octets), b" LAST" if n == len(chunks) - 1 else b"", octets))
    session.send(wire[0])
    session._lines.clear()
    for block in [b"".join(wire[1:])] if is_pipelined else wire[1:]:
        session.send(block)
    said = [line[:3] for line in session._lines]
    assert len(said) == len(wire) - 1
    if not is_good:
        assert set(said) == {b"503"}
    elif said[-1] == b"250":
        assert session.acceptor.taken[0][1] == reference(b"".join(chunks), is_binary=True)
