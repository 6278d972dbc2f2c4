"""Training: the same input gives the same weights, and they tell the classes apart."""

# ruff: noqa: E501  # tables of mail read better unbroken

from __future__ import annotations

import pytest

from mailstack.filters.spam import model, training
from mailstack.filters.spam.training import (
    calibrate,
    everyday,
    fold_of,
    is_english,
    measure,
    to_sample,
    train,
)

HAM = [f"meeting lunch report budget thanks w{n}".split() for n in range(40)]
SPAM = [f"viagra casino mortgage winner click w{n}".split() for n in range(40)]
SAMPLES = [to_sample(t, is_spam=False, group=f"h{n}", name=f"h{n}") for n, t in enumerate(HAM)] + [
    to_sample(t, is_spam=True, group=f"s{n}", name=f"s{n}") for n, t in enumerate(SPAM)
]


def test_the_same_messages_in_any_order_give_the_same_file() -> None:
    assert model.dump(replaced(train(SAMPLES))) == model.dump(replaced(train(SAMPLES[::-1])))


def replaced(trained: model.Model) -> model.Model:
    return model.Model(trained.weights, trained.bias, 1.0, 0.0, "00" * 32)


def test_classes_are_told_apart_and_calibrated() -> None:
    scored = training.out_of_fold(SAMPLES)
    slope, intercept = calibrate(scored, spam_share=0.5)
    quality = measure([(slope * raw + intercept, sample) for raw, sample in scored], 0.5)
    assert quality.auc == 1.0
    assert quality.recall == 1.0
    assert quality.false_positives == 0.0


def test_words_outside_ascii_are_left_to_the_users() -> None:
    assert to_sample(["caf\u00e9", "\u4f1a\u8bae"], is_spam=True, group="x").features == ()


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("short text", True),
        ("the house that you will have for this is not what we can have in the end of it all", True),
        (
            "sehr geehrte damen und herren anbei erhalten sie unsere rechnung bitte überweisen den betrag innerhalb tagen",
            False,
        ),
    ],
)
def test_what_is_not_english_is_not_learned(text: str, verdict: bool) -> None:
    assert is_english(text.split()) is verdict


def test_equal_texts_share_a_fold() -> None:
    assert len({fold_of(to_sample([str(n)], is_spam=True, group="same")) for n in range(50)}) == 1
    assert len({fold_of(to_sample([], is_spam=True, group=str(n))) for n in range(50)}) == training.FOLDS


def test_seed_lines_become_messages_in_four_shapes() -> None:
    made = everyday('[["Hello", "Hi\\nthere"]]')
    assert [name for name, _ in made] == [f"everyday Hello {n}" for n in range(4)]
    assert all(b"Subject: Hello\r\n" in message and b"Hi\r\nthere" in message for _, message in made)


def test_calibration_survives_one_class_alone() -> None:
    assert calibrate([(0.0, SAMPLES[0])], spam_share=0.2) == (1.0, 0.0)
    assert measure([], 0.9).auc == 0
