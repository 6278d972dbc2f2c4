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

import heapq
import math
import struct
import sys
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

#: Where the features of each kind lie: [start, end) of header, body, words, and pairs of words.
HEADER = 0
BODY = 1 << 16
WORDS = 1 << 17
PAIRS = 1 << 18
SIZE = PAIRS + (1 << 18)
#: Borders of the views: words and pairs are one.
VIEWS: Final = (HEADER, BODY, WORDS, SIZE)
#: Start of each region, and the mask of the hashes in it.
_REGIONS: Final = (
    (HEADER, BODY - HEADER - 1),
    (BODY, WORDS - BODY - 1),
    (WORDS, PAIRS - WORDS - 1),
    (PAIRS, SIZE - PAIRS - 1),
)
#: Features the heads know, and those that may be called common.
SINGLE_SIZE = PAIRS
#: A view with fewer features counts as if it had this many, the rest unknown.
NORM_FLOOR = 40
#: One step of a stored weight, and of one of the heads: 16 and 8 bits.
STEP = 1 / 2_048
HEAD_STEP = 1 / 16
#: Characters of a token that people are shown.
MAX_NAMED = 60
#: Shares of a logit below this are not named.
LEAST_NAMED = 0.02
#: First only those that weigh more are looked at.
_LEAST_FACTORS: Final = (8, 3, 1)
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


class Tokens(NamedTuple):
    """The features of a message in words, by the region of their weights."""

    header: list[str]
    body: list[str]
    words: list[str]
    pairs: list[str]


def sort_out(found: Iterable[str]) -> Tokens:
    """Tokens by their marks: "h:", "b:", a blank between two words."""
    out = Tokens([], [], [], [])
    for token in found:
        region = 0 if token.startswith("h:") else 1 if token.startswith("b:") else 3 if " " in token else 2
        out[region].append(token)
    return out


def named(found: Tokens | Iterable[str]) -> dict[int, str]:
    """Weights of tokens and a token of each, region after region."""
    tokens = found if isinstance(found, Tokens) else sort_out(found)
    crc = zlib.crc32
    out: dict[int, str] = {}
    for kind, (start, mask) in zip(tokens, _REGIONS, strict=True):
        try:
            # Without arguments it is half as dear.
            for token in kind:
                out[(crc(token.encode()) & mask) + start] = token
        except UnicodeEncodeError:  # halves of characters
            for token in kind:
                out[(crc(token.encode("utf-8", "surrogatepass")) & mask) + start] = token
    return out


def indexes(found: Tokens | Iterable[str]) -> list[int]:
    """Weights of several tokens, region after region and without repeats."""
    return list(named(found))


def index(token: str) -> int:
    """The weight a token hashes to."""
    return indexes([token])[0]


def norm(count: int) -> float:
    """What a sum of `count` weights is divided by."""
    return math.sqrt(max(count, NORM_FLOOR))


def cuts(found: Sequence[int]) -> list[int]:
    """Where the views begin in indexes in the order of the regions, and where the last one ends."""
    return [bisect_left(found, border) for border in VIEWS]


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
        raw = self.bias + HEAD_STEP * sum(map(weights.__getitem__, single)) / norm(len(single))
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
        weight = self.weights.__getitem__
        total = self.bias
        for start, end in pairwise(cuts(found)):
            if end > start:
                total += STEP * sum(map(weight, found[start:end])) / norm(end - start)
        return total

    def logit(self, found: Sequence[int]) -> float:
        """The calibrated logit; rules add their weights to it."""
        return self.slope * self.raw(found) + self.intercept

    def head_logit(self, head: str, found: Sequence[int]) -> float:
        """The calibrated logit of spam or of one of `CLASS_HEADS`."""
        if head == "spam":
            return self.logit(found)
        known = self.heads.get(head)
        return known.logit(found) if known is not None else NEUTRAL_CLASS

    def is_common(self, n: int) -> bool:
        """True for features that much wanted mail has: they tell little about a user's taste."""
        return n < 8 * len(self.common) and bool(self.common[n >> 3] >> (n & 7) & 1)

    def largest(self, names: Mapping[int, str], top: int) -> list[tuple[float, str]]:
        """What weighs most in a message: shares of the logit and tokens, largest first by size.

        Args:
            names: of `named`.
            top: how many at most.
        """
        found = list(names)
        weights = list(map(self.weights.__getitem__, found))
        shares: list[tuple[float, int]] = []
        for factor in _LEAST_FACTORS:
            # Most weigh next to nothing: leaving them out first is cheaper than sorting them.
            shares = []
            for start, end in pairwise(cuts(found)):
                scale = self.slope * STEP / norm(end - start)
                least = int(abs(factor * LEAST_NAMED / scale)) if scale else 1 << 15
                view = zip(weights[start:end], found[start:end], strict=True)
                shares += [(scale * w, n) for w, n in view if w > least or w < -least]
            if len(shares) >= top:
                break
        largest = heapq.nlargest(top, shares, key=lambda share: (abs(share[0]), share[1]))
        return [(share, names[n][:MAX_NAMED]) for share, n in largest]


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
