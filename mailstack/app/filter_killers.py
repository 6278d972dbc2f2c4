"""Messages that ended a filter worker are known again, so that they do not end one after another.

The first time a message is given another worker, if there is time; a worker may have died
of something else.  From the second time on its like is answered unfiltered at once.  The
like of a message is one with the same body: its header changes with every try and recipient.
Of a large body the two ends and the size are looked at: the event loop waits for this.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from mailstack.model.verdict import FilterRequest

#: Deaths after which nothing of that shape is given to a worker any more.
MOST_DEATHS = 2
#: Seconds without another death after which a shape gets a new chance.
REMEMBER_S = 3_600.0
#: Shapes remembered; the oldest is forgotten.
MAX_SHAPES = 10_000
#: A shorter body is shared by messages that have nothing else in common.
MIN_BODY_OCTETS = 256
#: Octets at either end of a body that make its shape.
END_OCTETS = 262_144


def shape_of(request: FilterRequest) -> str:
    """Hash by which a message is known again; "" when it is no longer there."""
    if request.message is not None:
        return _hash(io.BytesIO(request.message), len(request.message))
    try:
        with Path(request.path).open("rb") as file:
            return _hash(file, os.fstat(file.fileno()).st_size)
    except OSError:
        return ""


def _hash(file: BinaryIO, size: int) -> str:
    """Of what follows the empty line; of the whole message where that is next to nothing."""
    at = file.read(END_OCTETS).find(b"\r\n\r\n")
    if not 0 <= at < size - MIN_BODY_OCTETS:
        at = 0
    digest_of = hashlib.sha256(b"%d " % (size - at))
    file.seek(at)
    digest_of.update(file.read(END_OCTETS))
    file.seek(max(at + END_OCTETS, size - END_OCTETS))
    digest_of.update(file.read(END_OCTETS))
    return digest_of.hexdigest()


class Killers:
    """How many workers each shape has ended."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._deaths: dict[str, tuple[int, float]] = {}

    def __bool__(self) -> bool:
        return bool(self._deaths)

    def add(self, shape: str) -> int:
        """Counts one more death; gives how many there are."""
        deaths = self.deaths(shape) + 1
        self._deaths.pop(shape, None)
        self._deaths[shape] = deaths, self._clock()
        while len(self._deaths) > MAX_SHAPES:
            del self._deaths[next(iter(self._deaths))]
        return deaths

    def deaths(self, shape: str) -> int:
        """Of one shape."""
        deaths, at = self._deaths.get(shape, (0, 0.0))
        if deaths and self._clock() - at > REMEMBER_S:
            del self._deaths[shape]
            return 0
        return deaths

    def forget(self, shape: str) -> None:
        """It was read to its end: something else was wrong."""
        self._deaths.pop(shape, None)
