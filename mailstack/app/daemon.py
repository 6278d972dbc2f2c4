"""One daemon: what a worker is given, and how a worker lives and ends.

`run(role, config)` is what `mailstack run ROLE` calls.  Its main process (no threads, no
loop: `app/workers.py`) takes or binds the listening sockets and forks the workers; each
worker runs the daemon module's `serve(context)` on a uvloop.  An exception that leaves
`serve` is logged here, once per daemon, and never shown to a peer; the worker is
started again.

    main process ── fork ──► worker 0 … N-1     one Unix socket pair each:
         │                        │             up: ready, ping, children, fatal
         └── end of file ─────────┘             down: nothing; its end means we are orphans
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import importlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from mailstack.app import logs, memory, privileges, selftest, workers
from mailstack.app.workers import Workers, hold_lock
from mailstack.model.errors import ConfigError, TemporaryFailure
from mailstack.net import sockets as listening
from mailstack.net import systemd
from mailstack.net.bus import Bus
from mailstack.net.systemd import under_journal
from mailstack.state.maillog import MailLog

if TYPE_CHECKING:
    from mailstack.app.config import Config
    from mailstack.app.paths import Paths

#: Which sockets of `[listen]` belong to which daemon.
LISTENERS: dict[str, tuple[str, ...]] = {
    "smtp": ("mx", "submission", "submissions", "submission_legacy", "submissions_legacy", "lmtp"),
    "filter": ("filter",),
    "queue": (),
    "imap": ("imap", "imaps", "pop3", "pop3s", "sieve"),
}
ROLES = tuple(LISTENERS)
_MODULES = {
    "smtp": "mailstack.app.smtpd",
    "filter": "mailstack.app.filterd",
    "queue": "mailstack.app.queued",
    "imap": "mailstack.app.imapd",
}

PING_S = 5.0
#: A worker whose main process was killed has no promise to keep: the next one waits for it.
ORPHAN_GRACE_S = 0.5
#: After its grace, a worker that was cancelled may take so long to clean up.
CANCEL_GRACE_S = 1.0

_log = logging.getLogger(__name__)


@dataclass
class Context:
    """What a worker is given.

    Attributes:
        role: smtp, filter, queue or imap.
        worker: number of this worker, from 0.
        workers: how many there are.
        sockets: listening sockets, not blocking, shared with the other workers, by their
            names in `LISTENERS`.
        now: Unix seconds.
        random_bytes: that many octets nobody can guess.
        stop: set on SIGTERM: stop accepting, finish what is in flight within
            `config.server.stop_grace_s`, return from `serve`.
        tell: to the main process; nobody listens in tests.
        halt: sets `stop` from any thread.
        failed: why this worker gave up; "" while it did not.
    """

    config: Config
    paths: Paths
    role: str
    worker: int
    workers: int
    sockets: dict[str, list[socket.socket]]
    now: Callable[[], float]
    random_bytes: Callable[[int], bytes]
    stop: asyncio.Event
    maillog: MailLog
    bus: Bus
    tell: Callable[[str], None] = field(default=lambda text: None, repr=False)
    halt: Callable[[], None] | None = field(default=None, repr=False)
    failed: str = ""

    def ready(self) -> None:
        """We accept now.  The daemon is ready once all its workers are."""
        self.tell("ready")

    def report_children(self, pids: list[int]) -> None:
        """Tells which processes this worker runs itself, for demo.json."""
        self.tell("children " + ",".join(map(str, pids)))

    def fatal(self, why: str) -> None:
        """Promise P8: stop accepting, and the whole daemon exits for a restart.

        Callable from any thread; returns at once.
        """
        if self.failed:
            return
        self.failed = why
        _log.critical("stopping for a restart: %s", why)
        self.tell("fatal")
        (self.halt or self.stop.set)()


Serve = Callable[[Context], Awaitable[None]]


def run(
    role: str,
    config: Config,
    *,
    serve: Serve | None = None,
    reload: Callable[[], Config] | None = None,
) -> int:
    """Runs one daemon until SIGTERM; gives its exit status.

    Args:
        serve: the worker's work; by default that of the role's module.
        reload: reads the configuration again, for SIGHUP; may raise ConfigError.

    Raises:
        ConfigError: sockets cannot be had, or we would run as root.
        TemporaryFailure: this daemon runs already.
    """
    os.umask(0o077)
    logs.set_up(role)
    faulthandler.enable()
    privileges.limit_resources()
    memory.be_lean(in_passing=role == "smtp")
    sockets = _sockets(role, config)
    privileges.drop(config.paths.state)
    lock = hold_lock(config.paths.run / f"{role}.lock")
    if role == "filter" and not sockets.get("filter"):
        sockets["filter"] = [listening.listen_unix(config.paths.filter_socket)]
    selftest.run()
    work = _Work(role, config, sockets, serve or load_serve(role), reload)
    gc.freeze()  # what is loaded by now stays shared between the workers
    main = Workers(
        role,
        count=_worker_count(role, config),
        work=work,
        lock=lock,
        grace_s=config.server.stop_grace_s + CANCEL_GRACE_S,
    )
    return main.run()


def _worker_count(role: str, config: Config) -> int:
    match role:
        case "filter":
            return 1  # it does its own spreading
        case "queue":
            return config.queue.processes
        case _:
            return config.server.workers or os.cpu_count() or 1


def load_serve(role: str) -> Serve:
    """The `serve` of the daemon's module."""
    serve: Serve = importlib.import_module(_MODULES[role]).serve
    return serve


