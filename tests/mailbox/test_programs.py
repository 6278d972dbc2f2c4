"""Other people's programs on our Maildir: mbsync."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailstack.mailbox.store import Account, MailStore
from mailstack.model.mailbox import Flags, NewMessage
from tests.kit import debian

pytestmark = [pytest.mark.debian]

CONFIG = """
MaildirStore ours
Inbox {ours}
SubFolders Maildir++

MaildirStore theirs
Inbox {theirs}
SubFolders Maildir++

Channel all
Far :theirs:
Near :ours:
Patterns *
Create Both
Expunge Both
Sync All
SyncState {state}/
"""


def test_mbsync_in_both_directions(account: Account, store: MailStore, maildir: Path, tmp_path: Path) -> None:
    mbsync = debian.need("mbsync")
    theirs, state = tmp_path / "theirs", tmp_path / "state"
    state.mkdir()
    for name in ("tmp", "new", "cur"):
        (theirs / name).mkdir(parents=True)
    (theirs / "cur" / "1.theirs:2,F").write_bytes(b"Message-ID: <t@x>\nSubject: theirs\n\nbody\n")
    config = tmp_path / "mbsyncrc"
    config.write_text(CONFIG.format(ours=maildir, theirs=theirs, state=state))

    def sync() -> None:
        done = debian.run([mbsync, "-c", str(config), "-a"], environ={"HOME": str(tmp_path)})
        assert done.returncode == 0, done.stdout

    account.create("a.b/c")
    (uid,) = account.append(
        "INBOX", [NewMessage(b"Message-ID: <o@x>\r\nSubject: ours\r\n\r\n", keywords=("kw",))]
    ).uids
    account.append("a.b/c", [NewMessage(b"Message-ID: <s@x>\r\nSubject: sub\r\n\r\n")])
    store.flush()
    sync()
    inbox = account.status("INBOX")
    rows = {row.uid: row for row in account.rows(inbox.id)}
    assert len(rows) == 2
    assert rows[uid].keywords == ("kw",)
    assert [row.flags for row in rows.values() if row.uid != uid] == [Flags.FLAGGED]
    assert (
        len(list((theirs / ".a&AC4-b.c" / "cur").iterdir()) + list((theirs / ".a&AC4-b.c" / "new").iterdir()))
        == 1
    )
    # Flags go both ways, and so does an expunge.
    account.change_flags(inbox.id, [uid], "+", flags=Flags.ANSWERED)
    store.flush()
    (path,) = [path for path in (theirs / "cur").iterdir() if b"theirs" in path.read_bytes()]
    path.rename(path.with_name(path.name + "S"))
    sync()
    flags = {row.uid: row.flags for row in account.rows(account.status("INBOX").id)}
    assert flags.pop(uid) == Flags.ANSWERED
    assert list(flags.values()) == [Flags.FLAGGED | Flags.SEEN]
    assert any("R" in path.name.partition(":2,")[2] for path in (theirs / "cur").iterdir())
    account.expunge(inbox.id, [uid])
    store.flush()
    sync()
    assert sum(b"ours" in path.read_bytes() for path in (theirs / "cur").iterdir()) == 0
    assert len(account.rows(account.status("INBOX").id)) == 1
    assert os.path.exists(maildir)
