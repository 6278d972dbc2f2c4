"""Keeps lessons, within what one account or domain may have, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mailstack.app.feedback_options import FeedbackOptions
from mailstack.app.filter_study import Do, Reader
from mailstack.app.lessons import LessonBook
from mailstack.filters.teaching import TRAPPED, within
from mailstack.model.lessons import Digest, Lesson


async def keep(
    book: LessonBook,
    lessons: Sequence[Lesson],
    reader: Reader,
    do: Do,
    options: FeedbackOptions,
    *,
    settle: Callable[[list[Lesson]], list[Lesson]] = list,
) -> list[Lesson]:
    """Writes lessons and corrections; gives those that were kept.  Somebody holds the lock.

    Args:
        lessons: oldest first.
        settle: what else is to be done, when nothing waits for the filter any more; gives the same
            lessons, as they are to be written.

    Raises:
        Away, TemporaryFailure: as `Reader`; nothing has changed.
    """
    kept = within(lessons, most=options.lessons, most_weak=options.weak_lessons, features=options.features)
    corrections = await reader.corrections(kept) if kept else b""

    def write() -> list[Lesson]:
        settled = settle(kept)
        book.write(settled, corrections)
        return settled

    return await do(write)


def trap_lesson(digest: Digest, *, at: float) -> Lesson:
    """What a message that nobody asked for teaches a domain: a little."""
    return Lesson(
        digest.id, "spam", "", TRAPPED, "place", at, digest.indexes, digest.logit, features=digest.features
    )
