"""Schemas move forward, once, and never back."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mailstack.disk import migrations
from mailstack.disk.sqlite import open_database
from mailstack.model.errors import TemporaryFailure

STEPS = (
    "CREATE TABLE a (n INTEGER);\nCREATE TRIGGER t AFTER INSERT ON a BEGIN\n  UPDATE a SET n = n;\nEND;\n",
    "ALTER TABLE a ADD COLUMN m TEXT;",
)


def test_missing_steps_are_applied_once(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "x.db")
    assert migrations.migrate(connection, STEPS[:1])
    assert migrations.version(connection) == 1
    assert migrations.migrate(connection, STEPS)
    assert not migrations.migrate(connection, STEPS)
    connection.execute("INSERT INTO a VALUES (1, 'x')")
    connection.close()


def test_a_step_that_fails_leaves_nothing_of_itself(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "x.db")
    with pytest.raises(TemporaryFailure):
        migrations.migrate(connection, ["CREATE TABLE a (n);\nCREATE TABLE b (n);\nnonsense;\n"])
    assert migrations.version(connection) == 0
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    connection.close()


def test_a_newer_or_older_schema_is_refused_in_words(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "x.db")
    migrations.migrate(connection, STEPS)
    with pytest.raises(TemporaryFailure, match="install the newer mailstack"):
        migrations.migrate(connection, STEPS[:1])
    with pytest.raises(TemporaryFailure, match="mailstack migrate"):
        migrations.check(connection, [*STEPS, "SELECT 1;"])
    connection.close()


def test_two_processes_may_migrate_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mailstack.disk import migrations, sqlite\n"
        "c = sqlite.open_database(Path(sys.argv[1]))\n"
        "migrations.migrate(c, [f'CREATE TABLE t{n} (n);' for n in range(50)])\n"
        "c.close()\n"
    )
    workers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "x.db")]) for _ in range(3)]
    assert [worker.wait(30) for worker in workers] == [0, 0, 0]


def test_the_lock_keeps_others_out(tmp_path: Path) -> None:
    order: list[str] = []

    def other() -> None:
        with migrations.exclusive(tmp_path / "lock"):
            order.append("other")

    with migrations.exclusive(tmp_path / "lock"):
        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "other"]


def test_statements_end_where_sqlite_ends_them() -> None:
    assert len(list(migrations.split_statements(STEPS[0]))) == 2
    assert list(migrations.split_statements("SELECT 1;\nSELECT 2")) == ["SELECT 1;\n", "SELECT 2\n"]
    assert list(migrations.split_statements("\n\n")) == []
