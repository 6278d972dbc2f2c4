"""Trains the prior: AdaGrad over messages in a fixed order, each view of them alone.

Everything is deterministic: the order of messages comes from a hash of the seed and
their content, floating-point sums are done in one order.  The same input gives the same
file, octet for octet.

No language is a sign of spam: within each language wanted and unwanted mail weigh the
same, and languages with only one of them are left out.  Features start with different
rates, by how differently wanted and unwanted mail use them (naive Bayes), which lets a few
telling ones outrun the many that only go along.
"""

from __future__ import annotations

import hashlib
import json
import math
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from mailstack.filters.spam.hashing import SIZE, VIEWS, Tokens, cuts
from mailstack.filters.spam.measuring import SPAM_SHARE, calibrate
from mailstack.filters.spam.model import (
    CLASS_HEADS,
    HEAD_STEP,
    NEUTRAL_CLASS,
    SINGLE_SIZE,
    STEP,
    Head,
    Model,
    norm,
    probability,
)
from mailstack.filters.spam.written import Written
from mailstack.model.verdict import Class

SEED = 20_021_122
EPOCHS = 8
#: Weights are the mean of those after each of the last passes.
AVERAGED = 4
RATE = 0.7
#: Squares of the steps a weight has made begin with this: without, the first messages decide too much.
FIRST_SQUARE = 1e-3
FOLDS = 5
#: Logit of the unknown message before calibration, a share for each view.
BIAS = -2.0
#: What each view's opinion is multiplied by, so that none is louder than the others.
VIEW_SCALES = (1.0, 0.5, 1.0)
#: Rates by naive Bayes: the least, and the most for features that tell most.
LEAST_RATE, MOST_RATE = 0.3, 5.0
#: What all shapes of one written message weigh together, and those of a seed.
WRITTEN_WEIGHT = 3.0
#: The most a message's weight is raised for the balance of its language.
MAX_BALANCE = 6.0
#: Share of wanted mail from which a feature is common.
COMMON_SHARE = 0.02
_STEP_LIMIT = 32_767
_SMOOTH = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One message to learn from.

    Attributes:
        features: weight indexes, region after region.
        label: its class; for the corpus, which knows no classes of wanted mail, "ham".
        group: messages of one group (equal text) stay in one fold.
        source: "corpus", "written" or "everyday".
        language: messages of one language are balanced.
        weight: how much it counts.
    """

    features: tuple[int, ...]
    label: Class
    group: str
    name: str = ""
    source: str = "corpus"
    language: str = "en"
    weight: float = 1.0

    @property
    def is_spam(self) -> bool:
        """Unwanted."""
        return self.label == "spam"


@dataclass(frozen=True, slots=True)
class Read:
    """A message as it was read, before rare tokens are left out."""

    tokens: Tokens
    label: Class
    group: str
    name: str = ""
    source: str = "corpus"
    weight: float = 1.0


def to_sample(found: Tokens, *, label: Class, group: str, name: str = "", source: str = "corpus") -> Sample:
    """A sample from a message's tokens."""
    return Sample(tuple(found.indexes), label, group, name, source, language(found.text))


def to_samples(messages: Sequence[Read]) -> list[Sample]:
    """Samples without the features only one message has: nothing can be learned from them."""
    first: dict[int, str] = {}
    again: set[int] = set()
    for message in messages:
        for n in message.tokens.indexes:
            if first.setdefault(n, message.group) != message.group:
                again.add(n)
    samples = []
    for message in messages:
        sample = to_sample(
            message.tokens, label=message.label, group=message.group, name=message.name, source=message.source
        )
        kept = tuple(n for n in sample.features if n in again)
        samples.append(replace(sample, features=kept, weight=message.weight))
    return balance(samples)


# The words that make a text English; other languages of the same letters are one for balance.
_ENGLISH = frozenset(
    [
        *("the", "and", "you", "for", "is", "are", "to", "of", "with", "this", "that", "on", "in", "it"),
        *("be", "your", "our", "from", "have", "will", "not", "we", "can", "all", "if", "or", "at"),
    ]
)
_FEW_WORDS = 15
_SCRIPTS = (
    ("ja", "\u3040", "\u30ff"),
    ("zh", "\u3400", "\u9fff"),
    ("ko", "\uac00", "\ud7af"),
    ("cyrillic", "\u0400", "\u052f"),
    ("greek", "\u0370", "\u03ff"),
    ("hebrew", "\u0590", "\u05ff"),
    ("arabic", "\u0600", "\u06ff"),
    ("thai", "\u0e00", "\u0e7f"),
    ("devanagari", "\u0900", "\u097f"),
)


