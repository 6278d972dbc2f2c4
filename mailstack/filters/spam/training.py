"""Trains the prior: AdaGrad over messages in a fixed order, then calibration out of fold.

Everything is deterministic: the order of messages comes from a hash of the seed and
their content, floating-point sums are done in one order.  The same input gives the same
file, octet for octet.
"""

from __future__ import annotations

import hashlib
import json
import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mailstack.filters.spam.model import SIZE, STEP, Model, indexes, norm, probability, to_logit

SEED = 20_021_122
EPOCHS = 6
RATE = 0.6
FOLDS = 5
#: Logit of the unknown message before calibration.
BIAS = -2.0
#: How much of real mail the calibration takes to be spam.
SPAM_SHARE = 0.2
_STEP_LIMIT = 32_767
_PULL = 1e-4

# The words that make a text English; where they are missing the prior has nothing to learn,
# or it would learn that German is spam.
_ENGLISH = frozenset(
    [
        *("the", "and", "you", "for", "is", "are", "to", "of", "with", "this", "that", "on", "in", "it"),
        *("be", "your", "our", "from", "have", "will", "not", "we", "can", "all", "if", "or", "at"),
    ]
)
_FEW_WORDS = 15


@dataclass(frozen=True, slots=True)
class Sample:
    """One message to learn from.

    Attributes:
        features: weight indexes.
        group: messages of one group (equal text) stay in one fold.
    """

    features: tuple[int, ...]
    is_spam: bool
    group: str
    name: str = ""


def to_sample(tokens: Iterable[str], *, is_spam: bool, group: str, name: str = "") -> Sample:
    """A sample from a message's tokens.

    Those outside ASCII are left to the users' own training: the corpus knows them from
    spam only.
    """
    return Sample(tuple(indexes(t for t in tokens if t.isascii())), is_spam, group, name)


def is_english(tokens: Iterable[str]) -> bool:
    """True for English text and for too little text to tell."""
    plain = [token for token in tokens if ":" not in token]
    known = sum(token in _ENGLISH for token in plain)
    return len(plain) < _FEW_WORDS or known >= min(5, 0.04 * len(plain))


def everyday(text: str) -> list[tuple[str, bytes]]:
    """Names and messages of the seed file `everyday.json`, each in four common shapes.

    The file is mailstack's own: wanted mail the corpus of 2002 does not know (codes, orders,
    invitations, newsletters), as a list of subject and text.
    """
    return [
        (f"everyday {subject} {number}", message.encode("utf-8"))
        for subject, body in json.loads(text)
        for number, message in enumerate(_shapes(subject, body.replace("\n", "\r\n")))
    ]


def _shapes(subject: str, plain: str) -> list[str]:
    head = f"To: bob@example.test\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
    page = (
        f"<html><body><p>{plain}</p><a href='https://www.example.com/a'>example</a>"
        "<img src='https://example.com/logo.png'></body></html>\r\n"
    )
    as_text = "Content-Type: text/plain; charset=utf-8\r\n\r\n"
    as_html = "Content-Type: text/html; charset=utf-8\r\n\r\n"
    both = f"--b\r\n{as_text}{plain}\r\n--b\r\n{as_html}{page}\r\n--b--\r\n"
    return [
        f"From: news@shop.example\r\n{head}{as_text}{plain}\r\n",
        f"From: Alice <alice@example.net>\r\n{head}{as_text}{plain}\r\n",
        f"From: svc@example.com\r\n{head}{as_html}{page}",
        f"From: Example Team <no-reply@example.com>\r\n{head}"
        f'Content-Type: multipart/alternative; boundary="b"\r\n\r\n{both}',
    ]


def shuffle(samples: Sequence[Sample], salt: str) -> list[Sample]:
    """A fixed order that looks random."""
    return sorted(samples, key=lambda s: (_digest(f"{SEED} {salt} {s.group} {s.name}"), s.features))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def train(samples: Sequence[Sample], progress: Callable[[], None] = lambda: None) -> Model:
    """Weights for these samples, not yet calibrated."""
    weights = array("f", bytes(4 * SIZE))
    squares = array("f", bytes(4 * SIZE))
    share = sum(s.is_spam for s in samples) / max(len(samples), 1)
    # Both classes weigh the same, however many there are of each.
    scale = (0.5 / max(1 - share, 0.01), 0.5 / max(share, 0.01))
    for epoch in range(EPOCHS):
        for sample in shuffle(samples, str(epoch)):
            _learn(weights, squares, sample, scale[sample.is_spam])
        progress()
    steps = array("h", [max(-_STEP_LIMIT, min(_STEP_LIMIT, round(w / STEP))) for w in weights])
    return Model(steps, BIAS, 1.0, 0.0)


