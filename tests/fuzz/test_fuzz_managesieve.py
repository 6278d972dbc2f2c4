"""ManageSieve: whatever octets come, the answers are ManageSieve, and how packets are cut never matters."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.kit.bare_managesieve import BareManageSieve
from tests.kit.fuzzing import FUZZ

_DICTIONARY = Path(__file__).parent / "dictionaries" / "managesieve.txt"
#: One word a line, in Python's escapes, ended by "|" so that a space at the end can be seen.
WORDS = [
    line.removesuffix("|").encode().decode("unicode_escape").encode("latin-1")
    for line in _DICTIONARY.read_text().splitlines()
]
OCTETS = st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=6)), max_size=40).map(b"".join)
COMMANDS = st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=300)), max_size=30).map(
    lambda lines: b"".join(line + b"\r\n" for line in lines)
)
LITERALS = st.lists(
    st.tuples(
        st.sampled_from([b'PUTSCRIPT "a" ', b"CHECKSCRIPT ", b"NOOP ", b"SETACTIVE "]), st.binary(max_size=80)
    ),
    max_size=10,
).map(lambda all_: b"".join(word + b"{%d+}\r\n%b\r\n" % (len(octets), octets) for word, octets in all_))
_STRING = rb'"(?:[^"\\\r\n\0]|\\["\\]){0,1024}"|\{(?P<octets>[0-9]+)\}\r\n'
_END = re.compile(rb"(?P<kind>OK|NO|BYE)(?: \((?P<code>[A-Z/-]+)(?P<data> )?)?")
_LINE = re.compile(rb"[^\r\n]*\r\n")


def converse(*pieces: bytes, user: bool) -> tuple[bytes, bool, dict[str, bytes]]:
    session = BareManageSieve({"main": b"keep;", 'a"\\b': b"# \r\nOK\r\n"})
    if user:
        session.log_in()
    session.take()
    session.send(*pieces)
    return session.take(), session.closed, session.scripts.sources


class Reader:
    """Takes responses apart as a strict client does."""

    def __init__(self, output: bytes) -> None:
        self._output = output
        self._at = 0

    def check(self) -> None:
        """Lines of strings, and lines that end a response, to the end."""
        while self._at < len(self._output):
            if self._output[self._at : self._at + 1] in (b'"', b"{"):
                self._string()
                if self._take(b" ") and not self._take(b"ACTIVE"):
                    self._string()
            else:
                self._end()
            assert self._take(b"\r\n"), self._output[self._at :]

    def _end(self) -> None:
        found = _END.match(self._output, self._at)
        assert found is not None, self._output[self._at :]
        self._at = found.end()
        if found["code"]:
            if found["data"]:
                self._string()
            assert self._take(b")")
        if self._take(b" "):
            self._string()

    def _string(self) -> None:
        found = re.compile(_STRING).match(self._output, self._at)
        assert found is not None, self._output[self._at :]
        self._at = found.end() + int(found["octets"] or 0)
        assert self._at <= len(self._output)

    def _take(self, octets: bytes) -> bool:
        found = self._output.startswith(octets, self._at)
        self._at += len(octets) * found
        return found


@FUZZ
@given(st.one_of(OCTETS, COMMANDS, LITERALS), st.booleans())
def test_clients_get_answers_whatever_they_send(wire: bytes, user: bool) -> None:
    whole = converse(*filter(None, [wire]), user=user)
    assert whole == converse(*(wire[at : at + 1] for at in range(len(wire))), user=user)
    Reader(whole[0]).check()


@FUZZ
@given(LITERALS, st.integers(0, 2_000))
def test_octets_of_a_literal_are_never_commands(wire: bytes, cut: int) -> None:
    # G5: cut off anywhere, only whole commands were carried out.
    hidden = b'PUTSCRIPT "hidden" "keep;"\r\n'
    framed = wire + b"CHECKSCRIPT {%d+}\r\n%b\r\n" % (len(hidden), hidden)
    _, _, sources = converse(framed[:cut] or b"\r\n", user=True)
    assert "hidden" not in sources and sources["main"] == b"keep;"
