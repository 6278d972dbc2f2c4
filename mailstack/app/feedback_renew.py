"""Lessons whose features another version made: their messages are read again.

After an update the numbers of features may stand for something else.  Corrections made of
the old ones are not used any more (filters/study.py), and lessons whose message is gone go.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import msgspec

from mailstack.app.filter_study import Do, Reader
from mailstack.model.lessons import Lesson
from mailstack.model.mailbox import AccountStore, MailboxError

#: Messages whose details are asked for at once.
_BATCH = 500


async def renewed(
    lessons: Sequence[Lesson], mailbox: AccountStore | None, reader: Reader, do: Do, *, features: int
) -> list[Lesson]:
    """The lessons with features of this version; without samples and those that cannot be had.

    Args:
        mailbox: where their messages may be; None: nowhere.

    Raises:
        Away, TemporaryFailure: as `Reader`.
    """
    judged = [one for one in lessons if one.evidence != "sample"]
    wanted = {one.message for one in judged if one.message and one.features != features}
    places = await do(lambda: _places(mailbox, wanted)) if mailbox is not None and wanted else {}
    found = []
    for one in judged:
        if one.features == features:
            found.append(one)
        elif mailbox is not None and one.message in places:
            folder_id, uid = places[one.message]
            digest = await reader.stored(mailbox, folder_id, uid, message=one.message, do=do)
            if digest is not None:
                new = {"id": digest.id, "indexes": digest.indexes, "logit": digest.logit}
                found.append(msgspec.structs.replace(one, **new, features=digest.features))
    return found


def _places(mailbox: AccountStore, wanted: set[str]) -> dict[str, tuple[int, int]]:
    """Folder id and UID by EMAILID."""
    found: dict[str, tuple[int, int]] = {}
    for entry in mailbox.folders():
        if not entry.exists:
            continue
        with contextlib.suppress(MailboxError):  # removed meanwhile
            folder_id = mailbox.status(entry.name).id
            uids = mailbox.columns(folder_id).uids
            # What was judged lately is among the newest.
            for end in range(len(uids), 0, -_BATCH):
                if len(found) == len(wanted):
                    return found
                rows = mailbox.details(folder_id, uids[max(end - _BATCH, 0) : end])
                found |= {
                    row.email_id: (folder_id, row.uid) for row in rows.values() if row.email_id in wanted
                }
    return found
