"""Features: bounded, folded, and free of what only marks the corpus."""

# ruff: noqa: E501  # tables of mail read better unbroken

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.filters import words as splitting
from mailstack.filters.document import read
from mailstack.filters.fields import Header
from mailstack.filters.spam.features import pieces, tokens
from mailstack.filters.spam.hashing import MAX_TOKEN_OCTETS, MAX_TOKENS, MAX_WORDS, PAIRS, WORDS, Tokens
from mailstack.filters.words import split


def of(message: bytes) -> list[str]:
    return list(tokens(read(message, Header(message))))


def words(text: str) -> list[str]:
    """The useful words of a text, without pairs."""
    found = Tokens([], [], text=pieces(split(text)))
    return [token for token in found if " " not in token and ":" not in token]


def test_useful_words_are_neither_single_letters_nor_numbers() -> None:
    assert words("Caf\u00e9 CAF\u00c9 \uff26\uff35\uff2c\uff2c don't 2026 a x1 20%") == [
        "cafe",
        "full",
        "don",
        "x1",
    ]


@settings(deadline=None)
@given(st.text("aB1'' _.-\n\0Zz9", max_size=60))
def test_words_of_ascii_text_are_what_a_pattern_finds(text: str) -> None:
    found = dict.fromkeys(re.findall("[a-z0-9]+", text.lower()))
    assert words(text) == [w for w in found if 2 <= len(w) <= MAX_TOKEN_OCTETS and not w.isdigit()]


def test_cjk_text_becomes_pairs() -> None:
    assert words("\u4f1a\u8bae\u6539\u5230 ok") == ["\u4f1a\u8bae", "\u8bae\u6539", "\u6539\u5230", "ok"]


def test_pairs_tell_how_long_a_number_is() -> None:
    assert (
        Tokens([], [], text=["over", "100", "usd"]).indexes
        == Tokens([], [], text=["over", "250", "usd"]).indexes
    )
    assert Tokens([], [], text=["over", "100"]).indexes != Tokens([], [], text=["over", "1000"]).indexes


def test_subject_author_and_links_have_their_own_words() -> None:
    found = of(b"From: Big Shop <a@b.test>\r\nSubject: Sale\r\n\r\nsee https://www.shop.test/x\r\n")
    assert {"s:sale", "f:big", "f:shop", "b:u:shop", "see", "s:sale $", "s:^ sale"} <= set(found)


@pytest.mark.parametrize(
    "field",
    [b"Received: from spam.test", b"List-Id: <x.y>", b"X-Mailer: Foo", b"Date: Mon, 1 Jan 2002 00:00:00 +0100",
     b"X-Spam-Status: Yes", b"Precedence: bulk", b"User-Agent: x", b"Delivered-To: x@y.test", b"Sender: a@b.test",
     b"List-Unsubscribe: <http://a.test>", b"Return-Path: <a@b.test>", b"Errors-To: a@b.test"],
)  # fmt: skip
def test_fields_that_only_mark_a_corpus_are_left_out(field: bytes) -> None:
    message = b"From: a@b.test\r\nTo: c@d.test\r\nSubject: s\r\n"
    assert of(message + field + b"\r\n\r\nhi\r\n") == of(message + b"\r\nhi\r\n")


def test_numbers_of_tokens_and_octets_are_bounded() -> None:
    # limits, section 3; T45
    text = " ".join(f"w{n:x}q" for n in range(50_000)) + " " + "x" * 500 + " " + "\u00e9" * 30
    found = of(b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + text.encode())
    assert MAX_WORDS < len(found) <= MAX_TOKENS
    assert sum(" " not in token and ":" not in token for token in found) == MAX_WORDS
    single = [token for token in found if " " not in token]
    assert max(len(token.encode()) for token in single) <= MAX_TOKEN_OCTETS + 2


@pytest.mark.parametrize(
    "body", [b"x" * 3_000_000, b"! " * 1_500_000, b"a." * 500_000, b"$1" * 500_000, b"A B C " * 300_000]
)
def test_monstrous_text_takes_little_time(body: bytes) -> None:
    # M15
    began = time.process_time()
    of(b"Subject: " + b"a b " * 2000 + b"\r\n\r\n" + body)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("message", "fact"),
    [
        (b"Subject: BUY THIS RIGHT NOW\r\n\r\n", "h:subject-capitals"),
        (b"Subject: wow!! yes\r\n\r\n", "h:subject-shouts"),
        (b"Subject: only $5\r\n\r\n", "h:subject-money"),
        (b"Subject: Your order            1963\r\n\r\n", "h:subject-serial"),
        (b"From: joe12345@b.test\r\n\r\n", "h:from-digits"),
        (b"From: a@b.test\r\nReply-To: x@y.test\r\n\r\n", "h:reply-elsewhere"),
        (b"To: undisclosed-recipients:;\r\n\r\n", "h:to-nobody"),
        (b"In-Reply-To: <x@y>\r\n\r\n", "h:reply01"),
        (
            b"Content-Type: text/html\r\n\r\n<form><a href='http://1.2.3.4/'>http://bank.test</a></form>",
            "b:html-link-lies",
        ),
        (b"Content-Type: text/html\r\n\r\n<form></form>", "b:html-form"),
        (b"\r\nhttp://203.0.113.1/x", "b:link-to-address"),
    ],
)
def test_shapes_are_seen(message: bytes, fact: str) -> None:
    assert fact in of(message)


def test_a_long_text_is_read_in_pieces_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    # 700 different words are reached before 65,536 characters: the rest is not made words.
    body = "\r\n".join(" ".join(f"w{n * 7 % 900} it’s" for n in range(3 * m, 3 * m + 12)) for m in range(900))
    message = f"From: a@b.test\r\nSubject: x\r\n\r\n{body}\r\n{'y' * 7_000} end\r\n".encode()
    found = tokens(read(message, Header(message))).indexes
    monkeypatch.setattr(splitting, "PIECE", splitting.MAX_CHARACTERS)
    assert tokens(read(message, Header(message))).indexes == found
    assert sum(WORDS <= n < PAIRS for n in found) == MAX_WORDS
