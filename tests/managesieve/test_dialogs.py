"""The ManageSieve dialogs: against the bare session, and over TLS."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit import dialog
from tests.kit.bare_managesieve import BareManageSieve
from tests.kit.managesieve_service import running

DIALOGS = sorted((Path(__file__).parents[1] / "dialogs" / "managesieve").glob("*.dialog"))


@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
def test_the_bare_session_follows_the_dialog(path: Path) -> None:
    dialog.play(dialog.read(path), BareManageSieve(), name=path.name)


@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
async def test_the_server_follows_the_dialog_over_tls(path: Path, tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        await asyncio.to_thread(dialog.play_over_tcp, path, service.tls_port, service.client_context)
