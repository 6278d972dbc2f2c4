"""Keeps lessons, within what one account or domain may have, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence

from mailstack.app.feedback_options import FeedbackOptions
from mailstack.app.filter_study import Do, Reader
from mailstack.app.lessons import LessonBook
from mailstack.filters.teaching import within
from mailstack.model.lessons import Lesson


async def keep(
    book: LessonBook, lessons: Sequence[Lesson], reader: Reader, do: Do, options: FeedbackOptions
) -> list[Lesson]:
    """Writes lessons and corrections; gives those that were kept.  Somebody holds the lock.

    Args:
        lessons: oldest first.

    Raises:
        Away, TemporaryFailure: as `Reader`; nothing has changed.
    """
    kept = within(lessons, most=options.lessons, most_weak=options.weak_lessons, features=options.features)
    corrections = await reader.corrections(kept) if kept else b""
    await do(lambda: book.write(kept, corrections))
    return kept