def language(words: Iterable[str]) -> str:
    """Nearly the language of a text's tokens: its script, English, or another one in Latin letters."""
    plain = [word for word in dict.fromkeys(words) if len(word) > 1 and not word.isdigit()]
    for name, first, last in _SCRIPTS:
        if sum(any(first <= c <= last for c in word[:3]) for word in plain) > 0.2 * len(plain):
            return name
    known = sum(word in _ENGLISH for word in plain)
    return "en" if len(plain) < _FEW_WORDS or known >= min(5, 0.04 * len(plain)) else "latin"


def balance(samples: Sequence[Sample]) -> list[Sample]:
    """The samples with weights that make spam and the rest weigh the same in each language.

    English is balanced in each source, as it is the only language with much of each.  What
    is left alone in its language weighs nothing.
    """
    totals: dict[tuple[str, bool], float] = defaultdict(float)
    for sample in samples:
        totals[_balanced(sample), sample.is_spam] += sample.weight
    out = []
    for sample in samples:
        key = _balanced(sample)
        own, other = totals[key, sample.is_spam], totals[key, not sample.is_spam]
        factor = min(MAX_BALANCE, 0.5 * (own + other) / own) if other else 0.0
        out.append(replace(sample, weight=sample.weight * factor))
    return out


def _balanced(sample: Sample) -> str:
    if sample.language != "en":
        return sample.language
    return "en corpus" if sample.source == "corpus" else "en written"


_EVERYDAY_SENDERS = (
    "news@shop.example",
    "Alice Miller <alice@example.net>",
    "svc@example.com",
    "Example Team <no-reply@example.com>",
    "Bob <bob.jones77@mail.example>",
    "info@example.org",
)


def everyday(text: str) -> list[Written]:
    """The messages of the seed file `everyday.json`.

    The file is mailstack's own: wanted mail the corpus of 2002 does not know (codes, orders,
    invitations, newsletters), as a list of subject and text.
    """
    return [
        Written("ham", "everyday", "en", _EVERYDAY_SENDERS[n % len(_EVERYDAY_SENDERS)], subject, body)
        for n, (subject, body) in enumerate(json.loads(text))
    ]


def shuffle(samples: Sequence[Sample], salt: str) -> list[Sample]:
    """A fixed order that looks random."""
    return sorted(samples, key=lambda s: (_digest(f"{SEED} {salt} {s.group} {s.name}"), s.features))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True, slots=True)
class _Example:
    """One message in one view."""

    found: tuple[int, ...]
    divisor: float
    is_target: bool
    weight: float


def train(samples: Sequence[Sample], progress: Callable[[], None] = lambda: None) -> Model:
    """Weights for these samples, not yet calibrated."""
    used = shuffle([s for s in samples if s.weight > 0], "")
    steps = array("h", bytes(2 * SIZE))
    whole = [cuts(s.features) for s in used]
    for view, (start, end) in enumerate(pairwise(VIEWS)):
        examples = []
        for sample, borders in zip(used, whole, strict=True):
            found = sample.features[borders[view] : borders[view + 1]]
            examples.append(_Example(found, norm(len(found)), sample.is_spam, sample.weight))
        bias = BIAS / (len(VIEWS) - 1)
        _store(steps, _fit(examples, start, end, bias, progress), start, VIEW_SCALES[view])
    return Model(steps, BIAS, 1.0, 0.0)


def _store(steps: array[int], weights: Sequence[float], start: int, scale: float) -> None:
    for n, weight in enumerate(weights, start):
        steps[n] = max(-_STEP_LIMIT, min(_STEP_LIMIT, round(scale * weight / STEP)))


def _fit(
    examples: Sequence[_Example], start: int, end: int, bias: float, progress: Callable[[], None]
) -> list[float]:
    """AdaGrad with a rate for each feature; the weights from `start` on."""
    rates = _rates(examples, start, end)
    moved = [replace(e, found=tuple(n - start for n in e.found if rates[n - start] > 0)) for e in examples]
    weights, squares = [0.0] * (end - start), [FIRST_SQUARE] * (end - start)
    mean = [0.0] * (end - start)
    for epoch in range(EPOCHS):
        for example in moved if epoch % 2 else reversed(moved):
            found = example.found
            logit = bias + sum([weights[n] for n in found]) / example.divisor
            gradient = example.weight * (probability(logit) - example.is_target) / example.divisor
            if abs(gradient) < 1e-6:
                continue
            square, step = gradient * gradient, RATE * gradient
            for n in found:
                total = squares[n] = squares[n] + square
                weights[n] -= step * rates[n] / math.sqrt(total)
        if epoch >= EPOCHS - AVERAGED:
            mean = [one + weight for one, weight in zip(mean, weights, strict=True)]
        progress()
    return [one / AVERAGED for one in mean]


