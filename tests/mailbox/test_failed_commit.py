"""A COMMIT whose fsync fails, in a process that dies of it: nothing is lost (P2, P8)."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mailstack.mailbox.store import MailStore
from mailstack.model.mailbox import NewMessage
from tests.kit import debian
from tests.kit.clock import Clock
from tests.mailbox.conftest import ALICE

OLD = b"Subject: old\r\n\r\n"
NEW = b"Subject: new\r\n\r\n"

PROGRAM = textwrap.dedent(
    """
    import os, sys
    from pathlib import Path
    from mailstack.mailbox import MailStore
    from mailstack.model.address import Address
    from mailstack.model.errors import TemporaryFailure
    from mailstack.model.mailbox import NewMessage

    store = MailStore(Path(sys.argv[1]), now=lambda: 1.7e9, random_bytes=os.urandom, boot="first boot")
    account = store.account(Address.parse("alice@example.test"))
    inbox = account.status("INBOX").id
    account.status("Trash")
    try:
        if sys.argv[2] == "move":
            account.move(inbox, [1], "Trash")
        else:
            account.replace(inbox, 1, "Trash", NewMessage(b"Subject: new\\r\\n\\r\\n"))
    except TemporaryFailure as error:
        os._exit(9 if error.fatal else 1)
    os._exit(0)
    """
)


def fill(root: Path, clock: Clock) -> None:
    store = MailStore(root, now=clock, random_bytes=os.urandom, boot="first boot")
    account = store.account(ALICE)
    for folder in ("INBOX", "Trash"):
        account.core.db.reserve(account.status(folder).id, 1)
    account.append("INBOX", [NewMessage(OLD)])
    store.close()


def left(root: Path, clock: Clock) -> set[bytes]:
    """All messages, when the next process has done what was left to do."""
    store = MailStore(root, now=clock, random_bytes=os.urandom, boot="first boot")
    account = store.account(ALICE)
    account.status("INBOX")
    store.flush()
    found = set()
    for status in (account.status("INBOX"), account.status("Trash")):
        for row in account.rows(status.id):
            found.add(account.open(status.id, row.uid).read())
    store.close()
    return found


@pytest.mark.parametrize("work", ["move", "replace"])
@pytest.mark.parametrize("failing", [1, 2])
def test_a_message_is_in_one_place_at_least(tmp_path: Path, clock: Clock, work: str, failing: int) -> None:
    strace = debian.need("strace")
    root = tmp_path / "mail"
    fill(root, clock)
    wal = root / "example.test" / "alice" / "account.db-wal"
    done = subprocess.run(
        [strace, "-f", "-qq", "-o", os.devnull, "-P", wal, "-e", "trace=fdatasync", "-e",
         f"inject=fdatasync:error=EIO:when={failing}", sys.executable, "-c", PROGRAM, root, work],
        timeout=60,
        check=False,
        capture_output=True,
        text=True,
    )  # fmt: skip
    if done.returncode not in (0, 1, 9):
        pytest.skip(f"strace cannot be used here: {done.stderr}")
    assert done.returncode == 9
    assert left(root, clock) & {OLD, NEW}
