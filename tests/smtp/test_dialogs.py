"""Whole sessions against the bare session; `tests/net/test_smtp_dialogs.py` does it over sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit import dialog
from tests.kit.bare_smtp import BareSmtp

DIALOGS = sorted((Path(__file__).parent.parent / "dialogs" / "smtp").glob("*.dialog"))


@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
def test_the_bare_session_speaks_the_dialog(path: Path) -> None:
    listener = path.stem.partition("-")[0]
    dialog.play(dialog.read(path), BareSmtp(listener), name=path.name)
