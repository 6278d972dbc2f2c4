"""Phrases: one syntax, found where they stand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.filters import phrases
from mailstack.filters.classes import words
from mailstack.filters.phrases import Phrases
from mailstack.filters.words import prepare


@pytest.mark.parametrize(
    ("phrase", "text", "stands"),
    [
        ("free lunch", "Get a FREE, lunch!", True),
        ("free lunch", "carefree lunchbox", False),
        ("invoice*", "Your invoices", True),
        ("two words*", "only two wordsmiths", True),
        ("two words*", "two", False),
        ("hat dich + markiert", "Ana hat dich in einem Beitrag markiert.", True),
        ("hat dich + markiert", "Ana hat dich " + "und noch viele andere " * 4 + "markiert.", False),
        ("hat dich + markiert", "markiert hat dich Ana", False),
        ("nur noch + tage*", "Nur noch drei TAGEN", True),
        ("~\u30bb\u30fc\u30eb", "\u590f\u306e\u30bb\u30fc\u30eb\u958b\u50ac", True),
        ("\u53e3\u5ea7 \u505c\u6b62", "\u53e3\u5ea7\n\u505c\u6b62\u3059\u308b", True),
        (
            "~\u0441\u043a\u0438\u0434\u043a",
            "\u0441\u0443\u043f\u0435\u0440\u0441\u043a\u0438\u0434\u043a\u0430",
            True,
        ),
        ("% off", "now 10% off", True),
        ("schn\u00e4ppchen", "SCHNAPPCHEN", True),
        ("the the", "the, the", True),
    ],
)
def test_phrases_are_whole_words_unless_marked(phrase: str, text: str, stands: bool) -> None:
    known = Phrases([(phrase, 1)])
    assert known.find(prepare(text)) == [1] * stands
    assert known.say(prepare(text)) == {1} - {1 - stands}


def test_a_value_comes_as_often_as_different_words_say_it() -> None:
    known = Phrases([("pay*", "money"), ("bill", "money"), ("bill", "paper")])
    assert sorted(known.find(prepare("pay, payment: bill, bill"))) == ["money"] * 3 + ["paper"]


@pytest.mark.parametrize("phrase", ["", "*", "ab*", "!", "~sale", "~", "ab* + c"])
def test_what_cannot_be_looked_up_is_refused(phrase: str) -> None:
    with pytest.raises(ValueError, match="is no phrase"):
        Phrases([(phrase, 1)])


def test_found_phrases_can_be_taken_out() -> None:
    known = Phrases([("off your order", 1), ("today", 2), ("ten", 1)])
    assert known.taken_out(prepare("10 % off your order today, often ten"), 1).sequence == [
        "10",
        "%",
        "today",
        "often",
    ]


def test_made_up_words_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    # T45: each begins like a phrase, so each says something
    monkeypatch.setattr(phrases, "REMEMBERED", 100)
    known = Phrases([("account*", 1)])
    for number in range(50):
        text = prepare(" ".join(f"account{number}x{n}" for n in range(10)))
        assert known.find(text) == [1] * 10
    assert known.find(prepare("account" + "x" * 1_000)) == [1]
    assert len(known._known) + len(known._silent) <= 100


@settings(deadline=None)
@given(st.text(max_size=300))
def test_no_text_breaks_the_lists(text: str) -> None:
    prepared = prepare(text)
    for value in words.LISTS.say(prepared):
        assert len(words.LISTS.taken_out(prepared, value).sequence) <= len(prepared.sequence)


@pytest.mark.parametrize("text", ["offline mode", "over and out", "nominated", "natural selection"])
def test_words_without_their_accents_are_no_words_of_another_language(text: str) -> None:
    # Danish møde, Czech ověř, Spanish nómina, French sélection
    assert not words.LISTS.say(prepare(text))


WORDS = st.lists(
    st.sampled_from(["a", "an", "and", "account", "accounts", "your", "youre", "close"]), min_size=1
)


@given(WORDS, st.lists(st.tuples(WORDS, st.booleans()), max_size=8))
def test_phrases_of_any_words_are_found_where_they_stand(
    text: list[str], made: list[tuple[list[str], bool]]
) -> None:
    wanted = {
        f"{' '.join(words)}{'*' * is_open}"
        for words, is_open in made
        if len(words) > 1 or not is_open or len(words[0]) >= phrases.KEY
    }
    spaced = f" {' '.join(text)} "
    found = {one for one in wanted if f" {one} ".replace("* ", "") in spaced}
    assert Phrases((one, one) for one in wanted).say(prepare(" ".join(text))) == found
