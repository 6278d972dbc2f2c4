"""What one user, or one domain, taught: small sparse corrections of the shared prior.

`learn` starts from what the prior says and moves only the weights of the features its
examples hold: the less, the more alike they are on both sides, and those common in all
wanted mail (`Model.is_common`) hardly at all; else twenty German advertisements would
make "und" a sign of spam.  The examples are kept by the caller;
learning again from all of them takes milliseconds, so nothing is ever unlearned, only
left out.

What was learned is added to the logit of a message: `Learned.spam` to that of spam,
`Learned.classes` to those of the classes.  T45: weights and sums have limits, so that
nobody's training decides alone.
"""

from __future__ import annotations

import heapq
import math
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mailstack.filters.spam.hashing import SIZE
from mailstack.filters.spam.model import CLASS_HEADS, BadModel, Model, norm, probability
from mailstack.model.verdict import Class

#: Most examples that count; of more, the newest.
MAX_EXAMPLES = 2_000
#: Most weights kept for each head, the largest.
MAX_WEIGHTS = 8_192
#: The largest single weight, and the most all of them may add to a logit.
MAX_WEIGHT = 8.0
MAX_LOGIT = 8.0
#: Times the examples are gone through, and how far each takes the logit of its own message.
PASSES = 8
RATE = 2.0
#: Wanted probability of what was marked; certainty would never stop learning.
_SURE = 0.97
SURE_LOGIT = math.log(_SURE / (1 - _SURE))
#: Share of the rate for features that are common in wanted mail.
_COMMON = 0.03
#: Smaller weights are forgotten.
_LEAST = 0.01

SPAM = "spam"
_NAMES = (SPAM, *CLASS_HEADS)
_MAGIC = b"mailstack learned 1\n"
_HEAD = struct.Struct("<20s")
_COUNT = struct.Struct("<BI")  # number of the head, weights that follow


@dataclass(frozen=True, slots=True)
class Example:
    """One message somebody has judged.

    Attributes:
        indexes: `features.tokens(document).indexes`.
        label: what they say it is; "ham" also for what they took out of a class folder.
        weight: 1 for what a person surely did, less for weak evidence.
        logit: of spam as the whole filter saw it, its signs included, without anything
            learned; None: what the prior says.
    """

    indexes: tuple[int, ...]
    label: Class
    weight: float = 1.0
    logit: float | None = None


@dataclass(frozen=True, slots=True)
class Learned:
    """Corrections by head: feature to weight."""

    weights: Mapping[str, Mapping[int, float]] = field(default_factory=dict)

    def spam(self, indexes: Sequence[int]) -> float:
        """What to add to the logit of spam."""
        return _sum(self.weights.get(SPAM), indexes)

    def classes(self, indexes: Sequence[int]) -> dict[str, float]:
        """What to add to the logit of each class, of mail that is not spam."""
        return {name: _sum(self.weights.get(name), indexes) for name in CLASS_HEADS}

    def __bool__(self) -> bool:
        return any(self.weights.values())


def _sum(weights: Mapping[int, float] | None, indexes: Sequence[int]) -> float:
    if not weights:
        return 0.0
    total = sum([weights[n] for n in indexes if n in weights]) / norm(len(indexes))
    return max(-MAX_LOGIT, min(MAX_LOGIT, total))


def learn(examples: Sequence[Example], prior: Model | None) -> Learned:
    """The corrections that make `prior` agree with the examples.

    Args:
        examples: oldest first; the same ones in the same order give the same result.
        prior: None when there is none; then everything is learned from nothing.
    """
    examples = examples[-MAX_EXAMPLES:]
    weights = {SPAM: _learn_head(examples, SPAM, prior)}
    wanted = [example for example in examples if example.label != SPAM]
    for name in CLASS_HEADS:
        weights[name] = _learn_head(wanted, name, prior)
    return Learned(weights)


