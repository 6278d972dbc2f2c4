"""`mailstack up`: all daemons under one small process, as systemd would run them.

It binds every socket once and keeps it, so a client that comes while a daemon is started
again waits for a moment instead of being refused.  A daemon is started with LISTEN_FDS,
a NOTIFY_SOCKET of its own, and a pipe whose end of file tells it that the supervisor is
gone, however it went.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mailstack.app import logs, privileges
from mailstack.app.daemon import ROLES, bind, close
from mailstack.app.keeper import Child, Keeper
from mailstack.app.workers import LIFELINE, hold_lock, is_held
from mailstack.disk.durable import guarded
from mailstack.model.errors import ConfigError
from mailstack.net import sockets as listening
from mailstack.net import systemd

if TYPE_CHECKING:
    from mailstack.app.config import Config

#: A killed supervisor's daemons let go of the ports within this time.
BIND_WAIT_S = 5.0
#: Beyond the daemons' own grace, so that they end themselves first.
EXTRA_GRACE_S = 1.5
#: After this time it is said which daemon is not ready yet.
PATIENCE_S = 15.0
#: smtp and imap finish first; they need the filter until the last message is in.
_STOP_PHASE = {"smtp": 0, "imap": 0, "filter": 1, "queue": 1}
#: Variables that are about us and not about our children.
_OURS = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")

_log = logging.getLogger(__name__)

Pids = dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class Helper:
    """A further process to keep, such as the demo's outside server.

    Attributes:
        name: for the log.
        command: the program and its arguments.
        sockets: listening sockets it is started with, by name.
    """

    name: str
    command: tuple[str, ...]
    sockets: Mapping[str, Sequence[socket.socket]] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class _Daemon(Child):
    ears: socket.socket | None = None
    ready: bool = False
    workers: list[int] = field(default_factory=list)


class Supervisor(Keeper):
    """Keeps the four daemons, and helpers, alive."""

    def __init__(
        self,
        run_dir: Path,
        *,
        command: Callable[[str], Sequence[str]],
        sockets: Mapping[str, Mapping[str, Sequence[socket.socket]]],
        grace_s: float,
        changed: Callable[[Pids], None] = lambda pids: None,
        helpers: Sequence[Helper] = (),
        log_file: Path | None = None,
    ) -> None:
        """Prepares; `run()` starts.

        Args:
            run_dir: where the notify sockets go.
            command: the command line of a daemon.
            sockets: for each role its listening sockets by name.
            grace_s: from SIGTERM to the end of everything.
            changed: called with the processes of every daemon, main process first, once all
                are ready and whenever they change.
            log_file: where the children's stderr goes; None: where ours goes.
        """
        super().__init__(grace_s=grace_s)
        self._run_dir = run_dir
        self._changed = changed
        self._log_file = log_file
        self._told: Pids | None = None
        self._impatient_at = time.monotonic() + PATIENCE_S
        self._lifeline, self._lifeline_end = os.pipe()
        for role, own in sockets.items():
            self._add(role, tuple(command(role)), own)
        for helper in helpers:
            self._add_helper(helper)

    def _add(self, role: str, command: tuple[str, ...], own: Mapping[str, Sequence[socket.socket]]) -> None:
        path = self._run_dir / f"notify-{role}.sock"
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        ears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        ears.setblocking(False)
        ears.bind(str(path))
        environ = {"NOTIFY_SOCKET": str(path)}
        daemon = _Daemon(
            role, lambda: self._spawn(command, environ, own), stop_phase=_STOP_PHASE.get(role, 1), ears=ears
        )
        self.children.append(daemon)
        self.watch(ears, lambda: self._hear(daemon))

    def _add_helper(self, helper: Helper) -> None:
        self.children.append(
            Child(helper.name, lambda: self._spawn(helper.command, {}, helper.sockets), stop_phase=1)
        )

    # -- starting -----------------------------------------------------------------------

    def _spawn(
        self, command: tuple[str, ...], more: dict[str, str], own: Mapping[str, Sequence[socket.socket]]
    ) -> int:
        variables, fds = systemd.listen_environment(own)
        environ = {key: value for key, value in os.environ.items() if key not in _OURS}
        environ |= more | variables | {LIFELINE: str(systemd.FIRST_FD + len(fds))}
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._become(command, environ, [*fds, self._lifeline])
        return pid

    def _become(self, command: tuple[str, ...], environ: dict[str, str], fds: list[int]) -> None:
        """In the child: the other program, or death; never returns."""
        try:
            self.forget()
            # Ctrl-C at the terminal is for the supervisor, who stops the others in order.
            os.setpgid(0, 0)
            _redirect(self._log_file)
            _place(fds)
            environ["LISTEN_PID"] = str(os.getpid())
            os.execve(command[0], command, environ)  # noqa: S606 - the command is ours
        except OSError as error:
            print(f"{command[0]}: {error}", file=sys.stderr)  # noqa: T201
        finally:
            os._exit(os.EX_OSERR)

    # -- listening ----------------------------------------------------------------------

    def _hear(self, daemon: _Daemon) -> None:
        assert daemon.ears is not None
        while True:
            try:
                state = systemd.parse_state(daemon.ears.recv(8192))
            except OSError:
                return
            if "X_MAILSTACK_WORKERS" in state:
                pids = state["X_MAILSTACK_WORKERS"].split(",")
                daemon.workers = [int(pid) for pid in pids if pid.isdecimal()]
            daemon.ready = daemon.ready or state.get("READY") == "1"

    def on_exit(self, child: Child, status: int) -> None:
        """What the dead said last is not about the next one."""
        if isinstance(child, _Daemon):
            self._hear(child)
            child.ready, child.workers = False, []

    def on_hangup(self) -> None:
        """SIGHUP is for the daemons: they read the configuration again."""
        for child in self.children:
            if isinstance(child, _Daemon) and child.pid:
                os.kill(child.pid, signal.SIGHUP)

    def tick(self, now: float) -> float:
        """Tells about changes, and who keeps everybody waiting."""
        if self.stopping:
            return now + PATIENCE_S
        daemons = [child for child in self.children if isinstance(child, _Daemon)]
        late = [daemon.name for daemon in daemons if not daemon.ready]
        if self._told is None and late:
            return self._wait_for(late, now)
        pids = {daemon.name: [daemon.pid, *daemon.workers] for daemon in daemons}
        if pids != self._told and all(daemon.pid for daemon in daemons):
            if self._told is None:
                systemd.notify("READY=1")
            self._told = pids
            self._changed(pids)
        return now + PATIENCE_S

    def _wait_for(self, late: list[str], now: float) -> float:
        if now >= self._impatient_at:
            where = f"; see {self._log_file}" if self._log_file else ""
            _log.warning("not ready yet: %s%s", ", ".join(late), where)
            self._impatient_at = now + 4 * PATIENCE_S
        return self._impatient_at


def _redirect(log_file: Path | None) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    if log_file is not None:
        log = os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)


def _place(fds: Sequence[int]) -> None:
    """Moves descriptors to 3, 4, ... where the next program expects them."""
    first = systemd.FIRST_FD
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, first + len(fds)) for fd in fds]
    for target, fd in enumerate(moved, first):
        os.dup2(fd, target)


def bind_all(config: Config) -> dict[str, dict[str, list[socket.socket]]]:
    """The sockets of `[listen]` for every daemon; waits for a killed predecessor to let go.

    Raises:
        ConfigError: an address stays taken, or is not ours.
    """
    until = time.monotonic() + BIND_WAIT_S
    while True:
        found: dict[str, dict[str, list[socket.socket]]] = {}
        try:
            for role in ROLES:
                found[role] = bind(role, config)
            return found
        except ConfigError as error:
            cause = error.__cause__
            taken = isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE
            ours = any(is_held(config.paths.run / f"{role}.lock") for role in ROLES)
            if not (taken and ours) or time.monotonic() > until:
                raise
            for own in found.values():
                close(own)
            time.sleep(0.1)


def daemon_command(role: str, config_file: Path | None) -> list[str]:
    """`mailstack run ROLE`, by this Python."""
    options = ["--config", str(config_file)] if config_file else []
    return [sys.executable, "-m", "mailstack.cli.main", *options, "run", role]


def supervise(
    config: Config,
    config_file: Path | None,
    sockets: Mapping[str, dict[str, list[socket.socket]]],
    *,
    changed: Callable[[Pids], None] = lambda pids: None,
    helpers: Sequence[Helper] = (),
    log_file: Path | None = None,
) -> int:
    """Runs the daemons until SIGTERM or Ctrl-C; gives the exit status.

    The caller has bound the sockets, given up root and migrated the databases.
    """
    sockets["filter"]["filter"] = [listening.listen_unix(config.paths.filter_socket)]
    return Supervisor(
        config.paths.run,
        command=lambda role: daemon_command(role, config_file),
        sockets=sockets,
        grace_s=config.server.stop_grace_s + EXTRA_GRACE_S,
        changed=changed,
        helpers=helpers,
        log_file=log_file,
    ).run()


def up(config: Config, config_file: Path | None) -> int:
    """`mailstack up`: the instance made or upgraded, and all daemons, until SIGTERM or Ctrl-C.

    Raises:
        ConfigError: an address is taken, or we would run as root.
        TemporaryFailure: the databases cannot be migrated, or this instance runs already.
    """
    from mailstack.app.instance import prepare

    os.umask(0o077)
    logs.set_up("up")
    privileges.limit_resources()
    sockets = bind_all(config)
    with guarded(f"making {config.paths.state}"):
        privileges.make_state(config.paths.state)
    privileges.drop(config.paths.state)
    for done in prepare(config):
        _log.info("%s", done)
    hold_lock(config.paths.run / "up.lock", wait_s=0.5)
    return supervise(config, config_file, sockets)
