"""Symbols become blanks, and words stay what they are."""

from __future__ import annotations

import pytest

from mailstack.filters.signs import fold
from mailstack.filters.spam.features import sequence
from mailstack.filters.symbols import MOST_KINDS, MOST_OCTETS, without_symbols


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("£5 – “now”…", " 5    now  "),
        ("caf\u00e9 \u20ac3", "caf\u00e9  3"),
        ("a\u00a0b", "a b"),
        ("\u2122 \u00bd \u2116 \u00b2", "\u2122 \u00bd \u2116 \u00b2"),
        ("don\uff07t", "don\uff07t"),
        ("e\u0301 \u200b", "e\u0301 \u200b"),
    ],
    ids=range(7),
)
def test_only_what_is_no_part_of_a_word_goes(text: str, expected: str) -> None:
    assert without_symbols(text) == expected


def test_some_may_stay() -> None:
    assert without_symbols("don’t – stop", keep="’") == "don’t   stop"


def test_other_scripts_are_left_alone() -> None:
    # Nothing grows with the number of different characters.
    many = "".join(chr(0x2500 + n) for n in range(MOST_KINDS + 1))
    assert without_symbols(many) == many
    long = "–" * MOST_OCTETS
    assert without_symbols(long) == long


def test_words_are_the_same_with_and_without_symbols() -> None:
    found = sequence("Don’t pay £500 – it’s fake's \x01 trap")
    assert found == ["don’t", "pay", "500", "it’s", "fake's", "trap"]
    assert sequence("’quoted’ a’b’c \x01’") == ["quoted", "a’b", "c"]
    assert fold.words("Café – “Société” №5") == ["cafe", "societe", "no5"]
