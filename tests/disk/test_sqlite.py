"""Databases: settings, transactions, the writer thread."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest

from mailstack.disk import sqlite
from mailstack.disk.sqlite import Writer, open_database, transaction
from mailstack.model.errors import TemporaryFailure


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with_table = open_database(tmp_path / "a db?.sqlite")
    with_table.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    with_table.close()
    return tmp_path / "a db?.sqlite"


def count(path: Path) -> int:
    connection = open_database(path, read_only=True)
    try:
        return int(connection.execute("SELECT count(*) FROM t").fetchone()[0])
    finally:
        connection.close()


def test_a_database_is_opened_as_we_want_it(path: Path) -> None:
    connection = open_database(path)
    wanted = {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "trusted_schema": 0,
        "cell_size_check": 1,
    }
    assert {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in wanted} == wanted
    connection.close()


def test_a_read_only_database_cannot_be_written(path: Path) -> None:
    connection = open_database(path, read_only=True)
    with pytest.raises(TemporaryFailure), transaction(connection):
        connection.execute("INSERT INTO t VALUES (1)")
    connection.close()


@pytest.mark.parametrize(
    "content", [b"junk" * 1000, b"SQLite format 3\0" + b"\xff" * 5000], ids=["junk", "torn"]
)
def test_a_file_that_is_no_database_is_named_in_words(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.db").write_bytes(content)
    with pytest.raises(TemporaryFailure, match=r"x\.db"):
        open_database(tmp_path / "x.db").execute("SELECT * FROM sqlite_master")
    with pytest.raises(TemporaryFailure, match=r"missing\.db"):
        open_database(tmp_path / "missing.db", read_only=True)


def test_an_exception_rolls_back(path: Path) -> None:
    connection = open_database(path)
    with pytest.raises(KeyError), transaction(connection):
        connection.execute("INSERT INTO t VALUES (1)")
        raise KeyError
    assert not connection.in_transaction
    connection.close()
    assert count(path) == 0


def test_a_constraint_stays_an_integrity_error(path: Path) -> None:
    connection = open_database(path)
    with pytest.raises(sqlite3.IntegrityError), transaction(connection):
        connection.execute("INSERT INTO t VALUES (1)")
        connection.execute("INSERT INTO t VALUES (1)")
    connection.close()
    assert count(path) == 0


def test_a_lock_that_lasts_is_a_temporary_failure(path: Path) -> None:
    # F35
    holder, other = open_database(path), open_database(path, timeout_s=0.05)
    with transaction(holder), pytest.raises(TemporaryFailure, match="locked"), transaction(other):
        pass
    with transaction(other):
        pass
    holder.close()
    other.close()


def test_many_processes_may_create_a_database_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mailstack.disk.sqlite import *\n"
        "for n in range(20):\n"
        "    c = open_database(Path(sys.argv[1]) / f'{n}.db')\n"
        "    with transaction(c): c.execute('CREATE TABLE IF NOT EXISTS t (n)')\n"
        "    c.close()\n"
    )
    workers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(4)]
    assert [worker.wait(30) for worker in workers] == [0, 0, 0, 0]


def test_writes_are_committed_when_their_future_is_done(path: Path) -> None:
    writer = Writer(path)

    def insert(connection: sqlite3.Connection) -> int:
        return connection.execute("INSERT INTO t DEFAULT VALUES").lastrowid or 0

    futures: list[Future[int]] = []

    def work() -> None:
        futures.extend([writer.submit(insert) for _ in range(50)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(future.result() for future in futures) == list(range(1, 201))
    assert count(path) == 200
    writer.close()


def test_a_write_that_raises_is_rolled_back_alone(path: Path) -> None:
    writer = Writer(path)

    def bad(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (99)")
        raise KeyError("mine")

    good = [writer.submit(lambda c, n=n: c.execute("INSERT INTO t VALUES (?)", (n,))) for n in range(3)]  # type: ignore[misc]
    failed = writer.submit(bad)
    after = writer.submit(lambda c: c.execute("INSERT INTO t VALUES (50)"))
    for future in [*good, after]:
        future.result(5)
    with pytest.raises(KeyError, match="mine"):
        failed.result(5)
    writer.close()
    assert count(path) == 4


def test_a_cancelled_write_neither_happens_nor_stops_the_writer(path: Path) -> None:
    writer = Writer(path)
    running = threading.Event()
    go_on = threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        running.set()
        go_on.wait(5)

    first = writer.submit(slow)
    running.wait(5)
    given_up = writer.submit(lambda c: c.execute("INSERT INTO t VALUES (1)"))
    assert given_up.cancel()
    assert not first.cancel()
    go_on.set()
    first.result(5)
    writer.call(lambda c: c.execute("INSERT INTO t VALUES (2)"))
    writer.close()
    assert count(path) == 1


def test_a_closed_writer_says_so(path: Path) -> None:
    writer = Writer(path)
    last = writer.submit(lambda c: c.execute("INSERT INTO t VALUES (1)"))
    writer.close()
    writer.close()
    last.result(0)
    with pytest.raises(TemporaryFailure, match="closed"):
        writer.submit(lambda c: None)


def test_a_broken_statement_fails_its_group_and_the_writer_goes_on(path: Path) -> None:
    writer = Writer(path)
    with pytest.raises(TemporaryFailure):
        writer.call(lambda c: c.execute("INSERT INTO missing VALUES (1)"))
    writer.call(lambda c: c.execute("INSERT INTO t VALUES (1)"))
    writer.close()
    assert count(path) == 1


@pytest.mark.parametrize(
    ("text", "status", "fatal"),
    [
        ("database or disk is full", "3.1", False),
        ("disk I/O error", "3.0", True),
        ("database is locked", "3.0", False),
        ("database disk image is malformed", "3.0", False),
    ],
)
def test_errors_of_sqlite_are_named(text: str, status: str, fatal: bool) -> None:
    found = sqlite.failure(sqlite3.OperationalError(text), "writing")
    assert (found.status, found.fatal) == (status, fatal)
