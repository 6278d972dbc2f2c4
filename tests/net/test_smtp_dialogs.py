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


def play(path: Path, port: int, *, tls: bool) -> None:
    peer = dialog.SocketPeer("127.0.0.1", port, context=client_context() if tls else None)
    try:
        dialog.play(dialog.read(path), peer, name=path.name)
    finally:
        peer.close()


@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
@on_uvloop
async def test_the_server_speaks_the_dialog(tmp_path: Path, path: Path) -> None:
    listener = path.stem.partition("-")[0]
    async with running(tmp_path, listener) as server:
        await asyncio.to_thread(play, path, server.port, tls=listener == "submissions")
