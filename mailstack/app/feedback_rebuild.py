"""Makes lessons anew: an account's from its folders, a domain's from folders of the operator's.

What lies elsewhere than the filter had filed it was moved by somebody, and counts in full;
so does what the filter never saw.  Where both agree, it is weak evidence: nobody said so.
Lists of senders stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from mailstack.app.feedback_keep import keep
from mailstack.app.feedback_options import FeedbackOptions
from mailstack.app.feedback_samples import newest
from mailstack.app.filter_study import Do, Reader
from mailstack.app.lessons import LessonBook
from mailstack.filters.teaching import FULL, WEAK, place_of
from mailstack.mailbox import MailStore
from mailstack.model.directory import Account
from mailstack.model.lessons import Digest, Label, Lesson, Place
from mailstack.model.mailbox import AccountStore, Flags, MailboxError

#: Messages of each class that are read for one that may be kept.
_LOOK = 2


class Rebuild:
    """Reads what there is; made for one run."""

    def __init__(
        self, reader: Reader, do: Do, options: FeedbackOptions, *, step: Callable[[], object]
    ) -> None:
        """`step`: called after each message."""
        self._reader, self._do, self._options, self._step = reader, do, options, step

    async def of_account(self, account: Account, store: MailStore) -> list[Lesson]:
        """The lessons in an account's folders, oldest first.

        Raises:
            Away, TemporaryFailure: as `Reader`.
        """
        mailbox = store.of(account)
        found: dict[bytes, Lesson] = {}
        for folder_id, uid, message, place, at in await self._do(
            lambda: list(_mail(account, mailbox, self._options))
        ):
            digest = await self._reader.stored(mailbox, folder_id, uid, message=message, do=self._do)
            self._step()
            if digest is not None:
                found.setdefault(digest.id, _judged(digest, place, at=at, message=message))
        lessons = list(found.values())
        judged = sum(one.evidence != "sample" for one in lessons)
        room = min(self._options.samples, 2 * judged)
        samples = [one for one in lessons if one.evidence == "sample"][:room]
        # Samples stand at the end, as in feedback_samples.
        real = sorted((one for one in lessons if one.evidence != "sample"), key=lambda one: (one.at, one.id))
        return [*real, *samples]

    async def of_messages(self, messages: Iterable[tuple[Label, bytes]], *, now: float) -> list[Lesson]:
        """The lessons in messages somebody has sorted.

        Raises:
            Away: as `Reader`.
        """
        found: dict[bytes, Lesson] = {}
        for label, octets in messages:
            digest = await self._reader.digest(octets[: self._options.message_octets])
            self._step()
            if digest is not None:
                found[digest.id] = Lesson(
                    digest.id,
                    label,
                    "",
                    FULL,
                    "place",
                    now,
                    digest.indexes,
                    digest.logit,
                    author=digest.author,
                    message_id=digest.message_id,
                    features=digest.features,
                )
        return list(found.values())

    async def keep(self, book: LessonBook, lessons: list[Lesson]) -> list[Lesson]:
        """As `feedback_keep.keep`."""
        return await keep(book, lessons, self._reader, self._do, self._options)


def with_lists(lessons: list[Lesson], before: Iterable[Lesson]) -> list[Lesson]:
    """New lessons that remember what older ones did to the lists of senders."""
    known = {one.id: one for one in before if one.listed}
    return [
        msgspec.structs.replace(one, listed=known[one.id].listed, before=known[one.id].before)
        if one.id in known
        else one
        for one in lessons
    ]


def _judged(digest: Digest, place: Label, *, at: float, message: str) -> Lesson:
    is_moved = digest.filed != place
    evidence = "sample" if place == "ham" and (not is_moved or not digest.filed) else "place"
    return Lesson(
        digest.id,
        place,
        digest.filed if is_moved else place,
        FULL if is_moved and evidence == "place" else WEAK,
        evidence,  # type: ignore[arg-type]
        at,
        digest.indexes,
        digest.logit,
        author=digest.author,
        message=message,
        message_id=digest.message_id,
        features=digest.features,
    )


def _mail(
    account: Account, mailbox: AccountStore, options: FeedbackOptions
) -> Iterator[tuple[int, int, str, Label, float]]:
    """Folder id, UID, EMAILID, class and time of what says something, the newest of each folder first."""
    left: dict[Place, int] = dict.fromkeys(("ham", "spam", "promotions", "social"), _LOOK * options.lessons)
    for entry in mailbox.folders():
        place = place_of(entry.name, entry.special_use, account.filters)
        if not entry.exists or not place:
            continue
        try:
            folder_id = mailbox.status(entry.name).id
            uids = newest(mailbox.columns(folder_id), left[place], _was_read if place == "ham" else _any)
            rows = mailbox.details(folder_id, uids)
        except MailboxError:
            continue  # removed meanwhile
        left[place] -= len(uids)
        for row in sorted(rows.values(), key=lambda row: -row.uid):
            yield folder_id, row.uid, row.email_id, place, float(row.internal_at)


def _was_read(uid: int, flags: int) -> bool:
    """Wanted mail says something once it was read."""
    return bool(flags & Flags.SEEN)


def _any(uid: int, flags: int) -> bool:
    return True
