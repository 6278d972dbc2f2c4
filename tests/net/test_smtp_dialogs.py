"""The same dialogs as `tests/smtp/test_dialogs.py`, over sockets and TLS."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit import dialog
from tests.kit.loops import on_uvloop
from tests.kit.smtp_acceptor import running
from tests.kit.smtp_talk import client_context

DIALOGS = sorted((Path(__file__).parent.parent / "dialogs" / "smtp").glob("*.dialog"))


@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
@on_uvloop
async def test_the_server_speaks_the_dialog(tmp_path: Path, path: Path) -> None:
    listener = path.stem.partition("-")[0]
    async with running(tmp_path, listener) as server:
        context = client_context() if listener == "submissions" else None
        await asyncio.to_thread(dialog.play_over_tcp, path, server.port, context)
