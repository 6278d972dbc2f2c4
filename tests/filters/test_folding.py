"""Disguised letters: undone where nobody writes so in good faith, left alone elsewhere."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.filters.folding import MAX_CHARACTERS, MAX_WORDS, Disguise, is_mixed, skeleton, undisguise


def fold(text: str) -> tuple[str, Disguise]:
    found = Disguise()
    return undisguise(text, found), found


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("Y\u043eur P\u0430yP\u0430l", "Your PayPal"),  # Cyrillic letters
        ("M\u03b9cr\u03bfsoft", "Microsoft"),  # Greek letters
        ("Apple \u0410\u0440\u0440\u04cf\u0435", "Apple Apple"),  # a whole word of them in Latin text
        (
            "\u0412\u0430\u0448 c\u0430\u0439\u0442",
            "\u0412\u0430\u0448 \u0441\u0430\u0439\u0442",
        ),  # Latin in Russian
        ("\U0001d5e3\U0001d5ee\U0001d606\U0001d5e3\U0001d5ee\U0001d5f9", "PayPal"),  # mathematical
        ("\u24d0\u24d1\u24d2 \uff21\uff22", "abc AB"),  # enclosed, full-width
        ("pay\u200bpal", "paypal"),
    ],
)
def test_disguises_are_undone_and_counted(text: str, seen: str) -> None:
    folded, found = fold(text)
    assert folded == seen
    assert found != Disguise()


@pytest.mark.parametrize(
    ("text", "seen"),
    [("se\u00adcu\u00adri\u00adty", "security"), ("\u202egpj.exe", "gpj.exe")],
)
def test_what_honest_senders_write_too_is_undone_without_a_word(text: str, seen: str) -> None:
    assert fold(text) == (seen, Disguise())


@pytest.mark.parametrize(
    "text",
    [
        "plain ASCII, nothing to do",
        "Stra\u00dfe caf\u00e9 na\u00efve \u0142\u00f3d\u017a \u0131\u015f\u0131k",
        "\u041f\u0440\u0438\u0432\u0435\u0442, \u0421\u0421\u0421\u0420: \u0438 www.example.ru",
        "\u03c3\u03b1\u03c2 \u03b5\u03c5\u03c7\u03b1\u03c1\u03b9\u03c3\u03c4\u03ce \u03c0\u03bf\u03bb\u03cd",
        "\u65e5\u672c\u8a9e\u3068 English \u306e\u6587",
        "\u0645\u0631\u062d\u0628\u0627",
        "T\u00e0i kho\u1ea3n c\u1ee7a b\u1ea1n",  # Vietnamese
        "\u0e43\u0e0a\u0e49App\u0e19\u0e35\u0e49",  # Thai, which writes no blanks
        "\u0412\u041a\u043e\u043d\u0442\u0430\u043a\u0442\u0435",  # a name of look-alikes alone
        "\u0421\u0412\u0415\u0422\u0410",
    ],
)
def test_honest_writing_stays(text: str) -> None:
    assert fold(text) == (text, Disguise())


def test_what_was_disguised_is_remembered_as_it_reads() -> None:
    _, found = fold("Y\u043eur p\u0430yp\u0430l ver\u200bify")
    assert set(found.words) == {"your", "paypal", "verify"}
    assert (found.mixed_words, found.invisible) == (2, 1)


def test_full_width_letters_among_japanese_are_no_disguise() -> None:
    text, found = fold("\uff2a\uff32\u6771\u65e5\u672c")
    assert text.startswith("JR")
    assert not found.styled


@pytest.mark.parametrize(
    "name",
    [
        "PayPaI",
        "paypa1",
        "P\u0430yPal",
        "p\u00e1ypal",
        "PAYPAL",
        "pay\u200bpal",
        "\u0440\u0430\u0443\u0440\u0430\u04cf",
    ],
)
def test_names_that_look_alike_have_one_skeleton(name: str) -> None:
    assert skeleton(name) == skeleton("paypal")


def test_pairs_that_look_like_one_letter_have_its_skeleton() -> None:
    assert skeleton("rnicrosoft") == skeleton("microsoft")
    assert skeleton("vvells") == skeleton("wells")
    assert skeleton("amazon") != skeleton("microsoft")


def test_mixed_words_are_told_from_accents() -> None:
    assert is_mixed("p\u0430ypal")
    assert not is_mixed("caf\u00e9")
    assert not is_mixed("\u043f\u0440\u0438\u0432\u0435\u0442")


@pytest.mark.parametrize(
    "text",
    [each * 300_000 for each in ("\u0430a", "a\u200b", "\U0001d400", "\u0430 ", "\u00ad")],
    ids=["mixed", "zero-width", "styled", "look-alike", "hyphens"],
)
def test_disguises_without_end_take_little_time(text: str) -> None:
    began = time.process_time()
    folded, found = fold(text)
    assert time.process_time() - began < 5
    assert len(found.words) <= MAX_WORDS
    assert folded.endswith(text[MAX_CHARACTERS:][-10:])  # behind the bound it stays as it is


@given(st.text())
def test_any_text_is_folded_once_and_for_all(text: str) -> None:
    folded = undisguise(text)
    assert undisguise(folded) == folded
    skeleton(text)
