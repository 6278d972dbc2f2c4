"""The dot reader: whole, octet by octet and a plain reading all agree."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailstack.smtp.data import DotReader
from tests.kit import dot_reference
from tests.kit.fuzzing import FUZZ

PIECES = st.sampled_from(
    [b"\r\n", b"\r", b"\n", b".", b"..", b"\0", b"\r\n.\r\n", b"\n.\n", b"\r.\r", b"a", b"\xff", b"x" * 40]
)
WIRE = st.lists(st.one_of(PIECES, st.binary(max_size=8)), max_size=60).map(b"".join)


def run(blocks: list[bytes]) -> tuple[bytes, bool, bytes | None, bool, bool, int]:
    reader = DotReader(max_octets=300, max_line_octets=100)
    taken, rest = b"", None
    for block in blocks:
        if rest is not None:
            rest += block
            continue
        rest = reader.feed(block)
        if not reader.is_dropping:
            taken += reader.take()
    fault = reader.fault()
    taken = b"" if fault or rest is None else taken
    return taken, fault is None, rest, reader.had_bare_cr, reader.had_bare_lf, reader.size_octets


@FUZZ
@given(WIRE, st.integers(1, 50))
def test_any_octets_in_any_blocks_give_the_same_message(wire: bytes, size: int) -> None:
    whole = run([wire])
    if whole[2] is None:
        return  # without an end the last octets are undecided
    for step in (1, size):
        assert run([wire[at : at + step] for at in range(0, len(wire), step)]) == whole


@FUZZ
@given(WIRE)
def test_a_plain_reading_agrees(wire: bytes) -> None:
    expected = dot_reference.read(wire)
    taken, is_good, rest, *_ = run([wire])
    if expected is None:
        assert rest is None
        return
    message, is_suspect, after = expected
    assert rest == after
    is_long = len(message) > 300 or max(map(len, message.split(b"\r\n"))) > 100
    assert is_good == (not is_suspect and not is_long)
    if is_good:
        assert taken == message
