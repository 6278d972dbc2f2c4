"""The IMAP dialogs: against the bare session, and over TLS with real mailboxes."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from mailstack.mailbox import MailStore
from mailstack.model.address import Address
from tests.kit import dialog
from tests.kit.bare_session import BareSession
from tests.kit.imap_service import running
from tests.kit.memory_mailbox import MemoryMailbox
from tests.kit.street import furnished

DIALOGS = sorted((Path(__file__).parents[1] / "dialogs" / "imap").glob("*.dialog"))


@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
def test_the_bare_session_follows_the_dialog(path: Path) -> None:
    peer = BareSession(furnished(MemoryMailbox.of, shared=path.stem.startswith("shared")))
    dialog.play(dialog.read(path), peer, name=path.name)


@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
async def test_the_server_follows_the_dialog_over_tls(path: Path, tmp_path: Path) -> None:
    mail = MailStore(tmp_path / "mail", now=time.time, random_bytes=os.urandom)
    mine = furnished(lambda key: mail.account(Address.parse(key)), shared=path.stem.startswith("shared"))
    async with running(tmp_path, store=mine) as service:
        await asyncio.to_thread(dialog.play_over_tcp, path, service.tls_port, service.client_context)
    mail.close()
