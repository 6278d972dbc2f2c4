"""mailstack migrate."""

from __future__ import annotations

from pathlib import Path

from tests.kit.instance import command


def test_instance_is_made_and_a_second_run_does_nothing(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text(f'server.state_dir = "{tmp_path}/state"\n')
    first = command("migrate", "--config", str(file))
    assert first.code == 0
    assert "made the master key" in first.out
    second = command("migrate", "--json", "--config", str(file))
    assert second.json == {"state_dir": f"{tmp_path}/state", "done": []}
    assert command("domain", "list", "--config", str(file)).code == 0


def test_newer_database_is_left_alone(tmp_path: Path) -> None:
    import sqlite3

    file = tmp_path / "x.toml"
    file.write_text(f'server.state_dir = "{tmp_path}/state"\n')
    command("migrate", "--config", str(file))
    connection = sqlite3.connect(tmp_path / "state" / "directory.db")
    connection.execute("PRAGMA user_version = 77")
    connection.close()
    found = command("migrate", "--config", str(file))
    assert found.code == 75
    assert "install the newer mailstack" in found.err
