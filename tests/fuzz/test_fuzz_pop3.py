"""POP3: whatever octets come, the answers are POP3, and the cut of the packets never matters."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mailstack.pop3.response import DotStuffer, TopCutter
from tests.kit.bare_pop3 import BarePop3
from tests.kit.bare_session import message
from tests.kit.fuzzing import FUZZ
from tests.kit.memory_mailbox import MemoryMailbox

_DICTIONARY = Path(__file__).parent / "dictionaries" / "pop3.txt"
#: One word a line, in Python's escapes, ended by "|" so that a space at the end can be seen.
WORDS = [
    line.removesuffix("|").encode().decode("unicode_escape").encode("latin-1")
    for line in _DICTIONARY.read_text().splitlines()
]
OCTETS = st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=6)), max_size=40).map(b"".join)
COMMANDS = st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=300)), max_size=30).map(
    lambda lines: b"".join(line + b"\r\n" for line in lines)
)
_STATUS = re.compile(rb"(?:\+OK|-ERR)(?: [\x20-\x7e]*)?\r\n|\+ [A-Za-z0-9+/=]*\r\n")
_LINE = re.compile(rb"[^\r\n]*\r\n")


def converse(*pieces: bytes, user: bool) -> tuple[bytes, bool]:
    store = MemoryMailbox()
    store.add("INBOX", message(body=".\r\n..\r\nend"))
    store.add("Promotions", b'Subject: \xff"\\\r\n\r\n\0')
    session = BarePop3(store)
    if user:
        session.log_in()
    session.take()
    session.send(*pieces)
    return session.take(), session.closed


def check(output: bytes) -> None:
    """Status lines, and behind some of them lines up to a dot."""
    at = 0
    while at < len(output):
        status = _STATUS.match(output, at)
        assert status is not None, output[at:]
        assert len(status[0]) <= 512
        at = status.end()
        if status[0].startswith(b"+OK") and not _STATUS.match(output, at) and at < len(output):
            while True:
                line = _LINE.match(output, at)
                assert line is not None, output[at:]
                at = line.end()
                if line[0] == b".\r\n":
                    break


@FUZZ
@given(st.one_of(OCTETS, COMMANDS), st.booleans())
def test_clients_get_answers_whatever_they_send(wire: bytes, user: bool) -> None:
    whole = converse(*filter(None, [wire]), user=user)
    assert whole == converse(*(wire[at : at + 1] for at in range(len(wire))), user=user)
    check(whole[0])


@FUZZ
@given(
    st.lists(st.sampled_from([b"\r\n", b".", b"a", b"\r", b"\n", b" "]), max_size=30).map(b"".join),
    st.lists(st.integers(1, 5), min_size=30, max_size=30),
)
def test_dots_and_cuts_do_not_depend_on_the_pieces(data: bytes, steps: list[int]) -> None:
    pieces, at = [], 0
    for step in steps:
        pieces.append(data[at : at + step])
        at += step
    pieces.append(data[at:])
    whole, stuffer = DotStuffer(), DotStuffer()
    wire = whole.add(data) + whole.finish()
    assert wire == b"".join(stuffer.add(piece) for piece in pieces) + stuffer.finish()
    assert b"\r\n.\r\n" not in wire[:-3] + b"x" and wire.endswith(b".\r\n")
    cutter, other = TopCutter(2), TopCutter(2)
    cut = cutter.add(data)
    out = b""
    for piece in pieces:
        if not other.is_done and piece:
            out += other.add(piece)
    assert out == cut