def _learn_head(examples: Sequence[Example], head: str, prior: Model | None) -> dict[int, float]:
    examples = [example for example in examples if example.indexes]
    purity = _purity(examples, head)
    known = [(example, *_prepare(example, head, prior, purity)) for example in examples]
    weights: dict[int, float] = {}
    for _ in range(PASSES if known else 0):
        for example, before, rates in known:
            divisor = norm(len(example.indexes))
            logit = before + sum([weights.get(n, 0.0) for n in rates]) / divisor
            target = _SURE if example.label == head else 1 - _SURE
            step = RATE * example.weight * (target - probability(logit)) / divisor
            # Nothing is learned from what is clearer than it need be.
            if (step > 0) != (example.label == head):
                continue
            for n, rate in rates.items():
                weights[n] = max(-MAX_WEIGHT, min(MAX_WEIGHT, weights.get(n, 0.0) + step * rate))
    largest = heapq.nlargest(MAX_WEIGHTS, weights.items(), key=lambda item: (abs(item[1]), item[0]))
    return {n: weight for n, weight in largest if abs(weight) >= _LEAST}


def _purity(examples: Sequence[Example], head: str) -> dict[int, float]:
    """How much each feature belongs to one side: 1 to it alone, 0 to both alike."""
    sides = ([e for e in examples if e.label != head], [e for e in examples if e.label == head])
    shares = []
    for side in sides:
        counts = Counter(n for example in side for n in example.indexes)
        shares.append({n: count / len(side) for n, count in counts.items()})
    others, own = shares
    found = {}
    for n in others.keys() | own.keys():
        a, b = own.get(n, 0.0), others.get(n, 0.0)
        found[n] = abs(a - b) / (a + b)
    return found


def _prepare(
    example: Example, head: str, prior: Model | None, purity: Mapping[int, float]
) -> tuple[float, dict[int, float]]:
    """The logit before learning, and how fast each feature learns."""
    if prior is None:
        return 0.0, {n: purity[n] for n in example.indexes}
    before = example.logit
    if before is None or head != SPAM:
        before = prior.head_logit(head, example.indexes)
    return before, {n: purity[n] * (_COMMON if prior.is_common(n) else 1.0) for n in example.indexes}


def dump(learned: Learned) -> bytes:
    """Octets to keep: `load` gives the same corrections back, rounded to 32 bits."""
    pieces = [_HEAD.pack(_MAGIC)]
    for number, name in enumerate(_NAMES):
        weights = learned.weights.get(name, {})
        if weights:
            order = sorted(weights)
            pieces.append(_COUNT.pack(number, len(order)))
            pieces.append(struct.pack(f"<{len(order)}I", *order))
            pieces.append(struct.pack(f"<{len(order)}f", *(weights[n] for n in order)))
    return b"".join(pieces)


def load(data: bytes) -> Learned:
    """What `dump` wrote.

    Raises:
        BadModel: it was not, or it is damaged.
    """
    if len(data) < _HEAD.size or _HEAD.unpack_from(data)[0] != _MAGIC:
        raise BadModel("what was learned is of another kind or version")
    at = _HEAD.size
    found: dict[str, dict[int, float]] = {}
    while at < len(data):
        if len(data) - at < _COUNT.size:
            raise BadModel("what was learned is cut short")
        number, count = _COUNT.unpack_from(data, at)
        at += _COUNT.size
        end = at + 8 * count
        if number >= len(_NAMES) or count > MAX_WEIGHTS or end > len(data):
            raise BadModel("what was learned is damaged")
        order = list(struct.unpack_from(f"<{count}I", data, at))
        values = list(struct.unpack_from(f"<{count}f", data, at + 4 * count))
        if any(n >= SIZE for n in order) or not all(abs(v) <= MAX_WEIGHT for v in values):
            raise BadModel("what was learned is damaged")
        found[_NAMES[number]] = dict(zip(order, values, strict=True))
        at = end
    return Learned(found)
