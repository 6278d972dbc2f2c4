"""The dialogs of `tests/dialogs/smtp`, with the daemons and all that is behind them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import dialog
from tests.kit.demo import Demo, calm, running_demo
from tests.kit.smtp_acceptor import PASSWORDS

#: Those of LMTP need an acceptor that refuses by name.
DIALOGS = [
    path
    for path in sorted((Path(__file__).parent.parent / "dialogs" / "smtp").glob("*.dialog"))
    if not path.stem.startswith("lmtp-")
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """With the accounts and passwords the dialogs know, and without a catch-all."""
    with running_demo(tmp_path_factory.mktemp("dialogs"), "--limits", change=calm) as running:
        running.cli("user", "remove", "catchall@example.test")
        for address, (password, _) in PASSWORDS.items():
            running.cli("user", "passwd", address, "--password", password)
        yield running


@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
def test_the_daemon_speaks_the_dialog(demo: Demo, path: Path) -> None:
    listener = path.stem.partition("-")[0]
    context = demo.tls() if listener == "submissions" else None
    dialog.play_over_tcp(path, demo.port(listener), context)
