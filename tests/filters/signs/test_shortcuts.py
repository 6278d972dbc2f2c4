"""What is asked before a search never hides what the search would find."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.filters.once import once
from mailstack.filters.signs import abroad, sender
from mailstack.mime.header import unfold

PIECES = st.lists(
    st.sampled_from(["@", "a", "b.c", ".", " ", "<", "é", "x" * 64, "y.z", "-", "0"]), max_size=40
)
ACCOUNTS = st.lists(st.sampled_from(["AB", "A", "12", "٣", "1", "?", " ", "é", "C3" * 6, "lt"]), max_size=30)


@given(PIECES)
def test_addresses_are_those_the_search_finds(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert [m.span() for m in sender._addresses(text)] == [m.span() for m in sender._ADDRESS.finditer(text)]


@given(ACCOUNTS)
def test_what_holds_an_account_is_searched(pieces: list[str]) -> None:
    text = "".join(pieces)
    shapes = text.encode("ascii", "replace").translate(abroad._SHAPES)
    assert abroad._BEGINS in shapes or abroad._ACCOUNT.search(text) is None


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b" "]), max_size=12).map(b"".join))
def test_unfolding_takes_line_ends_out(value: bytes) -> None:
    assert unfold(value) == re.sub(rb"\r?\n", b"", value).strip(b" \t\r\n")


def test_once_is_worked_out_once_and_again_after_an_error() -> None:
    class Made:
        asked = 0

        @once
        def value(self) -> int:
            """What it is."""
            self.asked += 1
            if self.asked == 1:
                raise ValueError
            return self.asked

    one: Any = Made()
    with pytest.raises(ValueError):
        _ = one.value
    assert [one.value, one.value, Made.value.__doc__] == [2, 2, "What it is."]
