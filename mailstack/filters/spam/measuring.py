"""What a classifier is worth: calibration of its logits, and quality against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mailstack.filters.spam.model import probability, to_logit

#: How much of real mail the calibration takes to be spam.
SPAM_SHARE = 0.2
#: Shares of false positives at which recall is told.
SHARES = (0.0, 0.001, 0.005, 0.01)
_PULL = 1e-4


class Judged(Protocol):
    """A message whose truth is known."""

    @property
    def is_spam(self) -> bool:
        """Unwanted."""
        ...

    @property
    def name(self) -> str:
        """For people."""
        ...


def calibrate(scored: Sequence[tuple[float, bool, float]], *, share: float) -> tuple[float, float]:
    """Slope and intercept that make logits probabilities (Platt), by Newton steps.

    Args:
        scored: raw logit, whether it is what is looked for, weight.
        share: how much of real mail is assumed to be that; the training mail says nothing about it.
    """
    spam = sum(weight for _, is_spam, weight in scored if is_spam)
    ham = sum(weight for _, is_spam, weight in scored if not is_spam)
    if not spam or not ham:
        return 1.0, 0.0
    factors = (1 - share) / ham, share / spam
    target = 1 / (ham + 2), (spam + 1) / (spam + 2)
    slope, intercept = 1.0, 0.0
    for _ in range(50):
        # A pull towards (1, 0), for classes that are told apart without a mistake.
        g0, g1 = _PULL * (slope - 1), _PULL * intercept
        h00, h01, h11 = _PULL, 0.0, _PULL
        for raw, is_spam, weight in scored:
            p = probability(slope * raw + intercept)
            w = weight * factors[is_spam]
            error, curve = w * (p - target[is_spam]), w * p * (1 - p)
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
        in_the_way: the wanted mail that stands highest, with its logit and how much spam stands
            above it.
    """

    ham: int
    spam: int
    auc: float
    recall_at: dict[str, float]
    recall: float
    false_positives: float
    false_positive_names: tuple[str, ...] = ()
    in_the_way: tuple[tuple[str, float, float], ...] = ()


def measure(scored: Sequence[tuple[float, Judged]], threshold: float) -> Quality:
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
    in_the_way = []
    for logit, sample in ordered:
        if sample.is_spam:
            caught += 1
            continue
        for share in SHARES:
            if wrong == int(share * ham):
                at.setdefault(f"{share:.3f}", caught / max(spam, 1))
        if wrong < 20:
            in_the_way.append((sample.name, round(logit, 3), round(caught / max(spam, 1), 4)))
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
        tuple(in_the_way),
    )
