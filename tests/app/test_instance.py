"""An instance is made once and upgraded, never replaced."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from mailstack.app.config import Config
from mailstack.app.instance import prepare
from mailstack.app.options import ServerOptions
from mailstack.directory import Directory
from mailstack.model.errors import TemporaryFailure


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(
        server=ServerOptions(hostname="mx.example.test", state_dir=str(tmp_path / "deep" / "state"))
    )


def test_everything_is_made_once(config: Config) -> None:
    done = prepare(config)
    assert "migrated directory.db" in done
    assert "made the master key" in done
    assert prepare(config) == []
    for folder in config.paths.folders:
        assert folder.is_dir()
    paths = config.paths
    for database in (paths.directory_db, paths.state_db, paths.maillog_db, paths.queue_db):
        assert database.exists()


def test_state_is_private(config: Config) -> None:
    prepare(config)
    assert stat.S_IMODE(config.paths.state.stat().st_mode) == 0o700
    assert stat.S_IMODE(config.paths.secrets.stat().st_mode) == 0o700
    assert stat.S_IMODE(config.paths.master_key.stat().st_mode) == 0o600


def test_run_directory_may_lie_elsewhere(config: Config, tmp_path: Path) -> None:
    server = msgspec.structs.replace(config.server, run_dir=str(tmp_path / "run"))
    prepare(msgspec.structs.replace(config, server=server))
    assert (tmp_path / "run" / "bus").is_dir()
    assert not (config.paths.state / "run").exists()


def test_secrets_survive_a_second_run(config: Config) -> None:
    prepare(config)
    key = config.paths.master_key.read_bytes()
    with closing(Directory(config.paths)) as reader:
        secrets = reader.srs_secrets()
    prepare(config)
    assert config.paths.master_key.read_bytes() == key
    with closing(Directory(config.paths)) as reader:
        assert reader.srs_secrets() == secrets


def test_lost_master_key_is_not_replaced_in_silence(config: Config) -> None:
    prepare(config)
    config.paths.master_key.unlink()
    with pytest.raises(TemporaryFailure, match="restore it from the backup"):
        prepare(config)
    assert not config.paths.master_key.exists()


def test_folder_that_cannot_be_made_is_a_failure_in_words(config: Config) -> None:
    config.paths.state.parent.parent.mkdir(exist_ok=True)
    config.paths.state.parent.write_text("a file")
    with pytest.raises(TemporaryFailure, match="preparing"):
        prepare(config)


def test_several_processes_at_once_make_one_instance(config: Config, tmp_path: Path) -> None:
    file = tmp_path / "mailstack.toml"
    file.write_text(f'[server]\nstate_dir = "{config.server.state_dir}"\n')
    commands = [
        subprocess.Popen(
            [sys.executable, "-m", "mailstack", "migrate", "--config", str(file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "MAILSTACK_ALLOW_ROOT": "1"},
        )
        for _ in range(3)
    ]
    outputs = [command.communicate(timeout=60)[0].decode() for command in commands]
    assert [command.returncode for command in commands] == [0, 0, 0], outputs
    assert sum("made the master key" in output for output in outputs) == 1
    with closing(Directory(config.paths)) as reader:
        assert len(reader.srs_secrets()) == 1
