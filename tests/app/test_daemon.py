"""The life of a daemon, with real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.app.config import Config
from mailstack.app.daemon import Context
from mailstack.net.bus import Bus
from mailstack.net.systemd import parse_state
from mailstack.state.maillog import MailLog
from tests.kit.clock import Clock
from tests.kit.ports import free_port
from tests.kit.process import Process, alive, descendants, eventually, open_python, python, started

CONFIG = """
[server]
hostname = "mx.example.test"
state_dir = "{state}"
workers = {workers}
stop_grace_s = {grace_s}
[listen]
mx = ["127.0.0.1:{port}"]
submission = []
submissions = []
[smtp]
errors = 33
"""


class Toy:
    """A running toy daemon and who listens to it."""

    def __init__(self, folder: Path, *, workers: int = 2, grace_s: float = 5.0) -> None:
        self.port = free_port()
        self.file = folder / "mailstack.toml"
        self.state = folder / "state"
        self.state.mkdir(mode=0o700)
        self.file.write_text(
            CONFIG.format(state=self.state, port=self.port, workers=workers, grace_s=grace_s)
        )
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(folder / "notify"))
        self.manager.settimeout(60)
        self.environ = {"NOTIFY_SOCKET": str(folder / "notify"), "MAILSTACK_ALLOW_ROOT": "1"}
        self.told: dict[str, str] = {}

    def command(self) -> list[str | Path]:
        return python("-m", "tests.kit.toy_daemon", self.file, "smtp")

    def ask(self, word: str, timeout_s: float = 60.0) -> str:
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s) as connection:
            connection.sendall(word.encode() + b"\n")
            return connection.makefile("r").readline().strip()

    def hear(self, key: str) -> str:
        """The next value of `key` the daemon tells."""
        while True:
            said = parse_state(self.manager.recv(4096))
            self.told.update(said)
            if key in said:
                return said[key]

    def workers(self) -> list[int]:
        """Pids of the workers, from the report that all are there."""
        while True:
            pids = [int(pid) for pid in self.hear("X_MAILSTACK_WORKERS").split(",") if pid]
            real = [pid for pid in pids if pid not in (1000, 1001)]
            if len(real) == 2 and len(pids) == 4:
                return real


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    toy = Toy(tmp_path)
    yield toy
    toy.manager.close()


@pytest.fixture
def running(toy: Toy) -> Iterator[Process]:
    with started(toy.command(), environ=toy.environ) as process:
        toy.hear("READY")
        yield process


def test_ready_is_told_when_all_workers_are(toy: Toy, running: Process) -> None:
    assert toy.told["STATUS"] == "smtp: 2 of 2 workers"
    assert len(toy.told["X_MAILSTACK_WORKERS"].split(",")) == 4, "two workers, one reported child each"
    assert "self-test" in running.output
    assert int(toy.ask("parent")) == running.pid


def test_a_killed_worker_is_replaced_within_a_second(toy: Toy, running: Process) -> None:
    before = [int(pid) for pid in toy.told["X_MAILSTACK_WORKERS"].split(",")]
    victim = int(toy.ask("pid"))
    os.kill(victim, signal.SIGKILL)
    begun = time.monotonic()
    after = toy.workers()
    assert time.monotonic() - begun < 20  # one second on a machine with nothing else to do
    assert victim in before
    assert victim not in after
    assert toy.ask("pid")
    assert "killed by SIGKILL; it is started again" in running.output


def test_connections_are_answered_while_workers_die(toy: Toy, running: Process) -> None:
    for _ in range(3):
        os.kill(int(toy.ask("pid")), signal.SIGKILL)
        assert int(toy.ask("pid")) > 0


def test_workers_die_with_their_main_process(toy: Toy, running: Process) -> None:
    family = [process.pid for process in descendants(running.pid)]
    assert len(family) == 2
    running.signal(signal.SIGKILL)
    eventually(lambda: not any(alive(pid) for pid in family))


def test_the_next_generation_begins_when_the_last_one_is_gone(toy: Toy) -> None:
    with started(toy.command(), environ=toy.environ) as first:
        toy.hear("READY")
        first.signal(signal.SIGKILL)
        with started(toy.command(), environ=toy.environ):
            toy.hear("READY")
            assert toy.ask("pid")


def test_a_second_daemon_on_the_same_state_is_refused(toy: Toy, running: Process, tmp_path: Path) -> None:
    other = toy.file.read_text().replace(f":{toy.port}", f":{free_port()}")
    (tmp_path / "other.toml").write_text(other)
    command = [*toy.command()[:-2], tmp_path / "other.toml", "smtp"]
    with started(command, environ={"MAILSTACK_ALLOW_ROOT": "1", "TOY_LOCK_WAIT_S": "0.3"}) as second:
        assert second.wait() == os.EX_TEMPFAIL
        assert "it runs already" in second.output


def test_sigterm_lets_the_work_in_flight_finish(toy: Toy, running: Process) -> None:
    with socket.create_connection(("127.0.0.1", toy.port), timeout=60) as busy:
        busy.sendall(b"slow\n")
        running.wait_for("begins slow")
        running.signal(signal.SIGTERM)
        assert busy.makefile("r").readline().strip().isdigit()
    assert running.wait() == 0


def test_sigterm_cuts_off_what_does_not_finish(tmp_path: Path) -> None:
    toy = Toy(tmp_path, grace_s=0.5)
    with started(toy.command(), environ=toy.environ) as process:
        toy.hear("READY")
        with socket.create_connection(("127.0.0.1", toy.port), timeout=60) as busy:
            busy.sendall(b"forever\n")
            process.wait_for("begins forever")
            process.signal(signal.SIGTERM)
            assert process.wait() == 0
        assert "did not finish in time" in process.output
    toy.manager.close()


def test_a_hanging_worker_is_ended_and_shows_where_it_hung(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    with started(toy.command(), environ={**toy.environ, "TOY_SILENT_S": "1"}) as process:
        toy.hear("READY")
        with socket.create_connection(("127.0.0.1", toy.port), timeout=60) as victim:
            victim.sendall(b"hang\n")
            toy.hear("X_MAILSTACK_WORKERS")
            toy.workers()
        # The traceback names the place.
        assert "Timeout (" in process.wait_for("in say")
    toy.manager.close()


def test_a_stopped_worker_that_cannot_even_end_itself_is_killed(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    with started(toy.command(), environ={**toy.environ, "TOY_SILENT_S": "1"}) as process:
        toy.hear("READY")
        os.kill(int(toy.ask("pid")), signal.SIGSTOP)
        process.wait_for("hangs and is killed")
        assert "killed by SIGKILL" in process.wait_for("started again")
    toy.manager.close()


def test_a_hanging_orphan_ends_itself(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    with started(toy.command(), environ={**toy.environ, "TOY_SILENT_S": "1"}) as process:
        toy.hear("READY")
        family = [process.pid for process in descendants(process.pid)]
        with socket.create_connection(("127.0.0.1", toy.port), timeout=60) as victim:
            victim.sendall(b"hang\n")
            process.wait_for("begins hang")
            process.signal(signal.SIGKILL)
            eventually(lambda: not any(alive(pid) for pid in family))
    toy.manager.close()


def test_an_exception_is_logged_here_and_the_worker_replaced(toy: Toy, running: Process) -> None:
    assert toy.ask("raise").isdigit()
    running.wait_for("started again")
    assert "ZeroDivisionError: the toy is broken" in running.output
    assert toy.ask("pid").isdigit()


def test_an_exception_in_a_callback_is_logged_and_hurts_nobody(toy: Toy, running: Process) -> None:
    pid = toy.ask("stray")
    running.wait_for("ZeroDivisionError")
    assert alive(int(pid))


def test_a_worker_that_returns_unasked_is_replaced(toy: Toy, running: Process) -> None:
    toy.ask("return")
    running.wait_for("although nobody asked it to")
    assert toy.ask("pid").isdigit()


def test_after_a_disk_error_the_whole_daemon_exits_for_a_restart(toy: Toy, running: Process) -> None:
    # promise P8
    toy.ask("fatal")
    assert running.wait() == os.EX_SOFTWARE
    assert "stopping for a restart: fsync said EIO" in running.output


def test_a_worker_that_cannot_use_the_configuration_ends_the_daemon(toy: Toy) -> None:
    with started(toy.command(), environ={**toy.environ, "TOY_FAILS": "config"}) as process:
        assert process.wait() == os.EX_CONFIG
        assert "toy.key: never right" in process.output


def test_sighup_takes_a_new_configuration_and_keeps_the_old_one_when_it_is_broken(
    toy: Toy, running: Process
) -> None:
    # F38
    assert toy.ask("config") == "33"
    good = toy.file.read_text()
    toy.file.write_text(good.replace("errors = 33", "errors = none"))
    running.signal(signal.SIGHUP)
    running.wait_for("the old one stays")
    assert toy.ask("config") == "33"
    toy.file.write_text(good.replace("errors = 33", "errors = 44"))
    running.signal(signal.SIGHUP)
    running.wait_for("was read again")
    eventually(lambda: toy.ask("config") == "44")
    eventually(lambda: len(descendants(running.pid)) == 2)
    assert "it is started again" not in running.output
    assert "[listen]" not in running.output
    toy.file.write_text(good.replace(f":{toy.port}", f":{toy.port + 1}"))
    running.signal(signal.SIGHUP)
    running.wait_for("what was changed in [listen] counts only after a restart")


def test_a_port_that_is_taken_is_said_in_words(toy: Toy) -> None:
    taken = socket.create_server(("127.0.0.1", toy.port))
    with taken, started(toy.command(), environ=toy.environ) as process:
        assert process.wait() == os.EX_CONFIG
        assert f"listen.mx: 127.0.0.1 port {toy.port}: Address already in use" in process.output


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_is_refused_where_the_state_is_roots_own(toy: Toy) -> None:
    with started(toy.command(), environ={**toy.environ, "MAILSTACK_ALLOW_ROOT": ""}) as process:
        assert process.wait() == os.EX_CONFIG
        assert "mailstack does not run as root" in process.output


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_becomes_the_owner_of_the_state(toy: Toy, tmp_path: Path) -> None:
    os.chown(toy.state, 65534, 65534)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and str(folder) not in ("/", "/tmp"):
            folder.chmod(0o711)
    os.chmod(tmp_path / "notify", 0o777)
    command, environ = open_python("-m", "tests.kit.toy_daemon", toy.file, "smtp")
    with started(command, environ={**toy.environ, **environ, "MAILSTACK_ALLOW_ROOT": ""}) as process:
        toy.hear("READY")
        assert toy.ask("uid") == "65534"
        assert (toy.state / "run" / "smtp.lock").stat().st_uid == 65534
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith(("CapEff", "CapPrm")):
                assert int(line.split()[1], 16) == 0


def test_the_watchdog_is_fed_while_workers_answer(toy: Toy) -> None:
    with started(toy.command(), environ={**toy.environ, "WATCHDOG_USEC": "600000"}) as process:
        toy.hear("READY")
        begun = time.monotonic()
        for _ in range(5):
            toy.hear("WATCHDOG")
        assert time.monotonic() - begun < 20  # 1.5 s on a machine with nothing else to do
        assert process.running


async def test_fatal_may_be_called_from_any_thread(tmp_path: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    said: list[str] = []
    context = Context(
        config=Config(),
        paths=Config().paths,
        role="smtp",
        worker=0,
        workers=1,
        sockets={},
        now=Clock(),
        random_bytes=os.urandom,
        stop=stop,
        maillog=MailLog(None, daemon="smtp", now=Clock()),
        bus=Bus(tmp_path, "smtp"),
        tell=said.append,
        halt=lambda: loop.call_soon_threadsafe(stop.set),
    )
    await asyncio.to_thread(context.fatal, "EIO")
    context.fatal("again")
    await asyncio.wait_for(stop.wait(), 60)
    assert (context.failed, said) == ("EIO", ["fatal"])
