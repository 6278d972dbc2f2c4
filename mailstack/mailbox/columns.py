"""All messages of a folder at once, for opening it: a hundred thousand must not be objects."""

from __future__ import annotations

from mailstack.mailbox.core import Core
from mailstack.model.mailbox import MessageColumns

_PIECE = 2_000
_ROWS = "SELECT uid, flags, size, internal_at, modseq, keywords FROM messages WHERE folder = ? ORDER BY uid"


def columns(core: Core, folder_id: int) -> MessageColumns:
    """See AccountStore.columns."""
    found = MessageColumns()
    words: dict[str, tuple[str, ...]] = {}
    with core.db.read() as connection:
        rows = connection.execute(_ROWS, (folder_id,))
        while piece := rows.fetchmany(_PIECE):
            uids, flags, sizes, dates, modseqs, keywords = zip(*piece, strict=True)
            found.uids.extend(uids)
            found.flags.extend(flags)
            found.sizes.extend(sizes)
            found.dates.extend(dates)
            found.modseqs.extend(modseqs)
            if any(keywords):
                for uid, text in zip(uids, keywords, strict=True):
                    if text:
                        found.keywords[uid] = words.setdefault(text, tuple(text.split()))
        if not found.uids:
            core.get(connection, folder_id)
    return found
