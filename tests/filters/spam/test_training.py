"""Training: the same input gives the same weights, and they tell the classes apart."""

# ruff: noqa: E501  # tables of mail read better unbroken

from __future__ import annotations

import pytest

from mailstack.filters.spam import hashing, model, training
from mailstack.filters.spam.hashing import Tokens
from mailstack.filters.spam.measuring import calibrate, measure
from mailstack.filters.spam.training import (
    Read,
    balance,
    everyday,
    find_common,
    fold_of,
    language,
    to_sample,
    to_samples,
    train,
    train_heads,
)


def said(*words: str) -> Tokens:
    return Tokens([], [], text=words)


HAM = [f"meeting lunch report budget thanks w{n}".split() for n in range(40)]
SPAM = [f"viagra casino mortgage winner click w{n}".split() for n in range(40)]
SAMPLES = [to_sample(said(*t), label="ham", group=f"h{n}", name=f"h{n}") for n, t in enumerate(HAM)] + [
    to_sample(said(*t), label="spam", group=f"s{n}", name=f"s{n}") for n, t in enumerate(SPAM)
]


def test_the_same_messages_in_any_order_give_the_same_file() -> None:
    assert model.dump(replaced(train(SAMPLES))) == model.dump(replaced(train(SAMPLES[::-1])))


def replaced(trained: model.Model) -> model.Model:
    return model.Model(trained.weights, trained.bias, 1.0, 0.0, "00" * 32)


def test_classes_are_told_apart_and_calibrated() -> None:
    scored = training.out_of_fold(SAMPLES)
    slope, intercept = calibrate([(raw, s.is_spam, s.weight) for raw, s in scored], share=0.5)
    quality = measure([(slope * raw + intercept, sample) for raw, sample in scored], 0.5)
    assert quality.auc == 1.0
    assert quality.recall == 1.0
    assert quality.false_positives == 0.0


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("short text", "en"),
        ("the house that you will have for this is not what we can have in the end of it all", "en"),
        (
            "sehr geehrte damen und herren anbei erhalten sie unsere rechnung bitte überweisen den betrag innerhalb tagen",
            "latin",
        ),
        ("会议 议改 改到", "zh"),
        ("お知 知ら らせ です", "ja"),
        ("ваш счёт заблокирован", "cyrillic"),
    ],
)
def test_languages_are_told_apart_as_far_as_balance_needs_it(text: str, name: str) -> None:
    assert language(text.split()) == name


def test_no_language_is_a_sign_of_spam() -> None:
    chinese = [to_sample(said("会议", str(n)), label="spam" if n else "ham", group=str(n)) for n in range(5)]
    greek = [to_sample(said("λογαριασμός"), label="spam", group="g")]
    weights = [sample.weight for sample in balance([*chinese, *greek])]
    assert weights[0] == pytest.approx(sum(weights[1:5]))
    assert weights[5] == 0


def test_what_only_one_message_says_is_left_out() -> None:
    words = (["hapax", "both"], ["both", "other"], ["other", "both"])
    found = to_samples([Read(said(*w), "ham", str(n // 2)) for n, w in enumerate(words)])
    assert hashing.index("both") in found[0].features
    assert hashing.index("hapax") not in found[0].features
    assert hashing.index("hapax both") not in found[0].features


def test_heads_know_the_classes_of_wanted_mail() -> None:
    kinds = {"promotions": "sale discount", "social": "friend liked", "ham": "meeting report"}
    samples = [
        to_sample(said(*text.split(), f"w{n}"), label=label, group=f"{label}{n}", source="written")  # type: ignore[arg-type]
        for label, text in kinds.items()
        for n in range(20)
    ]
    heads = train_heads(samples)
    sale, friend = hashing.indexes(["sale", "discount"]), hashing.indexes(["friend", "liked"])
    assert heads["promotions"].logit(sale) > 0 > heads["promotions"].logit(friend)
    assert heads["social"].logit(friend) > 0 > heads["social"].logit(sale)


def test_common_features_are_those_of_much_wanted_mail() -> None:
    samples = [to_sample(said("und", f"w{n}"), label="ham", group=str(n)) for n in range(100)]
    common = model.Model(b"", 0, 1, 0, common=find_common(samples))
    assert common.is_common(hashing.index("und"))
    assert not common.is_common(hashing.index("w5"))


def test_equal_texts_share_a_fold() -> None:
    assert len({fold_of(to_sample(said(str(n)), label="spam", group="same")) for n in range(50)}) == 1
    assert len({fold_of(to_sample(said(), label="spam", group=str(n))) for n in range(50)}) == training.FOLDS


def test_seed_lines_become_written_messages() -> None:
    made = everyday('[["Hello", "Hi\\nthere"], ["Again", "Hi"]]')
    assert [(one.label, one.subject) for one in made] == [("ham", "Hello"), ("ham", "Again")]
    assert made[0].body == "Hi\nthere"


def test_calibration_survives_one_class_alone() -> None:
    assert calibrate([(0.0, True, 1.0)], share=0.2) == (1.0, 0.0)
    assert measure([], 0.9).auc == 0
