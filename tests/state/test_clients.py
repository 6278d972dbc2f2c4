"""What outlives a restart about clients: guesses, traps, wanted mail, the greylist."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.state import statedb
from mailstack.state.greylist import Greylist, Waits, triplet
from mailstack.state.guesses import Count, Guesses, Rule
from mailstack.state.traps import Traps
from mailstack.state.wanted import Wanted

NOW = 1_800_000_000.0
RULE = Rule(unknown=50, ratio=5, window_s=3600)
WAITS = Waits(delay_s=300, window_s=86_400, keep_s=864_000)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "state.db"
    statedb.migrate(file)
    yield file


def test_guesses_add_up_over_sessions_and_workers(path: Path) -> None:
    # S44
    one, other = Guesses(path), Guesses(path)
    for n in range(5):
        one.add({"192.0.2.1/32": Count(unknown=5)}, RULE, now=NOW + n)
        assert other.guessing(RULE, now=NOW + n) == {}
        other.add({"192.0.2.1/32": Count(unknown=5)}, RULE, now=NOW + n)
    found = one.guessing(RULE, now=NOW + 4)
    assert found == {"192.0.2.1/32": (NOW + 4 + 3600, Count(50))}
    assert one.guessing(RULE, now=NOW + 4 + 3599).keys() == found.keys()
    assert one.guessing(RULE, now=NOW + 4 + 3601) == {}
    one.close()
    other.close()


def test_a_big_sender_with_some_dead_names_does_not_guess(path: Path) -> None:
    table = Guesses(path)
    table.add({"192.0.2.1/32": Count(unknown=200, good=60)}, RULE, now=NOW)
    assert table.guessing(RULE, now=NOW) == {}
    table.add({"192.0.2.1/32": Count(unknown=100)}, RULE, now=NOW)
    assert list(table.guessing(RULE, now=NOW)) == ["192.0.2.1/32"]
    table.close()


def test_old_guesses_are_forgotten(path: Path) -> None:
    table = Guesses(path)
    table.add({"192.0.2.1/32": Count(unknown=49)}, RULE, now=NOW)
    table.add({"192.0.2.1/32": Count(unknown=49)}, RULE, now=NOW + 3601)
    assert table.guessing(RULE, now=NOW + 3601) == {}
    assert table.forget("192.0.2.1/32") == 1
    table.close()


def test_trap_hits_are_counted_by_network_for_a_while(path: Path) -> None:
    table = Traps(path)
    for second in range(3):
        table.hit("192.0.2.0/24", "trap@x", now=NOW + second, keep_s=100)
    table.hit("198.51.100.0/24", "trap@x", now=NOW, keep_s=100)
    assert table.hits(since=NOW - 1) == {"192.0.2.0/24": 3, "198.51.100.0/24": 1}
    table.hit("203.0.113.0/24", "trap@x", now=NOW + 101, keep_s=100)
    assert table.hits(since=0) == {"192.0.2.0/24": 2, "203.0.113.0/24": 1}
    table.close()


def test_wanted_mail_is_known_for_a_while(path: Path) -> None:
    table = Wanted(path)
    table.note(["net 192.0.2.0/24", "dom example.org"], now=NOW, keep_s=1000)
    assert table.is_any(["net 198.51.100.0/24", "dom example.org"], since=NOW - 1)
    assert not table.is_any(["dom example.org"], since=NOW + 1)
    assert not table.is_any(["dom other.example"], since=0)
    table.note(["dom other.example"], now=NOW + 1001, keep_s=1000)
    assert not table.is_any(["dom example.org"], since=0)
    table.close()


def test_a_new_sender_waits_once(path: Path) -> None:
    table = Greylist(path)
    key = [triplet("192.0.2.0/24", "x@far.test", "alice@example.test")]
    assert table.wait_s(key, WAITS, now=NOW) == 300
    assert table.wait_s(key, WAITS, now=NOW + 100) == 200
    assert table.wait_s(key, WAITS, now=NOW + 300) == 0
    assert table.wait_s(key, WAITS, now=NOW + 300 + 863_000) == 0
    assert table.wait_s(key, WAITS, now=NOW + 300 + 863_000 + 864_001) == 300
    table.close()


def test_who_comes_again_too_late_is_new(path: Path) -> None:
    table = Greylist(path)
    key = [triplet("n", "s", "r")]
    table.wait_s(key, WAITS, now=NOW)
    table.wait_s(key, WAITS, now=NOW + 1)  # early tries do not lengthen the window
    assert table.wait_s(key, WAITS, now=NOW + 86_401) == 300
    table.close()


def test_a_question_does_not_look_through_everybody(path: Path) -> None:
    # It would hold the database up for all others; old rows go with the hourly tidying.
    table, rows = Greylist(path), 20_000
    connection = table._open()
    connection.execute("BEGIN")
    old = ((triplet(f"n{n}", "s", "r"), NOW, NOW) for n in range(rows))
    connection.executemany("INSERT INTO greylist (triplet, first_at, seen_at) VALUES (?, ?, ?)", old)
    connection.execute("COMMIT")
    steps: list[int] = []
    connection.set_progress_handler(lambda: steps.append(1), 1_000)
    assert table.wait_s([triplet("n1", "s", "r")], WAITS, now=NOW + 900_000) == 300
    connection.set_progress_handler(None, 0)
    assert len(steps) < 5
    assert connection.execute("SELECT count(*) FROM greylist").fetchone()[0] == rows
    table.close()


def test_one_new_recipient_makes_all_wait(path: Path) -> None:
    table = Greylist(path)
    known, new = triplet("n", "s", "r1"), triplet("n", "s", "r2")
    table.wait_s([known], WAITS, now=NOW)
    assert table.wait_s([known], WAITS, now=NOW + 300) == 0
    assert table.wait_s([known, new], WAITS, now=NOW + 301) == 300
    assert table.wait_s([known, new], WAITS, now=NOW + 601) == 0
    table.close()


def test_who_was_first_seen_by_a_clock_ahead_waits_once_and_not_until_that_time_has_come(path: Path) -> None:
    table = Greylist(path)
    key = [triplet("n", "s", "r")]
    assert table.wait_s(key, WAITS, now=NOW + 86_000) == 300
    assert table.wait_s(key, WAITS, now=NOW) == 300
    assert table.wait_s(key, WAITS, now=NOW + 301) == 0
    table.close()


def test_a_clock_that_goes_back_makes_nobody_wait_longer_than_the_delay(path: Path) -> None:
    # F28
    table = Greylist(path)
    chance = random.Random(1)
    key = [triplet("n", "s", "r")]
    for _ in range(100):
        assert 0 <= table.wait_s(key, WAITS, now=NOW + chance.uniform(-1e6, 1e6)) <= 300
    table.close()
