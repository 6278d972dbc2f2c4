"""A running demo instance: real daemons, real sockets, real files.

def test_something(demo: Demo) -> None:           # one for the whole session
    with demo.smtp() as client: ...

with running_demo(tmp_path / "demo") as mine: ... # one of your own
"""

from __future__ import annotations

import asyncio
import contextlib
import imaplib
import json
import os
import smtplib
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mailstack.app import demo as app_demo
from mailstack.app.demo_accounts import populate
from mailstack.app.instance import prepare
from tests.kit import process as processes
from tests.kit.instance import Instance, Result, command
from tests.kit.ports import free_base

OFFSETS = (24, 25, 26, 110, 143, 190, 465, 587, 993, 995)
START_S = 90.0
#: Of accounts that tests make.
PASSWORD = "pass word $1 long"


@dataclass
class Demo:
    """What demo.json says, and handles for what tests do most.

    Attributes:
        folder: the instance's folder.
        process: `mailstack demo`.
    """

    folder: Path
    process: processes.Process
    domain: str = "example.test"

    # -- demo.json ----------------------------------------------------------------------

    @property
    def state(self) -> dict[str, Any]:
        """demo.json as it is now."""
        found: dict[str, Any] = json.loads((self.folder / "demo.json").read_text())
        return found

    @property
    def host(self) -> str:
        """Where it listens."""
        return str(self.state["host"])

    @property
    def users(self) -> dict[str, str]:
        """Address to password."""
        return dict(self.state["users"])

    @property
    def config(self) -> Path:
        """The configuration file."""
        return Path(self.state["config"])

    def port(self, name: str) -> int:
        """mx, submission, submissions, lmtp, imap, imaps, pop3, pop3s."""
        return int(self.state["ports"][name])

    def pids(self, daemon: str) -> list[int]:
        """Main process first."""
        return list(self.state["pids"][daemon])

    def tls(self) -> ssl.SSLContext:
        """A client context that trusts only this instance."""
        return ssl.create_default_context(cafile=self.state["ca_file"])

    # -- the command line ---------------------------------------------------------------

    def cli(self, *arguments: str | Path, stdin: str = "", check: bool = True) -> str:
        """`mailstack --config ... ARGUMENTS`, within this process where it can be; gives stdout.

        A process of its own costs twenty times as much: Python's start.
        """
        words = [str(word) for word in ("--config", self.config, *arguments)]
        run = command if self._may_run_here() else _command_apart
        before = os.umask(0o077)
        try:
            done = run(*words, stdin=stdin.encode())
        finally:
            os.umask(before)
        assert not check or done.code == 0, f"{arguments}: {done.code}\n{done.out}{done.err}"
        return done.out

    def _may_run_here(self) -> bool:
        """Commands may run a loop of their own, and become the owner of the state; stdout is everybody's."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            is_owner = (self.folder / "state").stat().st_uid == os.geteuid()
            return is_owner and threading.current_thread() is threading.main_thread()
        return False

    def json(self, *arguments: str | Path) -> Any:
        """As `cli`, with --json."""
        return json.loads(self.cli("--json", *arguments))

    # -- clients ------------------------------------------------------------------------

    @contextlib.contextmanager
    def smtp(self, local_hostname: str = "client.outside.test") -> Iterator[smtplib.SMTP]:
        """A client on the MX port."""
        with smtplib.SMTP(self.host, self.port("mx"), local_hostname, timeout=60) as client:
            yield client

    @contextlib.contextmanager
    def submission(self, address: str) -> Iterator[smtplib.SMTP_SSL]:
        """A client on the TLS submission port, logged in."""
        with smtplib.SMTP_SSL(
            "localhost", self.port("submissions"), timeout=60, context=self.tls()
        ) as client:
            client.login(address, self.users[address])
            yield client

    @contextlib.contextmanager
    def imap(self, address: str) -> Iterator[imaplib.IMAP4_SSL]:
        """A client on the TLS IMAP port, logged in."""
        with imaplib.IMAP4_SSL("localhost", self.port("imaps"), timeout=60, ssl_context=self.tls()) as client:
            client.login(address, self.users[address])
            yield client

    # -- what arrived -------------------------------------------------------------------

    def maildir(self, address: str) -> Path:
        """An account's Maildir."""
        local, _, domain = address.partition("@")
        pattern = str(self.state["maildir_pattern"])
        return Path(pattern.format(address=address, local=local, domain=domain))

    def messages(self, address: str, folder: str = "") -> list[bytes]:
        """The message files of a folder, oldest first; `folder` as Maildir++ names it, such as ".Spam"."""
        home = self.maildir(address) / folder
        while True:
            found = [path for part in ("new", "cur") for path in (home / part).glob("*")]
            # A program that reads them moves them from new/ to cur/ and changes their names.
            with contextlib.suppress(FileNotFoundError):
                return [path.read_bytes() for path in sorted(found, key=lambda path: path.stat().st_mtime_ns)]

    def wait_for_message(
        self, address: str, text: bytes, folder: str = "", timeout_s: float = processes.WAIT_S
    ) -> bytes:
        """The first message of the folder that holds `text`."""
        return _wait_for(lambda: self.messages(address, folder), text, timeout_s)

    def outside(self) -> list[bytes]:
        """What went to other domains, oldest first; what is not whole yet has a dot before its name."""
        found = [path for path in (self.folder / "outside").rglob("[!.]*") if path.is_file()]
        return [path.read_bytes() for path in sorted(found, key=lambda path: path.stat().st_mtime_ns)]

    def wait_for_outside(self, text: bytes, timeout_s: float = processes.WAIT_S) -> bytes:
        """The first message outside that holds `text`."""
        return _wait_for(self.outside, text, timeout_s)

    def log(self) -> str:
        """What the daemons said so far."""
        return (self.folder / "mailstack.log").read_text(errors="replace")

    def logs(self, text: str) -> None:
        """Waits until a daemon has said this; fails when none does."""
        processes.eventually(lambda: text in self.log(), explain=lambda: self.log()[-3000:])

    def events(self, address: str, event: str, count: int = 1) -> list[dict[str, Any]]:
        """What `log show` has of this kind, once it is so many: they are written in batches."""

        def found() -> list[dict[str, Any]]:
            return [one for one in self.json("log", "show", address) if one["event"] == event]

        processes.eventually(lambda: len(found()) >= count, explain=lambda: self.log()[-3000:])
        return found()

    def explains(self, what: str, text: str) -> str:
        """What `log explain` says, once it says this too."""
        processes.eventually(
            lambda: text in self.cli("log", "explain", what, check=False),
            explain=lambda: self.cli("log", "explain", what, check=False),
        )
        return self.cli("log", "explain", what)


