"""Every language says everything, with the same values."""

from __future__ import annotations

import re
import string

import pytest

from mailstack.delivery import texts, words
from mailstack.model.language import LANGUAGES, Language, known, preferred


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_text_with_the_same_values(language: Language) -> None:
    english, other = texts.table("en"), texts.table(language)
    assert set(other) == set(english)
    wrong = {key for key, text in other.items() if places(text) != places(english[key])}
    assert not wrong
    assert all(text == text.strip("\n") and text for text in other.values())
    assert all(all(name.isidentifier() for name in places(text)) for text in other.values())


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_no_language_repeats_the_english(language: Language) -> None:
    english = texts.table("en")
    same = [text for key, text in texts.table(language).items() if text == english[key]]
    # What is left beside values may be a word or two.
    assert not [text for text in same if len(re.sub(r"\{\w+\}|\W", "", text)) > 12]


def test_every_meaning_has_words_and_an_advice() -> None:
    english = texts.table("en")
    meanings = {key.removeprefix("report.meaning.") for key in english if key.startswith("report.meaning.")}
    advice = {key.removeprefix("report.todo.") for key in english if key.startswith("report.todo.")}
    assert meanings == set(words.ADVICE)
    assert advice == set(words.ADVICE.values())


def test_a_letter_has_a_subject_of_one_line_and_paragraphs() -> None:
    for language in LANGUAGES:
        for key, text in texts.table(language).items():
            if key.endswith(".subject") or key.startswith("report."):
                assert "\n" not in text, key


@pytest.mark.parametrize(
    ("field", "language"),
    [
        ("de", "de"),
        ("de-CH, fr;q=0.8", "de"),
        ("pt-BR, en;q=0.2, it;q=0.5", "it"),
        ("en_GB", "en"),
        ("fr;q=0, es", "es"),
        ("en;q=0.5, de", "de"),
        ("en;q=0.3, it;Q = 0.7, es;q=0.7", "it"),
        ("fr;q=x", "fr"),
        ("fr;q=0.000", None),
        ("", None),
        ("nds", None),
        ("*", None),
        (" , ;;, \x00", None),
        ("pt, " * 1_000 + "fr", None),
    ],
)
def test_the_first_language_of_ours_counts(field: str, language: Language | None) -> None:
    assert preferred(field) == language


def test_a_language_we_do_not_write_is_not_known() -> None:
    assert known("pt") is None
    with pytest.raises(ValueError, match="pt"):
        texts.table("pt")  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        texts.say("en", "no.such.text")
