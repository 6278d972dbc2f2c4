"""Hashed logistic regression: 2^18 weights, a bias that makes the unknown neutral.

The score of a message is `bias + sum(weights) / norm`, where the norm grows with the
root of the number of features but never falls below that of a message of `NORM_FLOOR`
features, so that two words decide nothing.  Weights are 16-bit steps in a file that
workers map and share.

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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

BITS = 18
SIZE = 1 << BITS
_MASK = SIZE - 1
#: Messages with fewer features count as if they had this many, the rest unknown.
NORM_FLOOR = 40
#: One step of a stored weight.
STEP = 1 / 2_048

#: Heads beside that of spam: the classes of mail that is not.
CLASS_HEADS: Final = ("promotions", "social")
#: Logit of a class nothing is known about.
NEUTRAL_CLASS = -2.2

_MAGIC = b"mailstack model\n"
_VERSION = 1
_HEAD = struct.Struct("<16sHHddd32s")  # magic, version, bits, bias, slope, intercept, fingerprint


class BadModel(Exception):
    """The weights cannot be used: missing, cut short, or of another version."""


def index(token: str) -> int:
    """The weight a token hashes to."""
    return zlib.crc32(token.encode("utf-8", "surrogatepass")) & _MASK


def indexes(tokens: Iterable[str]) -> list[int]:
    """Weights of several tokens, without repeats."""
    crc = zlib.crc32
    return list({crc(token.encode("utf-8", "surrogatepass")) & _MASK for token in tokens})


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
class Model:
    """Trained weights with their calibration.

    Attributes:
        weights: `SIZE` steps of `STEP`; anything that can be indexed and gives integers.
        bias: logit of a message nothing is known about, before calibration.
        slope, intercept: calibration: probability(slope * raw + intercept).
        fingerprint: SHA-256 of the recipe's input, as hexadecimal digits; for people.
    """

    weights: Sequence[int]
    bias: float
    slope: float
    intercept: float
    fingerprint: str = ""

    def raw(self, found: Sequence[int]) -> float:
        """The uncalibrated logit of a message with these weight indexes."""
        weights = self.weights
        return self.bias + STEP * sum([weights[n] for n in found]) / norm(len(found))

    def logit(self, found: Sequence[int]) -> float:
        """The calibrated logit; rules add their weights to it."""
        return self.slope * self.raw(found) + self.intercept

    def head_logit(self, head: str, found: Sequence[int]) -> float:
        """The calibrated logit of spam or of one of `CLASS_HEADS`."""
        return self.logit(found) if head == "spam" else NEUTRAL_CLASS

    def is_common(self, n: int) -> bool:
        """True for features that much wanted mail has: they tell little about a user's taste."""
        return False

    def judge(self, tokens: Iterable[str], top: int = 0) -> tuple[float, list[tuple[float, str]]]:
        """The calibrated logit of a message with these tokens, and what weighs most in it.

        Returns:
            The logit, and up to `top` pairs of a token's share of it and the token,
            largest first by size.
        """
        crc, weights = zlib.crc32, self.weights
        found = {crc(token.encode("utf-8", "surrogatepass")) & _MASK: token for token in tokens}
        shares = [(weights[n], token) for n, token in found.items()]
        scale = STEP / norm(len(found))
        logit = self.slope * (self.bias + scale * sum([share for share, _ in shares])) + self.intercept
        largest = heapq.nlargest(top, shares, key=lambda share: abs(share[0]))
        return logit, [(self.slope * scale * share, token) for share, token in largest]


def load(data: bytes | memoryview) -> Model:
    """A model from the octets of its file (may be a mapped file's memoryview; it is kept).

    Raises:
        BadModel: not a model of this version.
    """
    view = memoryview(data)
    if len(view) < _HEAD.size:
        raise BadModel("the model file is too short")
    magic, version, bits, bias, slope, intercept, fingerprint = _HEAD.unpack(view[: _HEAD.size])
    if magic != _MAGIC or version != _VERSION or bits != BITS:
        raise BadModel("the model file is of another kind or version")
    if len(view) != _HEAD.size + 2 * SIZE or not all(map(math.isfinite, (bias, slope, intercept))):
        raise BadModel("the model file is damaged")
    body = view[_HEAD.size :]
    if sys.byteorder == "little":
        weights: Sequence[int] = body.cast("h")
    else:
        swapped = array("h", body.tobytes())
        swapped.byteswap()
        weights = swapped
    return Model(weights, bias, slope, intercept, fingerprint.hex())


def dump(model: Model) -> bytes:
    """The octets of a model file."""
    weights = array("h", model.weights)
    if sys.byteorder != "little":
        weights.byteswap()
    head = _HEAD.pack(
        _MAGIC, _VERSION, BITS, model.bias, model.slope, model.intercept, bytes.fromhex(model.fingerprint)
    )
    return head + weights.tobytes()