def _learn(weights: array[float], squares: array[float], sample: Sample, scale: float) -> None:
    found = sample.features
    divisor = norm(len(found))
    logit = BIAS + sum([weights[n] for n in found]) / divisor
    gradient = scale * (probability(logit) - sample.is_spam) / divisor
    if abs(gradient) < 1e-7:
        return
    square = gradient * gradient
    for n in found:
        squares[n] += square
        weights[n] -= RATE * gradient / (math.sqrt(squares[n]) + 1e-3)


def fold_of(sample: Sample) -> int:
    """Which of the folds a sample belongs to; equal texts share one."""
    return int.from_bytes(_digest(sample.group)[:4], "big") % FOLDS


def out_of_fold(
    samples: Sequence[Sample], progress: Callable[[], None] = lambda: None
) -> list[tuple[float, Sample]]:
    """Raw logits of every sample by a model that has not seen it."""
    scored: list[tuple[float, Sample]] = []
    for fold in range(FOLDS):
        model = train([s for s in samples if fold_of(s) != fold], progress)
        scored.extend((model.raw(s.features), s) for s in samples if fold_of(s) == fold)
    return scored


def calibrate(scored: Sequence[tuple[float, Sample]], *, spam_share: float) -> tuple[float, float]:
    """Slope and intercept that make logits probabilities (Platt), by Newton steps.

    Args:
        spam_share: how much of real mail is assumed to be spam; the corpus says nothing about that.
    """
    spam = sum(s.is_spam for _, s in scored)
    ham = len(scored) - spam
    if not spam or not ham:
        return 1.0, 0.0
    weight = (1 - spam_share) / ham, spam_share / spam
    target = 1 / (ham + 2), (spam + 1) / (spam + 2)
    slope, intercept = 1.0, 0.0
    for _ in range(50):
        # A pull towards (1, 0), for classes that are told apart without a mistake.
        g0, g1 = _PULL * (slope - 1), _PULL * intercept
        h00, h01, h11 = _PULL, 0.0, _PULL
        for raw, sample in scored:
            p = probability(slope * raw + intercept)
            w = weight[sample.is_spam]
            error, curve = w * (p - target[sample.is_spam]), w * p * (1 - p)
            g0, g1 = g0 + error * raw, g1 + error
            h00, h01, h11 = h00 + curve * raw * raw, h01 + curve * raw, h11 + curve
        determinant = h00 * h11 - h01 * h01
        d0, d1 = (h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant
        d0, d1 = max(-1.0, min(1.0, d0)), max(-1.0, min(1.0, d1))
        slope, intercept = slope - d0, intercept - d1
        if abs(d0) + abs(d1) < 1e-9:
            break
    return slope, intercept


@dataclass(frozen=True, slots=True)
class Quality:
    """What an evaluation found; shares between 0 and 1.

    Attributes:
        auc: area under the curve.
        recall_at: false positive share to recall.
        recall, false_positives: at the threshold.
    """

    ham: int
    spam: int
    auc: float
    recall_at: dict[str, float]
    recall: float
    false_positives: float
    false_positive_names: tuple[str, ...] = ()


def measure(scored: Sequence[tuple[float, Sample]], threshold: float) -> Quality:
    """Quality of logits against the truth.

    Args:
        threshold: probability from which mail is spam.
    """
    ordered = sorted(scored, key=lambda pair: -pair[0])
    spam = sum(s.is_spam for _, s in ordered)
    ham = len(ordered) - spam
    caught = wrong = 0
    area = 0.0
    at: dict[str, float] = {}
    for _, sample in ordered:
        if sample.is_spam:
            caught += 1
            continue
        for share in (0.0, 0.001, 0.005):
            if wrong == int(share * ham):
                at.setdefault(f"{share:.3f}", caught / max(spam, 1))
        wrong += 1
        area += caught
    limit = to_logit(threshold)
    bad = [s for logit, s in ordered if logit >= limit and not s.is_spam]
    good = sum(s.is_spam for logit, s in ordered if logit >= limit)
    return Quality(
        ham,
        spam,
        area / max(ham * spam, 1),
        at,
        good / max(spam, 1),
        len(bad) / max(ham, 1),
        tuple(s.name for s in bad[:20]),
    )
