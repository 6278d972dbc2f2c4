"""What scripts remember: exact under concurrency, shared, surviving a restart, bounded."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mailstack.model.errors import TemporaryFailure
from mailstack.state import memory, statedb
from mailstack.state.memory import Memory, Seen

NOW = 1_700_000_000.0
DAY = 86_400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "state.db"
    statedb.migrate(file)
    return file


def claim(table: Memory, who: str, *, now: float = NOW, per_hour: int = 100, id_: str = "") -> str:
    return table.claim_answer(
        7, id_ or f"x {who}", who=who, period_s=7 * DAY, per_hour=per_hour, now=now, handle="x"
    )


def test_of_many_messages_at_once_one_is_answered(path: Path) -> None:
    def one(_: int) -> str:
        table = Memory(path)
        try:
            return claim(table, "a@far.test")
        finally:
            table.close()

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(one, range(24)))
    assert said.count("") == 1
    assert said.count("a@far.test has been answered already") == 23


def test_an_answer_is_remembered_for_its_time_and_over_a_restart(path: Path) -> None:
    first = Memory(path)
    assert claim(first, "a@far.test") == ""
    first.close()
    again = Memory(path)
    assert claim(again, "a@far.test", now=NOW + 7 * DAY - 1)
    assert claim(again, "a@far.test", now=NOW + 7 * DAY) == ""
    again.close()


def test_a_storm_gets_so_many_answers_an_hour(path: Path) -> None:  # V7
    table = Memory(path)
    said = [claim(table, f"{n}@far.test") for n in range(1_000)]
    assert said.count("") == 100
    assert "100 automatic answers within the hour" in said[-1]
    assert claim(table, "999@far.test", now=NOW + 3_700) == ""
    # Who got none is not remembered as answered.
    assert len(table.answered(7, now=NOW + 3_700)) == 101
    table.close()


def test_who_was_answered_can_be_seen_and_forgotten(path: Path) -> None:
    table = Memory(path)
    claim(table, "a@far.test")
    claim(table, "b@far.test", now=NOW + 1)
    assert [(one.who, one.handle) for one in table.answered(7, now=NOW + 2)] == [
        ("b@far.test", "x"),
        ("a@far.test", "x"),
    ]
    assert table.answered(7, now=NOW + 2, handle="y") == table.answered(8, now=NOW) == []
    assert table.reset_answers(7, who="A@far.test") == 1
    assert table.reset_answers(7, handle="y") == 0
    assert table.reset_answers(7) == 1
    assert claim(table, "a@far.test", now=NOW + 3) == ""
    table.take_back_answer(7, "x a@far.test")
    assert claim(table, "a@far.test", now=NOW + 4) == ""
    table.close()


def test_a_locked_database_answers_nobody_and_keeps_the_mail(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # V15
    monkeypatch.setattr(statedb, "BUSY_TIMEOUT_S", 0.05)
    table = Memory(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(TemporaryFailure):
        claim(table, "a@far.test")
    other.execute("ROLLBACK")
    other.close()
    assert claim(table, "a@far.test") == ""
    table.close()


def test_ids_are_seen_within_their_time_and_bounded(path: Path) -> None:
    table, seen = Memory(path), Seen(path)
    for n in range(12):
        table.mark(7, f"id{n}", keep_s=600, most=10, now=NOW + n)
    assert seen.has(7, "duplicate", "id11", since=NOW)
    assert not seen.has(7, "duplicate", "id11", since=NOW + 11)
    assert not seen.has(8, "duplicate", "id11", since=NOW)
    assert not seen.has(7, "duplicate", "id1", since=0)
    assert seen.has(7, "duplicate", "id2", since=0)
    table.close()
    seen.close()


def test_what_may_be_used_in_a_day_slides(path: Path) -> None:
    table, seen = Memory(path), Seen(path)
    assert table.take(7, "redirects", 3, most=4, now=NOW)
    assert not table.take(7, "redirects", 2, most=4, now=NOW + DAY - 120)
    assert table.take(7, "redirects", 1, most=4, now=NOW + DAY - 120)
    assert table.take(7, "redirects", 3, most=4, now=NOW + DAY + 60)
    table.spend(7, "cpu_s", 0.5, now=NOW)
    table.spend(7, "cpu_s", 0.25, now=NOW)
    assert seen.spent(7, "cpu_s", since=NOW - 3_600) == 0.75
    assert seen.spent(7, "cpu_s", since=NOW + 3_600) == 0
    table.close()
    seen.close()


def test_a_failure_is_new_once_a_version(path: Path) -> None:  # V14
    table, seen = Memory(path), Seen(path)
    assert table.note_failure(7, "script main", b"v1", "line 1: no", now=NOW)
    assert not table.note_failure(7, "script main", b"v1", "line 2: no", now=NOW + 1, died=True)
    (known,) = table.failures(7)
    assert (known.why, known.times, known.deaths) == ("line 2: no", 2, 1)
    assert seen.deaths(7, "script main", b"v1") == 1
    assert seen.deaths(7, "script main", b"v2") == 0
    assert table.note_failure(7, "script main", b"v2", "line 3: no", now=NOW + 2)
    table.close()
    seen.close()


def test_what_no_longer_counts_goes(path: Path) -> None:
    table = Memory(path)
    claim(table, "a@far.test")
    table.mark(7, "id", keep_s=600, most=10, now=NOW)
    table.spend(7, "cpu_s", 1, now=NOW)
    table.note_failure(7, "script main", b"v", "no", now=NOW)
    assert memory.purge(path, now=NOW + 60, keep_failures_s=30 * DAY) == 0
    assert memory.purge(path, now=NOW + 2 * DAY, keep_failures_s=30 * DAY) == 3
    assert memory.purge(path, now=NOW + 31 * DAY, keep_failures_s=30 * DAY) == 2
    assert table.failures(7) == [] and table.answered(7, now=NOW) == []
    table.close()
