"""Other people's programs on our Maildir: mbsync, mutt, maildirmake."""

from __future__ import annotations

import os
import pty
import pwd
import select
import signal
from pathlib import Path

import pytest

from mailstack.mailbox import recover
from mailstack.mailbox.store import Account, MailStore
from mailstack.model.mailbox import Flags, NewMessage
from tests.kit import debian
from tests.mailbox.conftest import ALICE

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


MUTTRC = """
set mbox_type=Maildir folder={maildir} spoolfile={maildir} record="" from=a@b.test
set confirmcreate=no confirmappend=no delete=yes move=no mark_old=no quit=yes wait_key=no
set resolve=no sleep_time=0 sort=subject header_cache="" maildir_trash=no
"""


def mutt(tmp_path: Path, maildir: Path, keys: str) -> None:
    """Drives mutt by its keys, at a terminal of its own."""
    program = debian.need("mutt")
    rc = tmp_path / "muttrc"
    rc.write_text(MUTTRC.format(maildir=maildir))
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(HOME=str(tmp_path), TERM="vt100")
        os.execv(program, [program, "-n", "-F", str(rc), "-f", str(maildir), "-e", f"push '{keys}<quit>'"])
    said = b""
    try:
        while select.select([terminal], [], [], 30)[0]:
            said += os.read(terminal, 65_536)
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass  # it ended
    finally:
        os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert status == 0, said


def test_mutt_on_the_same_folders_while_they_are_open(
    account: Account, store: MailStore, maildir: Path, tmp_path: Path
) -> None:
    new = [
        NewMessage(b"From: x@y.test\r\nSubject: %s\r\n\r\ntext\r\n" % word)
        for word in (b"a", b"b", b"c", b"d")
    ]
    account.append("INBOX", new)
    store.flush()
    inbox = account.status("INBOX")
    # a: flagged; b: read; c: deleted; d: moved to a folder mutt makes.
    mutt(
        tmp_path,
        maildir,
        "<first-entry><flag-message><next-entry><display-message><exit>"
        f"<jump>3<enter><delete-message><jump>4<enter><save-message>{maildir}/.Mutt<enter>",
    )
    assert account.refresh(inbox.id)
    rows = account.rows(inbox.id)
    assert [(row.uid, row.flags) for row in rows] == [(1, Flags.FLAGGED), (2, Flags.SEEN)]
    assert account.status("INBOX").uid_validity == inbox.uid_validity
    assert account.status("Mutt").messages == 1
    account.change_flags(inbox.id, [1], "+", flags=Flags.ANSWERED)
    store.flush()
    mutt(tmp_path, maildir, "<first-entry><clear-flag>!")
    account.refresh(inbox.id)
    assert account.rows(inbox.id)[0].flags & ~Flags.SEEN == Flags.ANSWERED
    assert [finding.what for finding in recover.verify(store, ALICE, repair=False)] == []


def test_folders_made_by_dovecots_maildirmake_are_folders(account: Account, maildir: Path) -> None:
    make = debian.need("maildirmake.dovecot")
    account.folders()
    owner = pwd.getpwuid(os.geteuid()).pw_name
    for name in (".from outside", ".from outside.below", ".caf&AOk-"):
        done = debian.run([make, str(maildir / name), owner])
        assert done.returncode == 0, done.stdout
    names = {entry.name for entry in account.folders() if entry.exists}
    assert {"from outside", "from outside/below", "café"} <= names
    (maildir / ".caf&AOk-" / "new" / "1.x").write_bytes(b"Subject: x\n\ny\n")
    assert account.status("café").messages == 1
    account.append("from outside/below", [NewMessage(b"Subject: x\r\n\r\n")])
    assert account.status("from outside/below").messages == 1
