"""Keeps the full-text index up with the messages, in idle time and a little at a time.

A folder is read in the order of its UIDs, which only grow; so a number per folder says
how far the index has got, and nothing can be forgotten.  What is read once is used twice:
the ready-made texts (`cache.db`) of mail that was delivered are made here too, many in a
row, which takes a third of what each would take at its delivery.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

from mailstack.disk.lock import alone
from mailstack.mailbox import opening
from mailstack.mailbox.cache import LARGE_OCTETS, Head, make_head, make_texts
from mailstack.mailbox.core import Core
from mailstack.mailbox.text_index import MAX_READ_OCTETS, Entry, make_entry
from mailstack.model.mailbox import MailboxError, MessageTexts, Needle, TextHits

#: One turn of the job: so many messages, or so many seconds.
BATCH = 64
TURN_S = 0.05


def build(core: Core) -> bool:
    """Indexes the next messages; True when more are left.

    Raises:
        TemporaryFailure: account.db cannot be read.
    """
    # Two processes at it would do the same work twice.
    with alone(core.home / "indexing", f"indexing messages for {core.address}") as is_alone:
        if not is_alone:
            return False  # another process is at it
        seen = core.seen
        if not seen.index_swept:
            _sweep(core)
            seen.index_swept = True
        for folder_id, uid_next, start in _behind(core):
            more = _folder(core, folder_id, start, uid_next)
            if more is None:
                return False
            return more or len(_behind(core)) > 0
    return False


def _behind(core: Core) -> list[tuple[int, int, int]]:
    """Folders the index is behind in: id, next UID, first UID not looked at."""
    reached = core.index.reached(core.db.epoch)
    with core.db.read() as connection:
        folders = connection.execute("SELECT id, uid_next FROM folders ORDER BY id").fetchall()
    return [(each, uid, reached.get(each, 1)) for each, uid in folders if reached.get(each, 1) < uid]


def _folder(core: Core, folder_id: int, start: int, uid_next: int) -> bool | None:
    """Indexes a folder's messages from a UID on; True: more are left, None: there is trouble."""
    with core.db.read() as connection:
        rows = connection.execute(
            "SELECT uid, mid FROM messages WHERE folder = ? AND uid >= ? ORDER BY uid LIMIT ?",
            (folder_id, start, BATCH),
        ).fetchall()
    epoch = core.db.epoch
    mids = [mid for _, mid in rows]
    known, ready = core.index.known(epoch, mids), core.cache.known(epoch, mids)
    entries: dict[int, Entry] = {}
    made: list[tuple[int, MessageTexts, Head]] = []
    until = time.monotonic() + TURN_S
    done = 0
    for uid, mid in rows:
        done += 1
        if mid not in known and mid not in entries:
            entries[mid], data = _read(core, folder_id, uid, mid)
            if data and mid not in ready:
                texts = make_texts(data)
                made.append((mid, texts, make_head(data[: texts.header_octets])))
            if time.monotonic() > until:
                break
    finished = done == len(rows) < BATCH
    reached = uid_next if finished else rows[done - 1][0] + 1
    if made:
        core.cache.put_all(epoch, made)
    if not core.index.put(epoch, list(entries.values()), folder_id, reached):
        return None
    return not finished


def _read(core: Core, folder_id: int, uid: int, mid: int) -> tuple[Entry, bytes]:
    """What the index keeps of a message, and the message when it is small."""
    try:
        with contextlib.closing(opening.open_message(core, folder_id, uid)) as opened:
            data = opened.read(0, MAX_READ_OCTETS)
            entry = make_entry(mid, data, whole=len(data) == opened.size_octets)
            return entry, data if opened.size_octets <= LARGE_OCTETS else b""
    except MailboxError:
        return Entry(mid, None), b""


def _sweep(core: Core) -> None:
    """Once per process: removes what is gone, goes back to what is missing or was unreadable."""
    epoch = core.db.epoch
    reached = core.index.reached(epoch)
    if not reached:
        return
    core.index.forget(epoch, core.index.unreadable(epoch))
    there = core.index.mids(epoch)
    if there is None:
        return
    missing: dict[int, int] = {}
    used: set[int] = set()
    with core.db.read() as connection:
        for folder_id, uid, mid in connection.execute("SELECT folder, uid, mid FROM messages"):
            used.add(mid)
            if mid not in there and uid < reached.get(folder_id, 1):
                missing[folder_id] = min(uid, missing.get(folder_id, uid))
    core.index.forget(epoch, sorted(there - used))
    core.index.go_back(epoch, missing)


def find(core: Core, folder_id: int, needles: Sequence[Needle]) -> list[TextHits]:
    """Where needles are; see AccountStore.find_text."""
    with core.db.read() as connection:
        found = connection.execute("SELECT uid, mid FROM messages WHERE folder = ?", (folder_id,)).fetchall()
        if not found:
            core.get(connection, folder_id)
    among = {mid for _, mid in found}
    answers = []
    for needle in needles:
        hits = core.index.find(core.db.epoch, needle, among)
        answers.append(TextHits(_uids(found, hits.found), _uids(found, hits.unsure)))
    if any(answer.unsure for answer in answers):
        core.worker.index(core)
    return answers


def _uids(rows: Sequence[tuple[int, int]], mids: set[int]) -> frozenset[int]:
    return frozenset(uid for uid, mid in rows if mid in mids) if mids else frozenset()
