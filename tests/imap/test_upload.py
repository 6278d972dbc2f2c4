"""A message on its way in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.imap.upload import LineEndings


def clean(*pieces: bytes) -> bytes:
    endings = LineEndings()
    return b"".join([*(endings.feed(piece) for piece in pieces), endings.finish()])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a\r\nb\r\n", b"a\r\nb\r\n"),
        (b"a\nb", b"a\r\nb"),
        (b"a\rb", b"a b"),
        (b"a\r", b"a "),
        (b"\r\r\n\n", b" \r\n\r\n"),
        (b"\n\r", b"\r\n "),
        (b"", b""),
    ],
)
def test_only_crlf_ends_a_line_in_the_store(data: bytes, expected: bytes) -> None:
    # I7
    assert clean(data) == expected


@given(st.lists(st.sampled_from([b"\r", b"\n", b"a", b"\0"]), max_size=30).map(b"".join))
def test_the_cut_never_matters(data: bytes) -> None:
    whole = clean(data)
    assert clean(*(data[at : at + 1] for at in range(len(data)))) == whole
    assert whole.count(b"\n") == whole.count(b"\r") == whole.count(b"\r\n")
