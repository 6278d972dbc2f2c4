"""What stands between mail and a `state.db` that is slow, locked or broken.

The first who finds out waits for the database; then nobody asks for a moment, so that the
others do not wait one behind the other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from mailstack.app.threads import Threads
from mailstack.model.errors import TemporaryFailure

T = TypeVar("T")

#: After a failure nobody asks for so long, in seconds.
REST_S: Final = 2.0


class Fuse:
    """Thread-safe."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._rests_until = float("-inf")
        self._why = ""

    def call(self, work: Callable[[], T]) -> T:
        """Does the work.

        Raises:
            TemporaryFailure: of the work, or of one a moment ago.
        """
        with self._lock:
            if self._clock() < self._rests_until:
                raise TemporaryFailure(self._why)
        try:
            return work()
        except TemporaryFailure as error:
            with self._lock:
                self._rests_until, self._why = self._clock() + REST_S, error.why
            raise


class Aside:
    """Work for a database in one thread of its own, behind a fuse: those that store mail do not wait."""

    def __init__(self, name: str) -> None:
        self._thread = Threads(1, name)
        self._fuse = Fuse()

    async def run(self, work: Callable[[], T]) -> T:
        """Does the work in the thread; raises as `Fuse.call`."""
        return await self._thread.run(self._fuse.call, work)

    def close(self) -> None:
        """Ends the thread; what it does is finished first."""
        self._thread.shutdown()
