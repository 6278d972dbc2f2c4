"""Levels of TLS and falls below them, kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstack.state import statedb, tls_levels
from mailstack.state.tls_levels import Fall, TlsLevels

NOW = 1_790_000_000.0


@pytest.fixture
def levels(tmp_path: Path) -> TlsLevels:
    statedb.migrate(tmp_path / "state.db")
    return TlsLevels(tmp_path / "state.db")


def test_standings_are_replaced_as_a_whole(levels: TlsLevels) -> None:
    levels.keep([("a.example", {1: (NOW, NOW, 1), 2: (NOW, NOW, 1)}), ("b.example", {1: (NOW, NOW, 5)})])
    levels.keep([("a.example", {1: (NOW, NOW + 9, 2)})])
    assert levels.of("a.example") == {1: (NOW, NOW + 9, 2)}
    assert levels.of("b.example") == {1: (NOW, NOW, 5)}
    assert levels.of("c.example") == {}
    levels.close()


def test_falls_wait_until_they_are_told(levels: TlsLevels) -> None:
    first, second = Fall("a.example", NOW, 3, 0, "mx[192.0.2.1]"), Fall("b.example", NOW + 5, 2, 0, "mx")
    levels.keep([], [second, first])
    assert levels.untold() == [first, second]
    assert levels.last_told() == 0
    levels.tell([first])
    assert levels.untold() == [second]
    assert levels.last_told() == NOW


def test_so_many_falls_wait(levels: TlsLevels) -> None:
    levels.keep([], [Fall(f"{n}.example", NOW, 2, 0, "mx") for n in range(tls_levels.MAX_UNTOLD + 1)])
    levels.keep([], [Fall("more.example", NOW, 2, 0, "mx")])
    assert len(levels.untold()) == tls_levels.MAX_UNTOLD


def test_what_is_old_goes(levels: TlsLevels) -> None:
    levels.keep(
        [("a.example", {1: (NOW, NOW, 1)}), ("b.example", {1: (NOW, NOW + 9, 1)})], [Fall("a", NOW, 2, 0, "")]
    )
    assert levels.forget(before=NOW + 1) == 2
    assert levels.of("a.example") == {}
    assert levels.of("b.example")
