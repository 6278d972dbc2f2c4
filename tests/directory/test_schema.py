"""The tables themselves refuse what may not be."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from mailstack.directory.schema import SCHEMA, migrate
from mailstack.disk.sqlite import open_database


def test_migration_is_applied_once(tmp_path: Path) -> None:
    assert migrate(tmp_path / "directory.db")
    assert not migrate(tmp_path / "directory.db")
    connection = open_database(tmp_path / "directory.db")
    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(SCHEMA)
    connection.close()


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO domain (name, inbound, created_at) VALUES ('b.test', 'maybe', 0)",
        "INSERT INTO domain (name, created_at) VALUES ('a.test', 0)",
        "INSERT INTO account (local, domain_id, kind, created_at) VALUES ('x', 1, 'robot', 0)",
        "INSERT INTO account (local, domain_id, created_at) VALUES ('x', 99, 0)",
        "INSERT INTO account (local, domain_id, quota_octets, created_at) VALUES ('x', 1, -1, 0)",
        "INSERT INTO account (local, domain_id, kind, created_at) VALUES ('y', 1, 'catchall', 0)",
        "INSERT INTO address (key) VALUES ('nobody@a.test')",
        "INSERT INTO address (key, account_id, alias_id) VALUES ('both@a.test', 1, 1)",
        "INSERT INTO address (key, account_id) VALUES ('x@a.test', 1)",
        "INSERT INTO account_right (person_id, account_id, right) VALUES (1, 1, 'everything')",
    ],
)
def test_rows_that_may_not_be_are_refused(tmp_path: Path, sql: str) -> None:
    migrate(tmp_path / "directory.db")
    connection = open_database(tmp_path / "directory.db")
    connection.execute("INSERT INTO domain (name, created_at) VALUES ('a.test', 0)")
    connection.execute(
        "INSERT INTO account (local, domain_id, kind, created_at) VALUES ('x', 1, 'catchall', 0)"
    )
    connection.execute("INSERT INTO alias (local, domain_id, created_at) VALUES ('l', 1, 0)")
    connection.execute("INSERT INTO address (key, account_id) VALUES ('x@a.test', 1)")
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(sql)
    connection.close()


def test_tables_for_what_comes_later_are_there_from_day_one(tmp_path: Path) -> None:
    migrate(tmp_path / "directory.db")
    connection = open_database(tmp_path / "directory.db")
    columns = {
        table: {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        for table in ("app_password", "credential", "person", "account_right", "domain_right")
    }
    connection.close()
    assert "scopes" in columns["app_password"]
    assert {"scram_iterations", "scram_stored_key", "scram_server_key"} <= columns["credential"]
    assert columns["person"]
    assert columns["account_right"]
    assert columns["domain_right"]
