"""The POP3 dialogs: against the bare session, and over TLS with real mailboxes."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from mailstack.mailbox import MailStore
from mailstack.model.mailbox import NewMessage
from tests.kit import dialog
from tests.kit.bare_pop3 import BarePop3
from tests.kit.bare_session import ACCOUNT
from tests.kit.memory_mailbox import MemoryMailbox
from tests.kit.pop3_service import running

DIALOGS = sorted((Path(__file__).parents[1] / "dialogs" / "pop3").glob("*.dialog"))
#: What the mailbox holds in every dialog.
MAIL = (
    b"Subject: one\r\n\r\n.\r\n.begins with a dot\r\nend",
    b"Subject: two\r\n\r\nno line end at the end",
    b"Subject: three\n\nbare\nline feeds\nhere\n",
)


@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
def test_the_bare_session_follows_the_dialog(path: Path) -> None:
    store = MemoryMailbox()
    for data in MAIL:
        store.append("INBOX", [NewMessage(data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))])
    dialog.play(dialog.read(path), BarePop3(store), name=path.name)


@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
async def test_the_server_follows_the_dialog_over_tls(path: Path, tmp_path: Path) -> None:
    mail = MailStore(tmp_path / "mail", now=time.time, random_bytes=os.urandom)
    account = mail.account(ACCOUNT.address)
    for data in MAIL:
        account.append("INBOX", [NewMessage(data)])
    async with running(tmp_path, store=account) as service:
        await asyncio.to_thread(dialog.play_over_tcp, path, service.tls_port, service.client_context)
    mail.close()
