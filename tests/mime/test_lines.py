"""Line ends are CRLF, whatever came in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mime import lines

OCTETS = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"\0", b" "])).map(b"".join)


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        (b"", b""),
        (b"a\r\nb\r\n", b"a\r\nb\r\n"),
        (b"a\nb\n", b"a\r\nb\r\n"),
        (b"a\rb", b"a b"),
        (b"a\r\r\nb", b"a \r\nb"),
        (b"\n\r\n\r", b"\r\n\r\n "),
    ],
    ids=repr,
)
def test_bare_lf_becomes_crlf_and_bare_cr_a_space(given_: bytes, wanted: bytes) -> None:
    assert lines.normalise(given_) == wanted


@given(OCTETS)
def test_the_result_is_clean_and_stays_as_it_is(data: bytes) -> None:
    once = lines.normalise(data)
    assert lines.is_clean(once)
    assert lines.normalise(once) == once


@given(OCTETS, st.integers(1, 5))
def test_chunking_never_changes_the_result(data: bytes, step: int) -> None:
    chunks = (data[i : i + step] for i in range(0, len(data), step))
    assert b"".join(lines.normalise_chunks(chunks)) == lines.normalise(data)
