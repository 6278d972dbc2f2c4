"""Copies of signed messages are counted for an hour or two; T24."""

from __future__ import annotations

from pathlib import Path

from mailstack.state import statedb
from mailstack.state.copies import HOUR_S, Copies


def test_this_hour_and_the_last_add_up(tmp_path: Path) -> None:
    statedb.migrate(tmp_path / "state.db")
    table = Copies(tmp_path / "state.db")
    one, other = ("bank.test", "abc="), ("bank.test", "xyz=")
    table.add({one: 60, other: 5}, now=0.0)
    table.add({one: 50}, now=HOUR_S)
    assert table.many(100, now=HOUR_S) == {one: 110}
    assert table.many(110, now=HOUR_S) == {}
    assert table.many(0, now=HOUR_S) == {one: 110, other: 5}
    assert table.many(0, now=2 * HOUR_S) == {one: 50}
    table.add({other: 1}, now=3 * HOUR_S)
    assert table.many(0, now=HOUR_S) == {other: 1}, "what is too old is gone"
    table.close()
