"""The weights file and what it computes; M20."""

from __future__ import annotations

import math
from array import array
from itertools import pairwise

import pytest

from mailstack.filters.spam import hashing, model
from mailstack.filters.spam.hashing import SIZE
from mailstack.filters.spam.model import BadModel, Model, dump, load


def made(**weights: int) -> Model:
    steps = array("h", bytes(2 * SIZE))
    for token, weight in weights.items():
        steps[hashing.index(token)] = weight
    return Model(steps, -2.0, 1.5, 0.25, "ab" * 32)


def test_a_file_gives_back_what_was_written() -> None:
    again = load(dump(made(money=2048, lunch=-4096)))
    assert (again.bias, again.slope, again.intercept, again.fingerprint) == (-2.0, 1.5, 0.25, "ab" * 32)
    assert list(again.weights) == list(made(money=2048, lunch=-4096).weights)
    assert dump(again) == dump(made(money=2048, lunch=-4096))


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: b"",
        lambda d: d[:10],
        lambda d: d[:-1],
        lambda d: d + b"x",
        lambda d: b"X" + d[1:],
        lambda d: d[:16] + b"\xff\xff" + d[18:],
        lambda d: d[:20] + b"\xff" * 24 + d[44:],
        # the numbers of the last head
        lambda d: d[: -model.SINGLE_SIZE - 8] + b"\xff" * 8 + d[-model.SINGLE_SIZE :],
    ],
    ids=["empty", "short", "cut", "long", "magic", "version", "numbers", "head"],
)
def test_damaged_files_are_refused(damage: object) -> None:
    with pytest.raises(BadModel):
        load(damage(dump(made())))  # type: ignore[operator]


def test_unknown_and_empty_messages_get_the_bias() -> None:
    neutral = made().logit(())
    assert made().logit(hashing.indexes([])) == neutral
    assert made().logit(hashing.indexes(["nobody", "knows", "these"])) == neutral


def test_two_words_weigh_less_than_forty() -> None:
    short = made(money=2048).logit(hashing.indexes(["money"]))
    assert short == pytest.approx(1.5 * (-2.0 + 1 / math.sqrt(model.NORM_FLOOR)) + 0.25)


def test_tokens_count_once_and_the_largest_are_named() -> None:
    trained = made(money=4096, lunch=-2048, the=10)
    found = hashing.Tokens([], [], text=["money", "money", "lunch", "the", "x"])
    logit, top = trained.judge(found.indexes, 2)
    assert [found.of(n) for _, n in top] == ["money", "lunch"]
    assert top[0][0] > 0 > top[1][0]
    assert logit == pytest.approx(trained.logit(found.indexes))
    assert len(found.indexes) == len(set(found.indexes)) == 3 + 4 + 1


@pytest.mark.parametrize("logit", [-1e6, -50, 0, 50, 1e6])
def test_probability_is_safe_at_both_ends(logit: float) -> None:
    assert 0 <= model.probability(logit) <= 1


def test_views_have_opinions_of_their_own() -> None:
    # Many words do not drown what the header says.
    trained = made(**{"h:id-odd": 4096})
    few = trained.raw(hashing.indexes(["h:id-odd"])) - trained.bias
    many = trained.raw(hashing.indexes(["h:id-odd", *(f"w{n}" for n in range(900))])) - trained.bias
    assert few == many > 0


def test_indexes_lie_in_their_regions_in_order() -> None:
    found = hashing.indexes(["h:x", "b:x", "x", "x y", "x"])
    assert found == sorted(found) and len(found) == 4
    assert [
        low <= n < high
        for n, (low, high) in zip(found, pairwise((0, 1 << 16, 1 << 17, 1 << 18, SIZE)), strict=True)
    ]
    assert hashing.cuts(found) == [0, 1, 2, 4]


def test_heads_and_common_features_are_in_the_file() -> None:
    steps = array("b", bytes(model.SINGLE_SIZE))
    steps[hashing.index("sale")] = 100
    common = bytearray(model.SINGLE_SIZE // 8)
    common[hashing.index("the") >> 3] |= 1 << (hashing.index("the") & 7)
    head = model.Head(steps, -1.0, 2.0, 0.5)
    one = Model(made().weights, -2.0, 1.0, 0.0, "00" * 32, {"promotions": head}, bytes(common))
    again = load(dump(one))
    found = hashing.indexes(["sale", "the", "two words"])
    assert again.head_logit("promotions", found) == one.head_logit("promotions", found)
    assert again.head_logit("spam", found) == again.logit(found)
    assert again.head_logit("social", found) == model.NEUTRAL_CLASS
    assert again.is_common(hashing.index("the")) and not again.is_common(hashing.index("sale"))
    assert not again.is_common(hashing.index("two words"))


def test_any_text_hashes() -> None:
    for token in ("", "\ud800", "\U0010ffff", "x" * 100_000):
        assert 0 <= hashing.index(token) < SIZE
