"""Ready-made texts, fields and headers of messages: from cache.db, or made now and kept there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from mailstack.mailbox import messages, opening
from mailstack.mailbox.cache import NO_DATE, Head, make_head, make_texts
from mailstack.mailbox.core import Core
from mailstack.mime import header
from mailstack.mime.header import MAX_BLOCK_OCTETS
from mailstack.model.mailbox import MailboxError, MessageFields, MessageFile, MessageTexts

T = TypeVar("T")
#: Made in one go before they are put into the cache.
_BATCH = 64
_HEAD_OCTETS = 16 * 1024
_DAY_S = 86_400


def texts(core: Core, folder_id: int, uids: Sequence[int], *, ready_only: bool) -> dict[int, MessageTexts]:
    """Texts by UID; see AccountStore.texts."""
    mids = _mids(core, folder_id, uids)
    epoch = core.db.epoch
    cached = core.cache.get(epoch, list(mids.values()))
    out = {uid: cached[mid] for uid, mid in mids.items() if mid in cached}
    if not ready_only and len(out) < len(mids):
        missing = {uid: mid for uid, mid in mids.items() if mid not in cached}
        out.update(_make(core, folder_id, missing, lambda file: make_texts(file.read()), core.cache.put))
    return out


def fields(core: Core, folder_id: int, uids: Sequence[int]) -> dict[int, MessageFields]:
    """What to sort and thread by; see AccountStore.fields."""
    rows = _select(core, folder_id, uids, "uid, mid, internal_at")
    cached = core.cache.fields(core.db.epoch, [mid for _, mid, _ in rows])
    missing = {uid: mid for uid, mid, _ in rows if mid not in cached}
    made = {uid: head.fields for uid, head in _heads(core, folder_id, missing).items()} if missing else {}
    out = {}
    for uid, mid, internal_at in rows:
        found = cached.get(mid) or made.get(uid)
        if found is not None:
            if found.sent_at == NO_DATE:
                found = replace(found, sent_at=internal_at, sent_day=internal_at // _DAY_S)
            out[uid] = found
    return out


def headers(core: Core, folder_id: int, uids: Sequence[int]) -> dict[int, bytes]:
    """Kept header fields; see AccountStore.headers."""
    mids = _mids(core, folder_id, uids)
    cached = core.cache.headers(core.db.epoch, list(mids.values()))
    missing = {uid: mid for uid, mid in mids.items() if mid not in cached}
    out = {uid: cached[mid] for uid, mid in mids.items() if mid in cached}
    if missing:
        out.update((uid, head.block) for uid, head in _heads(core, folder_id, missing).items())
    return {uid: block for uid, block in out.items() if block is not None}


def sweep(core: Core) -> int:
    """Forgets texts of messages that are gone, and says of how many.

    A message that goes while its texts are made leaves them behind; nothing reads them.
    """
    epoch = core.db.epoch
    kept = core.cache.mids(epoch)
    with core.db.read() as connection:
        used = {mid for (mid,) in connection.execute("SELECT mid FROM messages")}
    orphans = [mid for mid in kept if mid not in used]
    core.cache.forget(epoch, orphans)
    return len(orphans)


def _mids(core: Core, folder_id: int, uids: Sequence[int]) -> dict[int, int]:
    return dict(_select(core, folder_id, uids, "uid, mid"))


def _select(core: Core, folder_id: int, uids: Sequence[int], columns: str) -> list[Any]:
    """What is there of these messages; NONEXISTENT when the folder is gone."""
    with core.db.read() as connection:
        rows = list(messages.select(connection, folder_id, uids, columns))
        if not rows:
            core.get(connection, folder_id)
    return rows


def _heads(core: Core, folder_id: int, mids: dict[int, int]) -> dict[int, Head]:
    return dict(_make(core, folder_id, mids, _read_head, core.cache.put_heads))


def _make(
    core: Core,
    folder_id: int,
    mids: dict[int, int],
    make: Callable[[MessageFile], T],
    put: Callable[[str, Sequence[tuple[int, T]]], None],
) -> Iterator[tuple[int, T]]:
    """Makes and keeps what is missing; messages that cannot be read are left out."""
    fresh: list[tuple[int, T]] = []
    for uid, mid in mids.items():
        try:
            with contextlib.closing(opening.open_message(core, folder_id, uid)) as file:
                made = make(file)
        except MailboxError:
            continue
        fresh.append((mid, made))
        yield uid, made
        if len(fresh) >= _BATCH:
            put(core.db.epoch, fresh)
            fresh = []
    put(core.db.epoch, fresh)


def _read_head(file: MessageFile) -> Head:
    wanted = _HEAD_OCTETS
    while True:
        data = file.read(0, wanted)
        end, body = header.find_end(data)
        if body > end or len(data) < wanted or wanted >= MAX_BLOCK_OCTETS:
            return make_head(data[:body])
        wanted *= 4