def _sockets(role: str, config: Config) -> dict[str, list[socket.socket]]:
    """Those we were started with; bound by ourselves where there are none."""
    wanted = LISTENERS[role]
    inherited = systemd.inherited_sockets()
    for name in inherited.keys() - set(wanted):
        _log.warning("the socket %r is not one of ours (%s) and is closed", name, ", ".join(wanted))
        for one in inherited.pop(name):
            one.close()
    return inherited or bind(role, config)


def bind(role: str, config: Config) -> dict[str, list[socket.socket]]:
    """Binds what `[listen]` says for this daemon; the filter's Unix socket is not among them.

    Raises:
        ConfigError: an address is taken or not ours.
    """
    from mailstack.app.options import parse_endpoint, unix_path

    found: dict[str, list[socket.socket]] = {}
    try:
        for name in LISTENERS[role]:
            if name == "filter":
                continue
            texts: tuple[str, ...] = getattr(config.listen, name)
            paths = [path for text in texts if name == "lmtp" and (path := unix_path(text))]
            endpoints = [parse_endpoint(text) for text in texts if not text.startswith("unix:")]
            found[name] = listening.listen_tcp(f"listen.{name}", endpoints)
            found[name] += [_listen_lmtp(Path(path), config) for path in paths]
    except ConfigError:
        close(found)
        raise
    return found


def _listen_lmtp(path: Path, config: Config) -> socket.socket:
    owner = privileges.owner_of(config.paths.state)
    return listening.listen_unix(path, mode=config.lmtp.mode, key="listen.lmtp", owner=owner)


def close(sockets: dict[str, list[socket.socket]]) -> None:
    """Closes what `bind` gave."""
    for one in (one for many in sockets.values() for one in many):
        one.close()


@dataclass
class _Work:
    """What the forked process does; the main process only carries it."""

    role: str
    config: Config
    sockets: dict[str, list[socket.socket]]
    serve: Serve
    reload: Callable[[], Config] | None

    def read_again(self) -> bool:
        """Takes a changed configuration; False, and the old one stays, when it is broken."""
        if self.reload is None:
            return False
        before = self.config.listen
        try:
            self.config = self.reload()
        except ConfigError as error:
            _log.error("the configuration is not read again, the old one stays: %s", error)
            return False
        if self.config.listen != before:
            _log.warning("what was changed in [listen] counts only after a restart")
        return True

    def __call__(self, number: int, count: int, channel: socket.socket) -> int:
        """The whole life of worker `number`; gives its exit status."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        # Not closed: threads that still wait for a disk must not hold up the exit.
        return runner.run(self._live(number, count, channel))

    async def _live(self, number: int, count: int, channel: socket.socket) -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_log_exception)
        stop = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_reader(channel.fileno(), _orphaned, loop, stop)
        context = self._context(number, count, channel, stop)
        pings = loop.create_task(_ping(context))
        try:
            status = await self._serve(context)
        finally:
            pings.cancel()
            context.bus.close()
            context.maillog.close()
        return os.EX_SOFTWARE if context.failed else status

    def _context(self, number: int, count: int, channel: socket.socket, stop: asyncio.Event) -> Context:
        paths, loop = self.config.paths, asyncio.get_running_loop()
        stamped = not under_journal()
        return Context(
            config=self.config,
            paths=paths,
            role=self.role,
            worker=number,
            workers=count,
            sockets=self.sockets,
            now=time.time,
            random_bytes=os.urandom,
            stop=stop,
            maillog=MailLog(paths.maillog_db, daemon=self.role, now=time.time, stamped=stamped),
            bus=Bus(paths.run, self.role),
            tell=lambda text: _tell(channel, text),
            halt=lambda: _halt(loop, stop),
        )

    async def _serve(self, context: Context) -> int:
        """The one place where a daemon's exceptions end."""
        serving = asyncio.ensure_future(self.serve(context))
        stopping = asyncio.ensure_future(context.stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not serving.done():
            await asyncio.wait({serving}, timeout=self.config.server.stop_grace_s)
        if not serving.done():
            _log.warning("worker %d did not finish in time and is cut off", context.worker)
            serving.cancel()
            await asyncio.wait({serving}, timeout=CANCEL_GRACE_S)
            return os.EX_OK
        try:
            await serving
        except ConfigError as error:
            _log.error("%s", error)
            return os.EX_CONFIG
        except TemporaryFailure as error:
            _log.error("%s", error.why)
            return os.EX_TEMPFAIL
        except Exception:
            _log.exception("worker %d fails", context.worker)
            return os.EX_SOFTWARE
        if not context.stop.is_set():
            _log.error("worker %d ended although nobody asked it to", context.worker)
            return os.EX_SOFTWARE
        return os.EX_OK


def _halt(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: we are gone anyway
        loop.call_soon_threadsafe(stop.set)


async def _ping(context: Context) -> None:
    """Shows the main process, and our own alarm, that our loop still turns."""
    while True:
        faulthandler.dump_traceback_later(workers.SILENT_S, exit=True)
        context.tell("ping")
        await asyncio.sleep(PING_S)


def _tell(channel: socket.socket, text: str) -> None:
    with contextlib.suppress(OSError):
        channel.send(text.encode())


def _orphaned(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """The main process was killed: the next one binds nothing new, so we only have to go."""
    if stop.is_set():
        return
    stop.set()
    loop.call_later(ORPHAN_GRACE_S, os._exit, os.EX_SOFTWARE)


def _log_exception(loop: asyncio.AbstractEventLoop, event: dict[str, Any]) -> None:
    """What tasks nobody waits for, callbacks and protocols let escape."""
    error = event.get("exception")
    _log.error("%s", event.get("message", "unhandled"), exc_info=error)
    sys.stderr.flush()
