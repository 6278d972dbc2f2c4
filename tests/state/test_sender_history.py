"""Who sends wanted mail, and since when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.state import statedb
from mailstack.state.memory import Seen
from mailstack.state.sender_history import SERVER, SenderHistory, name

DAY = 86_400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "state.db"
    statedb.migrate(made)
    return made


@pytest.fixture
def history(path: Path) -> Iterator[SenderHistory]:
    made = SenderHistory(path)
    yield made
    made.close()


def heard(path: Path, account_id: int, sender: str) -> tuple[int, int]:
    seen = Seen(path)
    try:
        return seen.heard(account_id, name(sender))
    finally:
        seen.close()


def test_days_are_counted_and_not_messages(path: Path, history: SenderHistory) -> None:
    for at in (0.0, 10.0, DAY - 1, DAY, 3 * DAY):
        history.note([(SERVER, "ann@far.test"), (7, "ann@far.test")], now=at)
    assert heard(path, 7, "ann@far.test") == (3, 3)
    assert heard(path, 8, "ann@far.test") == (3, 0)
    assert heard(path, 7, "bob@far.test") == (0, 0)


def test_who_sends_nothing_any_more_is_forgotten(path: Path, history: SenderHistory) -> None:
    history.note([(7, "old@far.test")], now=0.0)
    history.note([(7, "new@far.test")], now=9 * DAY)
    assert history.purge(before=5 * DAY) == 1
    assert heard(path, 7, "old@far.test") == (0, 0)
    assert heard(path, 7, "new@far.test") == (0, 1)
