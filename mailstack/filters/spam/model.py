"""Hashed logistic regression in three views, with heads for the classes of wanted mail.

Each view (how the header is made, how the body is made, what the text says) was trained
alone, so that each has its own opinion; the score of a message is their sum:

    bias + sum over views of (weights of its features in that view) / norm

where the norm grows with the root of the number of features in the view but never falls
below that of `NORM_FLOOR`, so that two words decide nothing.  Weights are 16-bit steps in
a file that workers map and share.  The heads are smaller: they know single features, no
pairs of words.

Own code, standard library only (libraries page, section 6: as good as scikit-learn
without its 100 MB).
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter
from typing import Final, NamedTuple

from mailstack.filters.spam.hashing import PAIRS, SIZE, cuts

#: Features the heads know, and those that may be called common.
SINGLE_SIZE = PAIRS
#: A view with fewer features counts as if it had this many, the rest unknown.
NORM_FLOOR = 40
#: One step of a stored weight, and of one of the heads: 16 and 8 bits.
STEP = 1 / 2_048
HEAD_STEP = 1 / 16
#: Smaller shares of a logit are not named.
LEAST_SHARE = 0.02
#: What the largest shares of most messages reach; where too few do, so much smaller ones are taken.
_LARGE, _FALL = 0.2, 4
#: Heads beside that of spam: the classes of mail that is not.
CLASS_HEADS: Final = ("promotions", "social")
#: Logit of a class nothing is known about.
NEUTRAL_CLASS = -2.2

_MAGIC = b"mailstack model\n"
_VERSION = 2
_HEAD = struct.Struct("<16sHHddd32s")  # magic, version, heads, bias, slope, intercept, fingerprint
_CLASS = struct.Struct("<ddd")  # bias, slope, intercept
_OCTETS = _HEAD.size + 2 * SIZE + SINGLE_SIZE // 8 + len(CLASS_HEADS) * (_CLASS.size + SINGLE_SIZE)


class BadModel(Exception):
    """The weights cannot be used: missing, cut short, or of another version."""


def norm(count: int) -> float:
    """What a sum of `count` weights is divided by."""
    return math.sqrt(max(count, NORM_FLOOR))


def probability(logit: float) -> float:
    """The logistic function, safe at both ends."""
    if logit >= 0:
        return 1 / (1 + math.exp(-min(logit, 700)))
    power = math.exp(max(logit, -700))
    return power / (1 + power)


def to_logit(share: float) -> float:
    """The inverse of `probability`; `share` strictly between 0 and 1."""
    return math.log(share / (1 - share))


@dataclass(frozen=True, slots=True)
class Head:
    """Weights of one class of wanted mail, `SINGLE_SIZE` of `HEAD_STEP`, and their calibration."""

    weights: Sequence[int]
    bias: float
    slope: float
    intercept: float

    def logit(self, found: Sequence[int]) -> float:
        """The calibrated logit for indexes in the order of the regions."""
        weights = self.weights
        single = found[: bisect_left(found, SINGLE_SIZE)]
        raw = self.bias + HEAD_STEP * sum(_looked_up(weights, single)) / norm(len(single))
        return self.slope * raw + self.intercept


@dataclass(frozen=True, slots=True)
class Model:
    """Trained weights with their calibration.

    Attributes:
        weights: `SIZE` steps of `STEP`; anything that can be indexed and gives integers.
        bias: logit of a message nothing is known about, before calibration.
        slope, intercept: calibration: probability(slope * raw + intercept).
        fingerprint: SHA-256 of the recipe's input, as hexadecimal digits; for people.
        heads: by class.
        common: bits of the features much wanted mail has; empty: none are known.
    """

    weights: Sequence[int]
    bias: float
    slope: float
    intercept: float
    fingerprint: str = ""
    heads: Mapping[str, Head] = field(default_factory=dict)
    common: Sequence[int] = b""

    def raw(self, found: Sequence[int]) -> float:
        """The uncalibrated logit of a message with these indexes, region after region."""
        weights, total = _looked_up(self.weights, found), self.bias
        for start, end in pairwise(cuts(found)):
            if end > start:
                total += STEP * sum(weights[start:end]) / norm(end - start)
        return total

    def logit(self, found: Sequence[int]) -> float:
        """The calibrated logit; rules add their weights to it."""
        return self.slope * self.raw(found) + self.intercept

    @property
    def neutral(self) -> float:
        """The logit of a message nothing is known about."""
        return self.slope * self.bias + self.intercept

    def judge(self, found: Sequence[int], top: int) -> tuple[float, list[tuple[float, int]]]:
        """The logit, and what weighs most in it: shares of it and indexes, largest first by size.

        Args:
            found: as for `raw`.
            top: how many at most.
        """
        weights, total = _looked_up(self.weights, found), self.bias
        views: list[_View] = []
        for start, end in pairwise(cuts(found)):
            if end > start:
                steps, scale = weights[start:end], STEP / norm(end - start)
                total += scale * sum(steps)
                views.append(_View(self.slope * scale, steps, found[start:end]))
        shares = _largest(views, top)
        return self.slope * total + self.intercept, shares

    def head_logit(self, head: str, found: Sequence[int]) -> float:
        """The calibrated logit of spam or of one of `CLASS_HEADS`."""
        if head == "spam":
            return self.logit(found)
        known = self.heads.get(head)
        return known.logit(found) if known is not None else NEUTRAL_CLASS

    def is_common(self, n: int) -> bool:
        """True for features that much wanted mail has: they tell little about a user's taste."""
        return n < 8 * len(self.common) and bool(self.common[n >> 3] >> (n & 7) & 1)


