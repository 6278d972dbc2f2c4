"""The smtp daemon: ports, TLS, limits and the acceptor, wired together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from functools import partial

from mailstack.app import accept
from mailstack.app.accept import AcceptService
from mailstack.app.daemon import Context
from mailstack.app.logouts import review
from mailstack.app.ports import open_ports
from mailstack.model.network import Networks
from mailstack.net.listener import Admission
from mailstack.net.smtp_body import has_room, sweep
from mailstack.net.smtp_server import SmtpServer
from mailstack.net.smtp_shared import Shared
from mailstack.net.tls import TlsContexts
from mailstack.smtp.options import cap

#: How often the loop is asked whether it is late, and the disk whether it is full, in seconds.
PROBE_S = 1.0

_log = logging.getLogger(__name__)


async def serve(context: Context) -> None:
    """Serves SMTP until `context.stop`."""
    acceptor = accept.build(context)
    try:
        await asyncio.to_thread(sweep, context.paths.spool, now=context.now())
        state = _State(context)
        shared = Shared(
            options=context.config.smtp,
            hostname=context.config.hostname,
            acceptor=acceptor,
            maillog=context.maillog,
            tls=TlsContexts(context.config.tls, alarm=_log.error, kinds=("mx", "submission", "legacy")),
            spool=context.paths.spool,
            has_room=lambda: state.has_room,
            is_stressed=lambda: state.is_stressed,
            verifier=acceptor.verifier if context.config.auth.scram else None,
            relays=Networks(context.config.mx.trusted_relays),
        )
        async with state.probing():
            await _serve(context, shared, state, acceptor)
    finally:
        await acceptor.close()


async def _serve(context: Context, shared: Shared, state: _State, acceptor: AcceptService) -> None:
    ports = open_ports(context, shared)
    reviewing = asyncio.create_task(
        review(ports.servers, version=acceptor.directory_version, is_current=acceptor.is_current)
    )
    reviewing.add_done_callback(partial(_ended, context))
    listeners = ports.listeners
    state.admissions = [listener.admission for listener in listeners]
    state.servers = ports.servers
    for listener in listeners:
        listener.start()
    context.ready()
    await context.stop.wait()
    reviewing.cancel()
    for listener in listeners:
        listener.stop()
    for server in ports.servers:
        server.stop()
    grace_s = context.config.server.stop_grace_s
    cut = sum(await asyncio.gather(*(listener.finish(grace_s) for listener in listeners)))
    if cut:
        _log.warning("%d sessions were cut at the end of the grace time", cut)


def _ended(context: Context, task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        # Without it sessions of suspended accounts would go on: rather start again.
        _log.error("the look at accounts broke", exc_info=error)
        context.fatal("the look at accounts broke")


class _State:
    """What is looked at once a second: late loop, full disk, used slots."""

    def __init__(self, context: Context) -> None:
        options = context.config.smtp
        self._options = options
        self._most_used = cap(options.stress_percent)
        self._ask_disk = partial(
            has_room,
            context.paths.spool,
            needed_octets=max(options.message_octets * 3 // 2, options.free_octets),
            percent=options.free_percent,
            inodes=options.free_inodes,
        )
        self.admissions: list[Admission] = []
        self.servers: list[SmtpServer] = []
        self.has_room = True
        self.is_stressed = False

    def look(self, lag_s: float) -> None:
        """Waits must be short when few slots are left, or the loop came `lag_s` too late."""
        if self._most_used is None:
            return
        most = self._most_used / 100
        is_late = lag_s > self._options.stress_lag_s
        is_stressed = is_late or any(one.share_used() > most for one in self.admissions)
        if is_stressed != self.is_stressed:
            _log.warning("stress %s", "begins: waits are short" if is_stressed else "is over")
        has_begun, self.is_stressed = is_stressed and not self.is_stressed, is_stressed
        if has_begun:
            for server in self.servers:
                server.hurry()

    @contextlib.asynccontextmanager
    async def probing(self) -> AsyncIterator[None]:
        """Looks until the block is left."""
        task = asyncio.get_running_loop().create_task(self._probe())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _probe(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self.has_room = await asyncio.to_thread(self._ask_disk)
            before = loop.time()
            await asyncio.sleep(PROBE_S)
            self.look(loop.time() - before - PROBE_S)
