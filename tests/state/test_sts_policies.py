"""MTA-STS policies, kept until they end."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstack.state import statedb
from mailstack.state.sts_policies import KeptPolicy, StsPolicies

NOW = 1_790_000_000.0
DAY_S = 86_400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    statedb.migrate(tmp_path / "state.db")
    return tmp_path / "state.db"


def kept(domain: str = "a.example", *, at: float = NOW, days: float = 7) -> KeptPolicy:
    return KeptPolicy(domain, "id1", "version: STSv1\n", at, at + days * DAY_S)


def test_a_policy_outlives_the_process_and_ends_in_time(path: Path) -> None:
    # RFC 8461 section 3.3
    first = StsPolicies(path)
    first.keep(kept(), most=10)
    first.close()
    table = StsPolicies(path)
    assert table.find("a.example", now=NOW + 6 * DAY_S) == kept()
    assert table.find("a.example", now=NOW + 7 * DAY_S) is None
    assert table.find("b.example", now=NOW) is None
    assert table.forget(now=NOW + 6 * DAY_S) == 0
    assert table.forget(now=NOW + 7 * DAY_S) == 1


def test_a_newer_policy_takes_the_place_of_the_old(path: Path) -> None:
    table = StsPolicies(path)
    table.keep(kept(), most=10)
    table.keep(kept(at=NOW + DAY_S), most=10)
    assert table.find("a.example", now=NOW + DAY_S) == kept(at=NOW + DAY_S)


def test_those_that_were_not_used_for_longest_go_first(path: Path) -> None:
    table = StsPolicies(path)
    for n, name in enumerate(("a.example", "b.example")):
        table.keep(kept(name, at=NOW + n), most=2)
    assert table.find("a.example", now=NOW + 2 * DAY_S) is not None
    table.keep(kept("c.example", at=NOW + 2 * DAY_S), most=2)
    assert table.find("b.example", now=NOW + 2 * DAY_S) is None
    assert table.find("a.example", now=NOW + 2 * DAY_S) is not None


def test_stale_ones_are_those_fetched_long_ago_and_still_used(path: Path) -> None:
    table = StsPolicies(path)
    table.keep(kept("late.example", days=9), most=10)
    table.keep(kept("soon.example", days=5), most=10)
    table.keep(kept("over.example", days=1), most=10)
    table.keep(kept("fresh.example", at=NOW + 2 * DAY_S), most=10)
    names = [
        one.domain
        for one in table.stale(fetched_before=NOW + DAY_S, used_after=NOW - 1, now=NOW + 2 * DAY_S, most=10)
    ]
    assert names == ["soon.example", "late.example"]
    assert table.stale(fetched_before=NOW + DAY_S, used_after=NOW + 1, now=NOW, most=10) == []
