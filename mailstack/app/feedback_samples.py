"""Wanted mail that is taken along: what it has in common with what was marked is no sign of spam.

Somebody who marks twenty German advertisements has not said that "und" is a sign of spam.
For each message somebody has judged, up to two the owner has read and kept in the INBOX are
learned as wanted, with little weight.  The last that came go first when lessons are taken
back: after that everything is as before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from mailstack.app.feedback_options import FeedbackOptions
from mailstack.app.filter_study import Do, Reader
from mailstack.filters.teaching import WEAK, marks_of
from mailstack.mailbox import MailStore
from mailstack.model.directory import Account
from mailstack.model.lessons import Lesson
from mailstack.model.mailbox import AccountStore, Flags, MessageColumns

#: Samples for each message somebody has judged.
_EACH = 2


async def sampled(
    account: Account,
    lessons: Sequence[Lesson],
    store: MailStore,
    reader: Reader,
    do: Do,
    options: FeedbackOptions,
) -> list[Lesson]:
    """The lessons with as many samples as they want, oldest first.

    Raises:
        Away, TemporaryFailure: as `Reader`.
    """
    judged = [one for one in lessons if one.evidence != "sample"]
    samples = [one for one in lessons if one.evidence == "sample"]
    wanted = min(options.samples, _EACH * len(judged))
    del samples[wanted:]
    known = {one.id for one in lessons}
    mailbox = store.of(account)
    inbox, uids = 0, list[int]()
    if len(samples) < wanted:
        inbox, uids = await do(lambda: _read_mail(mailbox, wanted + len(lessons)))
    at = max((one.at for one in lessons), default=0.0)
    for uid in uids:
        if len(samples) >= wanted:
            break
        digest = await reader.stored(mailbox, inbox, uid, message="", do=do)
        if digest is None or digest.id in known or digest.filed == "spam":
            continue
        known.add(digest.id)
        samples.append(
            Lesson(
                digest.id,
                "ham",
                "ham",
                WEAK,
                "sample",
                at,
                digest.indexes,
                digest.logit,
                features=digest.features,
            )
        )
    return [*judged, *samples]


def _read_mail(mailbox: AccountStore, most: int) -> tuple[int, list[int]]:
    """Id of the INBOX, and UIDs of what was read and kept there, the newest first."""
    inbox = mailbox.status("INBOX").id
    columns = mailbox.columns(inbox)

    def was_kept(uid: int, flags: int) -> bool:
        return bool(flags & Flags.SEEN) and not marks_of(columns.keywords.get(uid, ()))

    return inbox, newest(columns, most, was_kept)


def newest(columns: MessageColumns, most: int, is_wanted: Callable[[int, int], bool]) -> list[int]:
    """UIDs of messages of a folder that are not deleted, the newest first.

    Args:
        is_wanted: is asked with UID and flags.
    """
    pairs = zip(reversed(columns.uids), reversed(columns.flags), strict=True)
    found = (uid for uid, flags in pairs if not flags & Flags.DELETED and is_wanted(uid, flags))
    return list(islice(found, most))
