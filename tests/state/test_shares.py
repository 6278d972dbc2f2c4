"""Who shares folders with whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstack.model.errors import TemporaryFailure
from mailstack.state import statedb
from mailstack.state.shares import Shares


@pytest.fixture
def path(tmp_path: Path) -> Path:
    statedb.migrate(tmp_path / "state.db")
    return tmp_path / "state.db"


def test_it_is_asked_by_the_person_and_knows_the_owners(path: Path) -> None:
    shares, other = Shares(path), Shares(path)
    shares.note("bob@example.test", "alice@example.test")
    shares.note("bob@example.test", "alice@example.test")
    shares.note("carol@example.test", "anyone")
    assert other.owners("alice@example.test") == ["bob@example.test"]
    assert other.owners("alice@example.test", "anyone") == ["bob@example.test", "carol@example.test"]
    other.forget("bob@example.test", "alice@example.test")
    assert shares.owners("alice@example.test") == []
    shares.close()
    other.close()


def test_a_database_that_is_not_there_is_trouble(tmp_path: Path) -> None:
    with pytest.raises(TemporaryFailure):
        Shares(tmp_path / "nowhere" / "state.db").owners("alice@example.test")
