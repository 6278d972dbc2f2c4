"""What checking may cost: a flood is put off, and time brings room back (G7, T50)."""

from __future__ import annotations

import pytest

from mailstack.managesieve import budget
from mailstack.managesieve.budget import CheckBudget
from mailstack.managesieve.options import ManageSieveOptions

OPTIONS = ManageSieveOptions(checks_per_minute=3, check_s_per_hour=36.0)


def test_so_many_checks_a_minute() -> None:
    spent = CheckBudget(OPTIONS)
    assert [spent.take("alice", 100.0) for _ in range(4)] == [True, True, True, False]
    assert spent.take("bob", 100.0)
    assert not spent.take("alice", 119.0)
    assert spent.take("alice", 120.0) and not spent.take("alice", 120.0)
    assert [spent.take("alice", 1_000.0) for _ in range(4)] == [True, True, True, False]


def test_so_much_processor_time_an_hour() -> None:
    spent = CheckBudget(OPTIONS)
    assert spent.take("alice", 0.0)
    spent.charge("alice", 40.0, 0.0)
    assert not spent.take("alice", 399.0) and spent.take("bob", 399.0)
    assert spent.take("alice", 401.0)


def test_accounts_that_owe_nothing_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_ACCOUNTS", 10)
    spent = CheckBudget(OPTIONS)
    for number in range(100):
        assert spent.take(f"user {number}", number * 10.0)
        assert len(spent._spent) <= 10
