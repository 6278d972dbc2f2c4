"""Whatever a virus scanner says: clean only in its own words, and a name that fits a header (M22)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailstack.filters import explain, virus
from mailstack.model.verdict import MessageVerdict, VirusScan
from mailstack.net.clamd import parse
from tests.kit.fuzzing import FUZZ

PIECES = st.sampled_from(
    [
        b"stream: ",
        b"OK",
        b" FOUND",
        b" ERROR",
        b"\0",
        b"\n",
        b"\r\n",
        b"Eicar",
        b"; name=",
        b"X-Spam: no",
        b":",
    ]
)


@FUZZ
@given(st.lists(PIECES | st.binary(max_size=6), max_size=10).map(b"".join) | st.binary(max_size=300))
def test_any_answer_is_one_of_three_or_none(answer: bytes) -> None:
    found = parse(answer)
    assert (found == VirusScan("clean")) == (answer == b"stream: OK\0")
    if found is None:
        return
    assert answer.endswith(b"\0") and answer.count(b"\0") == 1
    assert found.result in ("clean", "found", "unscanned")
    head = explain.headers(virus.apply(MessageVerdict(), found, "refuse"))
    (line,) = [line for line in head.split(b"\r\n") if line.startswith(b"X-Mailstack-Virus:")]
    assert b"\n" not in line and line.isascii()
    assert line.count(b";") <= 1
