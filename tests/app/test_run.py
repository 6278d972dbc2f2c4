"""`mailstack run` and `mailstack up`: the real daemons, started as in production."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.kit.ports import free_base
from tests.kit.process import Process, alive, descendants, eventually, mailstack, started, wait_for_port

CONFIG = """
[server]
hostname = "mx.example.test"
state_dir = "{state}"
workers = 1
stop_grace_s = 2
[listen]
mx = ["127.0.0.1:{mx}"]
submission = []
submissions = []
imap = ["127.0.0.1:{imap}"]
imaps = []
pop3 = []
pop3s = []
sieve = []
"""
ENVIRON = {"MAILSTACK_ALLOW_ROOT": "1"}


class Instance:
    """A configuration and its ports."""

    def __init__(self, folder: Path) -> None:
        base = free_base((25, 143))
        self.mx, self.imap = base + 25, base + 143
        self.file = folder / "mailstack.toml"
        self.state = folder / "state"
        self.file.write_text(CONFIG.format(state=self.state, mx=self.mx, imap=self.imap))

    def command(self, *words: str) -> list[str | Path]:
        return mailstack("--config", self.file, *words)

    def migrate(self) -> None:
        with started(self.command("migrate"), environ=ENVIRON) as process:
            assert process.wait() == 0, process.output


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance(tmp_path)


def greeting(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        return connection.makefile("r").readline()


def test_up_makes_the_instance_and_runs_everything(instance: Instance) -> None:
    with started(instance.command("up"), environ=ENVIRON) as up:
        wait_for_port(instance.mx)
        assert greeting(instance.mx).startswith("220 mx.example.test ")
        assert greeting(instance.imap).startswith("* OK ")
        family = [process.pid for process in descendants(up.pid)]
        begun = time.monotonic()
        up.signal(signal.SIGINT)
        assert up.wait() == 0, up.output
        assert time.monotonic() - begun < 30  # one second on a machine with nothing else to do
        eventually(lambda: not any(alive(pid) for pid in family))
    assert "made the master key" in up.output


def test_up_runs_once_per_instance(instance: Instance, tmp_path: Path) -> None:
    with started(instance.command("up"), environ=ENVIRON):
        wait_for_port(instance.mx)
        greeting(instance.mx)
        other = tmp_path / "other.toml"
        base = free_base((25, 143))
        other.write_text(CONFIG.format(state=instance.state, mx=base + 25, imap=base + 143))
        with started(mailstack("--config", other, "up"), environ=ENVIRON) as second:
            assert second.wait() == os.EX_TEMPFAIL
            assert "it runs already" in second.output


def test_a_daemon_alone_binds_its_own_sockets(instance: Instance) -> None:
    instance.migrate()
    with started(instance.command("run", "imap"), environ=ENVIRON) as process:
        wait_for_port(instance.imap)
        assert greeting(instance.imap).startswith("* OK ")
        process.signal(signal.SIGTERM)
        assert process.wait(5) == 0


@pytest.mark.debian("systemd-socket-activate")
def test_a_daemon_takes_the_sockets_systemd_has_bound(instance: Instance) -> None:
    instance.migrate()
    base = free_base((0, 1))
    command = ["systemd-socket-activate", "-l", f"127.0.0.1:{base}", "-l", f"127.0.0.1:{base + 1}"]
    environ = {f"--setenv={key}={value}": "" for key, value in {**os.environ, **ENVIRON}.items()}
    command += ["--fdname=imap:imap", *environ, *map(str, instance.command("run", "imap"))]
    with started(command) as process:
        process.wait_for("Listening on")
        assert greeting(base).startswith("* OK ")
        assert greeting(base + 1).startswith("* OK ")
        with pytest.raises(OSError):
            greeting(instance.imap)


def test_without_an_instance_a_daemon_says_what_to_do(instance: Instance) -> None:
    with started(instance.command("run", "imap"), environ={**ENVIRON}) as process:
        eventually(lambda: "mailstack migrate" in process.output or not process.running)
        process.stop()
        assert "migrate" in process.output, process.output
        assert "Traceback" not in process.output


def test_an_unknown_daemon_is_a_usage_error(instance: Instance) -> None:
    process = Process(instance.command("run", "smpt"))
    assert process.wait() == os.EX_USAGE
    assert "there are smtp, filter, queue, imap" in process.output


def test_a_wrong_configuration_is_said_before_anything_starts(instance: Instance) -> None:
    instance.file.write_text("[server]\nwerkers = 3\n")
    for words in (("run", "smtp"), ("up",)):
        process = Process(instance.command(*words), environ=ENVIRON)
        assert process.wait() == os.EX_CONFIG
        assert "server.werkers" in process.output and "server.workers" in process.output
