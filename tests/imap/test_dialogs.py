"""The IMAP dialogs: against the bare session, and over TLS with real mailboxes."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from mailstack.mailbox import MailStore
from tests.kit import dialog
from tests.kit.bare_session import ACCOUNT, BareSession
from tests.kit.imap_service import running

DIALOGS = sorted((Path(__file__).parents[1] / "dialogs" / "imap").glob("*.dialog"))


@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
def test_the_bare_session_follows_the_dialog(path: Path) -> None:
    dialog.play(dialog.read(path), BareSession(), name=path.name)


@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
async def test_the_server_follows_the_dialog_over_tls(path: Path, tmp_path: Path) -> None:
    mail = MailStore(tmp_path / "mail", now=time.time, random_bytes=os.urandom)
    async with running(tmp_path, store=mail.account(ACCOUNT.address)) as service:
        port, context = service.tls_port, service.client_context

        def run() -> None:
            peer = dialog.SocketPeer("127.0.0.1", port, context=context)
            try:
                dialog.play(dialog.read(path), peer, name=path.name)
            finally:
                peer.close()

        await asyncio.to_thread(run)
    mail.close()
