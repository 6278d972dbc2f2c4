"""Opens a message by its UID, wherever its file went meanwhile."""

from __future__ import annotations

import errno
from functools import partial

from mailstack.mailbox import background, files, maildir, scan
from mailstack.mailbox.core import Core
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import MailboxError


def open_message(core: Core, folder_id: int, uid: int) -> files.OpenMessage:
    """The message; see AccountStore.open."""
    for _ in range(3):
        path, base, sub, letters, size, disk_size = _file(core, folder_id, uid)
        for name in (maildir.file_name(base, sub, letters), background.find_file):
            found = name if isinstance(name, str) else name(path, base)
            if found is None:
                break
            whole = f"{path}/{found}"
            try:
                opened = files.open_message(whole, size=size, disk_size=disk_size)
                opened.trouble = partial(_report, core, whole)
                return opened
            except MailboxError as error:
                # A link in the file's place is refused, and nothing is wrong with the disk.
                if isinstance(error.__cause__, OSError) and error.__cause__.errno != errno.ELOOP:
                    _report(core, whole, error.__cause__)
                raise
            except FileNotFoundError:
                continue
            except files.Changed:
                scan.replaced(core, folder_id, uid)
        scan.refresh(core, folder_id, force=True)
    raise MailboxError("UNAVAILABLE", "the message's file is renamed again and again")


def was_delivered(core: Core, folder_id: int, uid: int) -> bool:
    """True when it, or what it was copied from, came by delivery."""
    try:
        return maildir.is_delivered(_file(core, folder_id, uid)[1])
    except MailboxError:
        return False


def _report(core: Core, path: str, error: OSError) -> None:
    """An operator must know which file it is; its reader only sees that it is not there now."""
    core.worker.report(TemporaryFailure(f"{path} cannot be read: {error.strerror}"))


def _file(core: Core, folder_id: int, uid: int) -> tuple[str, str, int, str, int, int | None]:
    with core.db.read() as connection:
        row = connection.execute(
            "SELECT f.dir, m.base, m.sub, m.letters, m.size, m.disk_size"
            " FROM messages m JOIN folders f ON f.id = m.folder WHERE m.folder = ? AND m.uid = ?",
            (folder_id, uid),
        ).fetchone()
        if row is None:
            core.get(connection, folder_id)
            raise MailboxError("EXPUNGEISSUED", "the message is gone")
    return core.path_of(row[0]), row[1], row[2], row[3], row[4], row[5]