def _command_apart(*words: str, stdin: bytes = b"") -> Result:
    """`mailstack WORDS` as a process."""
    done = subprocess.run(
        [str(word) for word in processes.mailstack(*words)],
        input=stdin,
        capture_output=True,
        timeout=180,
        cwd=processes.ROOT,
        check=False,
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def _wait_for(messages: Callable[[], Sequence[bytes]], text: bytes, timeout_s: float) -> bytes:
    until = time.monotonic() + timeout_s
    while True:
        for message in messages():
            if text in message:
                return message
        assert time.monotonic() < until, f"no message with {text!r} within {timeout_s} s"
        time.sleep(0.05)


@contextlib.contextmanager
def running_demo(
    folder: Path,
    *options: str,
    port_base: int | None = None,
    environ: Mapping[str, str] | None = None,
    change: Callable[[str], str] | None = None,
) -> Iterator[Demo]:
    """A demo for the length of a block; `options` are more of its command line.

    Args:
        change: edits its configuration before the first start.
    """
    base = port_base or free_base(OFFSETS)
    if change is not None:
        edit_configuration(folder, base, options, change)
    command = processes.mailstack("demo", "--dir", folder, "--port-base", str(base), *options)
    with processes.started(command, environ=environ) as process:
        demo = Demo(folder, process)
        processes.eventually(
            lambda: (folder / "demo.json").exists() or not process.running,
            START_S,
            lambda: process.output + _tail(folder / "mailstack.log"),
        )
        assert process.running, process.output
        yield demo


def calm(text: str, smtp: str = "") -> str:
    """A configuration with limits, but none of them lower because the machine stood still for a moment.

    Args:
        smtp: more lines of [smtp].
    """
    return f"{text}\n[smtp]\nstress_lag_s = 3600\n{smtp}"


def edit_configuration(folder: Path, base: int, options: Sequence[str], change: Callable[[str], str]) -> None:
    """What a demo with these options would be configured with, edited; nothing is started."""
    words = iter(options)
    given: dict[str, Any] = {name[2:]: True if name == "--limits" else next(words) for name in words}
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = app_demo.Options(folder, base, **given)
    app_demo.configure(made, lambda text: None)
    made.config_file.write_text(change(made.config_file.read_text()))


def prepared_demo(folder: Path) -> Instance:
    """What a demo makes at its first start; nothing is started, and its ports are those of each start."""
    before = os.umask(0o077)
    try:
        edit_configuration(folder, 20_000, (), str)
        instance = Instance(folder)
        prepare(instance.config)
        populate(folder / "passwords.json", instance.config)
    finally:
        os.umask(before)
    return instance


def _tail(file: Path) -> str:
    return "\n".join(file.read_text(errors="replace").split("\n")[-40:]) if file.exists() else ""


def new_account(demo: Demo, request: pytest.FixtureRequest) -> str:
    """A fresh account, so that tests do not see each other's mail; its password is PASSWORD."""
    address = f"u{format(abs(hash(request.node.nodeid)), 'x')[:10]}@{demo.domain}"
    # In this process: most tests want one, and a command line of its own takes ten times as long.
    with Instance(demo.folder).writer() as writer:
        writer.accounts.add(address, password=PASSWORD)
    return address


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One demo for all tests of the session; leave its accounts as they are, or make your own."""
    with running_demo(tmp_path_factory.mktemp("demo")) as running:
        yield running
