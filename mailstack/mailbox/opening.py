"""Opens a message by its UID, wherever its file went meanwhile."""

from __future__ import annotations

from mailstack.mailbox import background, files, maildir, scan
from mailstack.mailbox.core import Core
from mailstack.model.mailbox import MailboxError


def open_message(core: Core, folder_id: int, uid: int) -> files.OpenMessage:
    """The message; see AccountStore.open."""
    for _ in range(3):
        path, base, sub, letters, size, disk_size = _file(core, folder_id, uid)
        for name in (maildir.file_name(base, sub, letters), background.find_file):
            found = name if isinstance(name, str) else name(path, base)
            if found is None:
                break
            try:
                return files.open_message(f"{path}/{found}", size=size, disk_size=disk_size)
            except FileNotFoundError:
                continue
            except files.Changed:
                scan.replaced(core, folder_id, uid)
        scan.refresh(core, folder_id, force=True)
    raise MailboxError("UNAVAILABLE", "the message's file is renamed again and again")


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
