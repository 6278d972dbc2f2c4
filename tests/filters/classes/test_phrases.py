"""Lists of phrases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.filters.classes import words
from mailstack.filters.classes.phrases import Phrases, prepare


def test_phrases_are_whole_words_unless_marked() -> None:
    found = Phrases("free lunch, invoice*, two words*, hat dich + markiert\n~\u30bb\u30fc\u30eb")
    assert found.find(prepare("Get a FREE, lunch!"))
    assert not found.find(prepare("carefree lunchbox"))
    assert found.find(prepare("Your invoices"))
    assert found.find(prepare("only two wordsmiths"))
    assert found.find(prepare("Ana hat dich in einem Beitrag markiert."))
    assert not found.find(prepare("Ana hat dich " + "und noch viele andere " * 4 + "markiert."))
    assert not found.find(prepare("markiert hat dich Ana"))
    assert not found.find(prepare("two"))
    assert found.find(prepare("\u590f\u306e\u30bb\u30fc\u30eb\u958b\u50ac"))


def test_what_is_too_short_to_be_looked_up_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        Phrases("ok, ab*")


def test_found_phrases_can_be_taken_out() -> None:
    assert prepare("10 % off your order today").without(Phrases("off your order")).text == " 10 % today "


@given(st.text(max_size=300))
def test_no_text_breaks_the_lists(text: str) -> None:
    prepared = prepare(text)
    plain = [phrase for phrase in words.OFFER.all_in(prepared) if phrase.strip() not in prepared.text]
    assert not plain
    assert words.OFFER.find(prepared) >= bool(list(words.OFFER.all_in(prepared)))
