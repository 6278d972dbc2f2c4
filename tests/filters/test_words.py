"""One splitting and one folding for all who look for words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.filters.words import HEAD, MOST_KINDS, Words, fold, split, without_addresses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain TEXT_of 3,5", "plain text of 3 5"),
        ("Don’t pay £500 – it’s fake's \x01 trap", "don t pay 500 it s fake s trap"),
        ("Café – “Société” №5 20% ½", "cafe societe no5 20 % 1 2"),
        ("Straße ŁÓDŹ Đà İstanbul kapatıldı", "strasse lodz da istanbul kapatildi"),
        ("ＰａｙＰａｌ 50％", "paypal 50 %"),
        ("Вход ЁЛКА Λογαριασμός", "вход елка λογαριασμοσ"),
        ("あなたのPayPal口座が、停止", "あなたの paypal 口座が 停止"),
        ("계정이 차단되었습니다", "계정이 차단되었습니다"),
        ("ｱｶｳﾝﾄ", "アカウント"),
    ],
    ids=range(9),
)
def test_words_are_small_letters_without_accents(text: str, expected: str) -> None:
    assert split(text) == expected.split()


@settings(deadline=None)
@given(st.text(max_size=200))
def test_many_characters_are_folded_as_a_few_are(text: str) -> None:
    many = "".join(chr(0x100 + 2 * n) for n in range(2 * MOST_KINDS)) + "\n"
    assert fold(many + text) == fold(many) + fold(text)
    assert fold(fold(text)) == fold(text)


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_has_words(text: str) -> None:
    assert all(word == "%" or word.isalnum() for word in split(text))


def test_addresses_say_nothing() -> None:
    assert (
        without_addresses("see https://pay.test/account?x now\nand http://b.test")
        == "see https now\nand http"
    )
    assert without_addresses("no address") == "no address"


def test_parts_of_a_message_are_cut_between_words() -> None:
    found = Words("Re: Sale", "A. Miller", "word " * 10_000, "logo", "Shop")
    assert set(found.head.sequence) == {"word"} and len(found.head.spaced) <= HEAD + 2
    assert found.seen.sequence[:2] == ["re", "sale"] and found.seen.sequence[-2:] == ["logo", "shop"]
    assert found.said.sequence[-1] == "logo"
    rest = list(found.more())
    assert {word for piece in rest for word in piece} == {"word"}