def _rates(examples: Sequence[_Example], start: int, end: int) -> list[float]:
    """How fast each feature learns; 0 for those of one message only."""
    counts = [0] * (end - start)
    sides = [_SMOOTH] * (end - start), [_SMOOTH] * (end - start)
    for example in examples:
        side = sides[example.is_target]
        for n in example.found:
            counts[n - start] += 1
            side[n - start] += example.weight
    totals = [sum(side) for side in sides]
    tells = [
        abs(math.log(spam / totals[1]) - math.log(ham / totals[0])) if count > 1 else 0.0
        for count, ham, spam in zip(counts, *sides, strict=True)
    ]
    known = [one for one in tells if one > 0]
    mean = sum(known) / max(len(known), 1) or 1.0
    return [
        LEAST_RATE + (1 - LEAST_RATE) * min(one / mean, MOST_RATE) if count > 1 else 0.0
        for one, count in zip(tells, counts, strict=True)
    ]


def train_heads(samples: Sequence[Sample], progress: Callable[[], None] = lambda: None) -> dict[str, Head]:
    """One head for each class of wanted mail, from the written messages, which know classes."""
    wanted = [s for s in shuffle(samples, "heads") if s.source == "written" and not s.is_spam]
    heads = {}
    for name in CLASS_HEADS:
        scored: list[tuple[float, Sample]] = []
        for fold in range(FOLDS):
            head = _train_head([s for s in wanted if fold_of(s) != fold], name, progress)
            scored += [(head.logit(s.features), s) for s in wanted if fold_of(s) == fold]
        share = sum(s.label == name for s in wanted) / max(len(wanted), 1)
        slope, intercept = calibrate(
            [(raw, s.label == name, 1.0) for raw, s in scored], share=min(max(share, 0.05), 0.5)
        )
        heads[name] = replace(_train_head(wanted, name, progress), slope=slope, intercept=intercept)
    return heads


def _train_head(samples: Sequence[Sample], name: str, progress: Callable[[], None]) -> Head:
    examples = []
    targets = sum(s.label == name for s in samples)
    heavier = min(MAX_BALANCE, len(samples) / max(2 * targets, 1))
    for sample in samples:
        found = sample.features[: cuts_single(sample.features)]
        is_target = sample.label == name
        examples.append(_Example(found, norm(len(found)), is_target, heavier if is_target else 1.0))
    weights = _fit(examples, 0, SINGLE_SIZE, NEUTRAL_CLASS, progress)
    steps = array("b", [max(-127, min(127, round(weight / HEAD_STEP))) for weight in weights])
    return Head(steps, NEUTRAL_CLASS, 1.0, 0.0)


def cuts_single(found: Sequence[int]) -> int:
    """How many of a message's indexes the heads know."""
    return sum(n < SINGLE_SIZE for n in found)


def find_common(samples: Iterable[Sample]) -> bytes:
    """Bits of the features that `COMMON_SHARE` of the wanted mail of a language has."""
    wanted: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if not sample.is_spam:
            wanted[sample.language].append(sample)
    bits = bytearray(SINGLE_SIZE // 8)
    for spoken in wanted.values():
        counts: dict[int, float] = defaultdict(float)
        for sample in spoken:
            for n in sample.features[: cuts_single(sample.features)]:
                counts[n] += sample.weight
        total = sum(sample.weight for sample in spoken)
        for n, count in counts.items():
            if count >= COMMON_SHARE * total:
                bits[n >> 3] |= 1 << (n & 7)
    return bytes(bits)


def fold_of(sample: Sample) -> int:
    """Which of the folds a sample belongs to; equal texts share one."""
    return int.from_bytes(_digest(sample.group)[:4], "big") % FOLDS


def out_of_fold(
    samples: Sequence[Sample], progress: Callable[[], None] = lambda: None
) -> list[tuple[float, Sample]]:
    """Raw logits of every sample by a model that has not seen it."""
    return list(_out_of_fold(samples, progress))


def _out_of_fold(samples: Sequence[Sample], progress: Callable[[], None]) -> Iterator[tuple[float, Sample]]:
    for fold in range(FOLDS):
        model = train([s for s in samples if fold_of(s) != fold], progress)
        yield from ((model.raw(s.features), s) for s in samples if fold_of(s) == fold)


def finish(
    samples: Sequence[Sample],
    scored: Sequence[tuple[float, Sample]],
    fingerprint: str,
    progress: Callable[[], None] = lambda: None,
) -> Model:
    """The whole model: trained on all samples, calibrated on what was scored out of fold."""
    slope, intercept = calibrate([(raw, s.is_spam, s.weight) for raw, s in scored], share=SPAM_SHARE)
    return replace(
        train(samples, progress),
        slope=slope,
        intercept=intercept,
        fingerprint=fingerprint,
        heads=train_heads(samples, progress),
        common=find_common(samples),
    )
