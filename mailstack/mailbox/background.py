"""What follows a change on disk: file names after flags, removed files after rows."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mailstack.disk import durable
from mailstack.mailbox import aside, maildir
from mailstack.mailbox.core import Core, first_place

#: Files handled while the account's lock is held.
BATCH = 200


def follow_names(core: Core) -> bool:
    """Renames files whose flags changed, and moves told-of ones from new/ to cur/.

    True when more are left.
    """
    with core.db.write("renaming messages", durable_commit=False) as connection:
        found = connection.execute(
            "SELECT f.dir, m.folder, m.uid, m.base, m.sub, m.letters, m.flags, m.keywords"
            " FROM messages m JOIN folders f ON f.id = m.folder WHERE m.dirty = 1 LIMIT ?",
            (BATCH,),
        ).fetchall()
        found += connection.execute(
            "SELECT f.dir, m.folder, m.uid, m.base, m.sub, m.letters, m.flags, m.keywords"
            " FROM folders f JOIN messages m INDEXED BY message_new"
            " ON m.folder = f.id AND m.sub = 0 AND m.uid < f.recent_from WHERE m.dirty = 0 LIMIT ?",
            (BATCH - len(found),),
        ).fetchall()
        updates = []
        for directory, folder_id, uid, base, sub, letters, flags, keywords in found:
            _, foreign = maildir.split_letters(letters)
            wanted = maildir.letters_of(maildir.bits_of(flags, keywords), foreign)
            if sub == 1 and wanted == letters:
                updates.append((1, letters, folder_id, uid))
                continue
            path = core.path_of(directory)
            moved = _rename(path, maildir.file_name(base, sub, letters), maildir.file_name(base, 1, wanted))
            # What is not there under the name we know, the next look at the disk finds.
            updates.append((1, wanted, folder_id, uid) if moved else (sub, letters, folder_id, uid))
        connection.executemany(
            "UPDATE messages SET sub = ?, letters = ?, dirty = 0 WHERE folder = ? AND uid = ?", updates
        )
    return len(found) == BATCH


def _rename(path: str, old: str, new: str) -> bool:
    try:
        os.rename(f"{path}/{old}", f"{path}/{new}")
    except FileNotFoundError:
        return False
    except OSError as error:
        raise durable.failure(error, "renaming a message") from error
    return True


_DOOMED = (
    "SELECT f.dir, d.folder, d.base, d.sub, d.letters, d.keep, d.mid, f.name, d.flags, d.keywords,"
    " d.internal_at FROM doomed d LEFT JOIN folders f ON f.id = d.folder LIMIT ?"
)


def remove_doomed(core: Core) -> bool:
    """Removes files of expunged messages, or sets them aside; True when more may be left."""
    with core.db.read() as connection:
        found = connection.execute(_DOOMED, (BATCH,)).fetchall()
    if not found:
        return False
    with core.disk("removing messages"):
        places = _prepare(core, [row for row in found if row[5] and row[0] is not None])
        with core.db.write("removing messages", durable_commit=False) as connection:
            # Another process may have been faster, and a message moved back have its old name again.
            current = set(connection.execute(_DOOMED, (BATCH,)))
            found = [row for row in found if row in current]
            touched = _remove_files(core, [row for row in found if row[0] is not None], places)
        for path in touched:
            with contextlib.suppress(FileNotFoundError):
                durable.sync_folder(path)
    with core.db.write("removing messages", durable_commit=False) as connection:
        # Only now: a row that went before its file would let the file come back.
        connection.executemany(
            "DELETE FROM doomed WHERE folder = ? AND base = ?", [(row[1], row[2]) for row in found]
        )
        unused = [row[6] for row in found if not is_used(connection, row[6])]
    forget(core, unused)
    return True


def _prepare(core: Core, rows: Sequence[tuple[Any, ...]]) -> dict[tuple[int, str], Path]:
    """Where files are set aside, by folder and base name; what is written down of them is synced."""
    places = aside.prepare(
        core, [aside.Doomed(row[1], row[7], row[2], row[8], row[9], row[10], row[6]) for row in rows]
    )
    return dict(zip(((row[1], row[2]) for row in rows), places, strict=True))


def _remove_files(
    core: Core, rows: Sequence[tuple[Any, ...]], places: dict[tuple[int, str], Path]
) -> set[str]:
    """Removes files, or sets them aside; gives the directories that must be synced."""
    touched: set[str] = set()
    for directory, folder_id, base, sub, letters, *_ in rows:
        touched |= _remove(core.path_of(directory), base, sub, letters, places.get((folder_id, base)))
    return touched


def _remove(path: str, base: str, sub: int, letters: str, target: Path | None) -> set[str]:
    """Removes one file, or moves it to `target`; gives the directories this changed."""
    name = maildir.file_name(base, sub, letters)
    for attempt in (name, None):
        if attempt is None:
            attempt = find_file(path, base)
            if attempt is None:
                return set()
        source = f"{path}/{attempt}"
        try:
            if target is None:
                os.unlink(source)
                return {os.path.dirname(source)}
            os.rename(source, target)
        except FileNotFoundError:
            if target is not None and not maildir.is_directory(target.parent):
                raise  # the place to set it aside was removed at this moment
            continue
        return {os.path.dirname(source), str(target.parent)}
    return set()


def find_file(path: str, base: str) -> str | None:
    """A message file by its base name, whatever its flags, below a folder's directory."""
    for sub in ("cur", "new"):
        try:
            names = os.listdir(f"{path}/{sub}")
        except FileNotFoundError:
            continue
        for name in names:
            if name.startswith(base) and maildir.split_file_name(name)[0] == base:
                return f"{sub}/{name}"
    return None


def forget(core: Core, mids: Sequence[int]) -> None:
    """Drops what is kept of messages nobody has any more."""
    core.cache.forget(core.db.epoch, mids)
    core.index.forget(core.db.epoch, mids)


def is_used(connection: sqlite3.Connection, mid: int) -> bool:
    """True while some folder has the message, or a copy of it."""
    return (
        connection.execute("SELECT 1 FROM messages WHERE folder = ? AND uid = ?", first_place(mid)).fetchone()
        is not None
        or connection.execute(
            "SELECT 1 FROM messages WHERE mid = ? AND mid <> folder * 4294967296 + uid", (mid,)
        ).fetchone()
        is not None
    )


JOBS: dict[str, Callable[[Core], bool]] = {"names": follow_names, "doomed": remove_doomed}