class _View(NamedTuple):
    """The features of one view: what a step weighs in the logit, their weights, their indexes."""

    scale: float
    steps: Sequence[int]
    found: Sequence[int]


def _largest(views: Sequence[_View], top: int) -> list[tuple[float, int]]:
    """The largest shares of the logit by size, and their indexes."""
    # Most weigh next to nothing: only large ones are sorted.
    bound, shares = _LARGE, _above(views, _LARGE)
    while bound > LEAST_SHARE and len(shares) < top:
        bound = max(bound / _FALL, LEAST_SHARE)
        shares = _above(views, bound)
    return [(share, n) for _, n, share in sorted(shares)[:top]]


def _above(views: Iterable[_View], bound: float) -> list[tuple[float, int, float]]:
    """Shares of at least that size: size (negative), index, share."""
    shares: list[tuple[float, int, float]] = []
    for scale, steps, found in views:
        if scale:
            least = math.ceil(bound / abs(scale))
            view = zip(steps, found, strict=True)
            large = [(scale * step, n) for step, n in view if step >= least or step <= -least]
            shares += [(-abs(share), n, share) for share, n in large]
    return shares


def _looked_up(weights: Sequence[int], found: Sequence[int]) -> Sequence[int]:
    """The weights of indexes; one call for all is twice as fast as one each."""
    if len(found) > 1:
        looked_up: Sequence[int] = itemgetter(*found)(weights)
        return looked_up
    return [weights[n] for n in found]


def load(data: bytes | memoryview) -> Model:
    """A model from the octets of its file (may be a mapped file's memoryview; it is kept).

    Raises:
        BadModel: not a model of this version.
    """
    view = memoryview(data)
    if len(view) < _HEAD.size:
        raise BadModel("the model file is too short")
    magic, version, heads, bias, slope, intercept, fingerprint = _HEAD.unpack(view[: _HEAD.size])
    if magic != _MAGIC or version != _VERSION or heads != len(CLASS_HEADS):
        raise BadModel("the model file is of another kind or version")
    if len(view) != _OCTETS or not all(map(math.isfinite, (bias, slope, intercept))):
        raise BadModel("the model file is damaged")
    at = _HEAD.size
    weights, at = _weights(view, at, SIZE), at + 2 * SIZE
    common, at = view[at : at + SINGLE_SIZE // 8], at + SINGLE_SIZE // 8
    found = {}
    for name in CLASS_HEADS:
        numbers = _CLASS.unpack(view[at : at + _CLASS.size])
        if not all(map(math.isfinite, numbers)):
            raise BadModel("the model file is damaged")
        at += _CLASS.size
        found[name] = Head(view[at : at + SINGLE_SIZE].cast("b"), *numbers)
        at += SINGLE_SIZE
    return Model(weights, bias, slope, intercept, fingerprint.hex(), found, common)


def _weights(view: memoryview, at: int, count: int) -> Sequence[int]:
    body = view[at : at + 2 * count]
    if sys.byteorder == "little":
        return body.cast("h")
    swapped = array("h", body.tobytes())
    swapped.byteswap()
    return swapped


def _octets(weights: Sequence[int]) -> bytes:
    steps = array("h", weights)
    if sys.byteorder != "little":
        steps.byteswap()
    return steps.tobytes()


def dump(model: Model) -> bytes:
    """The octets of a model file."""
    fingerprint = bytes.fromhex(model.fingerprint)
    head = _HEAD.pack(
        _MAGIC, _VERSION, len(CLASS_HEADS), model.bias, model.slope, model.intercept, fingerprint
    )
    pieces = [head, _octets(model.weights), bytes(model.common) or bytes(SINGLE_SIZE // 8)]
    none = Head(array("b", bytes(SINGLE_SIZE)), NEUTRAL_CLASS, 1.0, 0.0)
    for name in CLASS_HEADS:
        one = model.heads.get(name, none)
        pieces += [_CLASS.pack(one.bias, one.slope, one.intercept), array("b", one.weights).tobytes()]
    return b"".join(pieces)
