"""Which messages ended filter workers: counted, kept for the operator, and not tried for ever."""

from __future__ import annotations

import logging
from collections.abc import Callable

from mailstack.app.filter_aside import AsideFolder
from mailstack.app.filter_job import Job
from mailstack.app.filter_killers import MOST_DEATHS, Killers, shape_of
from mailstack.app.filter_steps import Begins
from mailstack.model.errors import TemporaryFailure

_log = logging.getLogger(__name__)


class Blame:
    """One filter daemon's."""

    def __init__(self, aside: AsideFolder | None, *, now: Callable[[], float]) -> None:
        """
        Args:
            aside: where copies are kept; None: nowhere.
            now: Unix seconds.
        """
        self._aside = aside
        self._now = now
        self._killers = Killers()

    def is_killer(self, job: Job) -> bool:
        """Its like ended workers before, and not by chance."""
        if not self._killers:
            return False
        job.shape = shape_of(job.decode())
        return self._killers.deaths(job.shape) >= MOST_DEATHS

    def acquit(self, job: Job) -> None:
        """It was read to its end: something else was wrong."""
        if job.shape:
            self._killers.forget(job.shape)

    def count(self, job: Job) -> bool:
        """Remembers that a worker ended over it.  True: it may be tried once more."""
        request = job.decode()
        # Lessons are no message: nobody sends their like again.
        job.shape = job.shape or ("" if request.wants == "corrections" else shape_of(request))
        return bool(job.shape) and self._killers.add(job.shape) < MOST_DEATHS

    def set_aside(self, job: Job, why: str, begun: Begins | None = None) -> str:
        """Keeps a copy for the operator; gives its id, "" for none."""
        request = job.decode()
        if self._aside is None or request.wants != "verdict":
            return ""
        shape, script = job.shape or shape_of(request), begun.script if begun is not None else ""
        try:
            id_ = self._aside.keep(request, why, shape=shape, at=self._now(), script=script)
        except TemporaryFailure as failure:
            _log.error("%s: %s", request.accept_id, failure.why)
            return ""
        if id_:
            _log.error("%s: %s; 'mailstack filter aside show %s'", request.accept_id, why, id_)
        return id_
