"""What users taught: it changes their results, has limits, and survives a file."""

from __future__ import annotations

import math
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.filters.spam import learned
from mailstack.filters.spam.hashing import SIZE, indexes
from mailstack.filters.spam.learned import Example, Learned, dump, learn, load
from mailstack.filters.spam.model import BadModel, Model
from mailstack.model.verdict import Class

PRIOR = Model(array("h", bytes(2 * SIZE)), -2.0, 1.5, 0.25)


def marked(label: Class, *words: str, weight: float = 1.0) -> Example:
    return Example(tuple(indexes(words)), label, weight)


def mail(kind: str, n: int) -> tuple[str, ...]:
    """Fifty words: forty everybody uses, eight of the kind, two of its own."""
    return (
        *(f"word{i}" for i in range(40)),
        *(f"{kind}{i}" for i in range(8)),
        f"{kind}-own{n}",
        f"{kind}-{n}",
    )


TWENTY = [
    marked("spam" if kind == "golf" else "ham", *mail(kind, n))
    for n in range(10)
    for kind in ("golf", "chess")
]


def test_twenty_marked_messages_change_the_result_visibly() -> None:
    taught = learn(TWENTY, PRIOR)
    golf, chess = indexes(mail("golf", 99)), indexes(mail("chess", 99))
    neutral = PRIOR.logit(golf)
    assert neutral + taught.spam(golf) > 1.5
    assert neutral + taught.spam(chess) < neutral
    # Everybody's words say nothing, others' mail is not touched.
    assert abs(taught.spam(indexes(mail("tennis", 1)))) < 0.5
    assert taught.spam(indexes(["quite", "other", "words"])) == 0.0


def test_the_same_examples_teach_the_same_and_one_left_out_is_forgotten() -> None:
    assert dump(learn(TWENTY, PRIOR)) == dump(learn(list(TWENTY), PRIOR))
    assert not learn([], PRIOR)
    assert learn([marked("spam", "a", "b")], None)


def test_classes_have_weights_of_their_own() -> None:
    examples = [marked("promotions", *mail("shop", n)) for n in range(10)]
    examples += [marked("social", *mail("friends", n)) for n in range(10)]
    taught = learn([*examples, *TWENTY], PRIOR)
    shop = taught.classes(indexes(mail("shop", 99)))
    friends = taught.classes(indexes(mail("friends", 99)))
    assert shop["promotions"] > 1 > 0 > shop["social"]
    assert friends["social"] > 1 > 0 > friends["promotions"]
    # Mail put into a class is no spam.
    assert taught.spam(indexes(mail("shop", 99))) < 0


def test_spam_teaches_nothing_about_classes() -> None:
    taught = learn([marked("spam", *mail("golf", n)) for n in range(20)], PRIOR)
    assert taught.classes(indexes(mail("golf", 1))) == {"promotions": 0.0, "social": 0.0}


def test_weak_evidence_teaches_less() -> None:
    strong = learn([marked("spam", *mail("golf", 1))], PRIOR)
    weak = learn([marked("spam", *mail("golf", 1), weight=0.1)], PRIOR)
    golf = indexes(mail("golf", 1))
    assert 0 < weak.spam(golf) < 0.5 * strong.spam(golf)


def test_what_the_signs_added_is_corrected_too() -> None:
    golf = tuple(indexes(mail("golf", 1)))
    taught = learn([Example(golf, "ham", logit=4.0)], PRIOR)
    assert 4.0 + taught.spam(golf) < 0
    assert learn([Example(golf, "ham", logit=-9.0)], PRIOR).spam(golf) == 0.0


class Commons(Model):
    def is_common(self, n: int) -> bool:
        return n in indexes(f"word{i}" for i in range(40))


def test_common_features_learn_little() -> None:
    # A German's twenty advertisements do not make German a sign of spam.
    prior = Commons(PRIOR.weights, PRIOR.bias, PRIOR.slope, PRIOR.intercept)
    examples = [marked("spam", *mail("golf", n)) for n in range(20)]
    other = indexes(mail("tennis", 1))
    assert learn(examples, prior).spam(other) < 0.35 * learn(examples, PRIOR).spam(other)


def test_nobody_decides_alone() -> None:
    # T45
    many = [marked("ham", *(f"w{i}" for i in range(k, k + 50))) for k in range(0, 20_000, 10)]
    taught = learn([marked("spam", "sale")] * 10 + many, PRIOR)
    for weights in taught.weights.values():
        assert len(weights) <= learned.MAX_WEIGHTS
        assert all(abs(weight) <= learned.MAX_WEIGHT for weight in weights.values())
    heavy = Learned({"spam": dict.fromkeys(range(2_000), learned.MAX_WEIGHT)})
    assert heavy.spam(range(2_000)) == learned.MAX_LOGIT


def test_only_the_newest_examples_count() -> None:
    old = [marked("spam", "old", "words")]
    taught = learn(old + [marked("ham", "new", "ones")] * learned.MAX_EXAMPLES, PRIOR)
    assert taught.spam(indexes(["old", "words"])) == 0.0


def test_messages_without_features_teach_nothing() -> None:
    assert not learn([Example((), "spam")], PRIOR)


def test_what_was_written_is_read_again() -> None:
    taught = learn([*TWENTY, marked("social", "friend")], PRIOR)
    again = load(dump(taught))
    golf = indexes(mail("golf", 3))
    assert again.spam(golf) == pytest.approx(taught.spam(golf), abs=1e-5)
    assert dump(again) == dump(taught)
    assert not load(dump(Learned()))


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 80), st.integers(0, 255))
def test_damaged_octets_are_refused_or_harmless(tail: bytes, at: int, octet: int) -> None:
    good = bytearray(dump(learn(TWENTY[:2], PRIOR)))
    good[at] = octet
    for data in (bytes(good), bytes(good) + tail, bytes(good)[: -len(tail) - 1]):
        try:
            taught = load(data)
        except BadModel:
            continue
        assert math.isfinite(taught.spam(range(SIZE)))
