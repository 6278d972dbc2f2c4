"""The octets after DATA: where they end, what they say, what is refused."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.smtp.data import DotReader
from tests.kit import dot_reference

END = b"\r\n.\r\n"
LINE = 65_536
SIZE = 1_000_000

#: Octets that make the reader think, and some that do not.
WIRE = st.lists(
    st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"\0", b"a", b"bc", b" ", b"\r\n.", END, b"\0.\0"]),
    max_size=30,
).map(b"".join)


def read(blocks: Iterable[bytes], *, size: int = SIZE, line: int = LINE) -> tuple[bytes, str, bytes | None]:
    """Message, refusal, rest."""
    reader = DotReader(max_octets=size, max_line_octets=line)
    rest = None
    for block in blocks:
        assert rest is None
        rest = reader.feed(block)
    fault = reader.fault()
    return reader.take(), "" if fault is None else str(fault)[:10].strip(), rest


def cut(wire: bytes, size: int) -> list[bytes]:
    return [wire[at : at + size] for at in range(0, len(wire), size)]


# -- the end -------------------------------------------------------------------------------


def test_a_message_ends_at_its_lone_dot_and_the_rest_is_the_next_command() -> None:
    # RFC 5321 section 4.5.2
    assert read([b"Subject: x\r\n\r\nhello\r\n.\r\nQUIT\r\n"]) == (
        b"Subject: x\r\n\r\nhello\r\n",
        "",
        b"QUIT\r\n",
    )


def test_an_empty_message_ends_at_once() -> None:
    # S39
    assert read([b".\r\n"]) == (b"", "", b"")
    assert read([b".", b"\r", b"\n"]) == (b"", "", b"")


@pytest.mark.parametrize(
    "ending",
    [
        b"\n.\n",
        b"\r\n.\n",
        b"\n.\r\n",
        b"\r.\r",
        b"\r\n.\r",
        b"\r.\r\n",
        b"\r\n\0.\r\n",
        b"\r\n.\0\r\n",
        b"\r\r\n.\n",
        b"\n.\r",
    ],
    ids=repr,
)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_a_dot_between_wrong_line_ends_is_no_end_and_is_refused_at_the_true_one(
    ending: bytes, size: int
) -> None:
    # S1, S2, T1; RFC 5321 section 2.3.8
    wire = b"hello" + ending + b"MAIL FROM:<admin@bank.example>\r\nx" + END + b"NOOP\r\n"
    blocks = cut(wire[: wire.index(END) + 5], size)
    message, refusal, rest = read([*blocks[:-1], blocks[-1] + b"NOOP\r\n"])
    assert refusal == "550 5.6.11"
    assert message == b""
    assert rest == b"NOOP\r\n"


def test_a_bare_cr_before_the_end_is_refused() -> None:
    assert read([b"hello\r\r\n.\r\n"])[1] == "550 5.6.11"
    assert read([b"hello\r", b"\r", b"\n", b".\r\n"])[1] == "550 5.6.11"


def test_many_nuls_before_a_dot_are_just_text() -> None:
    wire = b"a\r\n" + b"\0" * 33 + b".\r\nb" + END
    assert read([wire]) == (wire[:-3], "", b"")
    assert read(cut(wire, 1)) == (wire[:-3], "", b"")


# -- line ends -----------------------------------------------------------------------------


def test_bare_lf_becomes_crlf() -> None:
    # S4
    reader = DotReader(max_octets=SIZE, max_line_octets=LINE)
    reader.feed(b"From: a@b\n\none\ntwo" + END)
    assert reader.take() == b"From: a@b\r\n\r\none\r\ntwo\r\n"
    assert (reader.had_bare_lf, reader.had_bare_cr) == (True, False)


def test_bare_cr_becomes_a_space_so_that_no_header_appears() -> None:
    # S3
    reader = DotReader(max_octets=SIZE, max_line_octets=LINE)
    reader.feed(b"Subject: x\rBcc: y@z\r\n\r\na\r\rb" + END)
    assert reader.take() == b"Subject: x Bcc: y@z\r\n\r\na  b\r\n"
    assert (reader.had_bare_lf, reader.had_bare_cr) == (False, True)


def test_a_clean_message_is_stored_as_it_is() -> None:
    body = b"From here\r\n\r\n" + bytes(range(0x20, 0x100)) + b"\r\n\x0b\x0c\x1c\xc2\x85\r\n"
    reader = DotReader(max_octets=SIZE, max_line_octets=LINE)
    reader.feed(body + b".\r\n")
    assert reader.take() == body
    assert not reader.had_bare_cr
    assert not reader.had_bare_lf


# -- dots ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100_000])
def test_dot_stuffing_is_undone(size: int) -> None:
    # RFC 5321 section 4.5.2
    message = b".\r\n..\r\na.b\r\n" + b".\r\n" * 5000 + b"...end\r\n"
    stuffed = b"".join(
        b"." + line if line[:1] == b"." else line for line in message.splitlines(keepends=True)
    )
    assert read(cut(stuffed + b".\r\n", size)) == (message, "", b"")


def test_dots_behind_a_bare_lf_are_undone_too() -> None:
    assert read([b"a\n..b\n.c\r\n.\r\n"]) == (b"a\r\n.b\r\nc\r\n", "", b"")


def test_a_dot_behind_a_bare_cr_is_text() -> None:
    assert read([b"a\r.b\r\n.\r\n"]) == (b"a .b\r\n", "", b"")


# -- limits --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "refusal"),
    [(998, ""), (999, ""), (1000, ""), (65_535, ""), (65_536, ""), (65_537, "554 5.6.0")],
)
@pytest.mark.parametrize("size", [1000, 65_536, 65_537, 200_000])
@pytest.mark.parametrize("before", [b"", b"x\r\ny\r\n", b"x" * 65_536 + b"\r\n"], ids=len)
def test_lines_up_to_64_kib_pass_unchanged(length: int, refusal: str, size: int, before: bytes) -> None:
    # S5
    wire = before + b"z" * length + b"\r\nafter\r\n"
    message, refused, _ = read(cut(wire + b".\r\n", size))
    assert refused == refusal
    assert message == (b"" if refusal else wire)


def test_the_limit_of_lines_counts_without_the_stuffed_dot() -> None:
    assert read([b".." + b"x" * 9 + END], line=10)[1] == ""
    assert read([b".." + b"x" * 10 + END], line=10)[1] == "554 5.6.0"


def test_a_message_of_the_limit_passes_and_one_octet_more_does_not() -> None:
    body = b"x" * 998 + b"\r\n"
    assert read([body, b".\r\n"], size=1000) == (body, "", b"")
    assert read([b"y" + body, b".\r\n"], size=1000) == (b"", "552 5.3.4", b"")


def test_what_will_be_refused_is_not_kept() -> None:
    reader = DotReader(max_octets=100_000, max_line_octets=LINE)
    block = b"x" * 65_534 + b"\r\n"
    tracemalloc.start()
    for _ in range(160):
        assert reader.feed(block) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reader.is_dropping
    assert reader.held_octets == 0
    assert peak < 1_000_000
    assert reader.feed(b".\r\n") == b""


def test_an_endless_line_keeps_memory_flat() -> None:
    # S5: 10 M octets without a line end
    reader = DotReader(max_octets=50_000_000, max_line_octets=LINE)
    tracemalloc.start()
    for _ in range(160):
        reader.feed(b"x" * 65_536)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    reader.feed(END)
    assert str(reader.fault())[:9] == "554 5.6.0"


def test_blocks_can_be_taken_on_the_way() -> None:
    reader = DotReader(max_octets=SIZE, max_line_octets=LINE)
    taken = b""
    for block in cut(b"one\r\ntwo\r\n..three\r\n.\r\n", 5):
        reader.feed(block)
        taken += reader.take()
        assert reader.held_octets == 0
    assert taken == b"one\r\ntwo\r\n.three\r\n"
    assert reader.size_octets == len(taken)


# -- properties ----------------------------------------------------------------------------


@given(WIRE, st.lists(st.integers(1, 9), min_size=1))
def test_chunking_never_changes_the_result(wire: bytes, sizes: list[int]) -> None:
    wire = wire.replace(END, b"") + b"z" + END
    wire = wire[: (b"\r\n" + wire).index(END) + 3]
    blocks, at = [], 0
    while at < len(wire):
        size = sizes[len(blocks) % len(sizes)]
        blocks.append(wire[at : at + size])
        at += size
    assert read(blocks) == read([wire]) == read(cut(wire, 1))


@given(WIRE)
def test_the_reader_agrees_with_a_plain_reading(wire: bytes) -> None:
    expected = dot_reference.read(wire)
    message, refusal, rest = read([wire])
    if expected is None:
        assert rest is None
        return
    assert rest == expected[2]
    assert (refusal == "550 5.6.11") == expected[1]
    if not refusal:
        assert message == expected[0]


@given(st.lists(st.binary(max_size=20).filter(lambda line: not set(line) & set(b"\r\n")), max_size=10))
def test_what_a_clean_client_stuffs_comes_out_as_it_was(lines: list[bytes]) -> None:
    message = b"".join(line + b"\r\n" for line in lines)
    stuffed = b"".join((b"." if line[:1] == b"." else b"") + line + b"\r\n" for line in lines)
    got, refusal, rest = read([stuffed + b".\r\n"])
    assert rest == b""
    assert (got == message) or refusal == "550 5.6.11"
