"""The smtp daemon: listeners, TLS, limits and the acceptor, wired together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
from collections.abc import AsyncIterator
from functools import partial

from mailstack.app.daemon import Context
from mailstack.model.reply import Reply
from mailstack.net.listener import Admission, ConnectionCaps, Listener, Peer, Watcher
from mailstack.net.smtp_body import has_room, sweep
from mailstack.net.smtp_server import Shared, SmtpServer
from mailstack.net.tls import TlsContexts
from mailstack.smtp.options import SmtpOptions, cap
from mailstack.smtp.replies import wire
from mailstack.state.maillog import MailLog

#: How often the loop is asked whether it is late, and the disk whether it is full, in seconds.
PROBE_S = 1.0

_log = logging.getLogger(__name__)


async def serve(context: Context) -> None:
    """Serves SMTP until `context.stop`."""
    from mailstack.app import accept

    acceptor = accept.build(context)
    try:
        await asyncio.to_thread(sweep, context.paths.spool, now=context.now())
        state = _State(context)
        shared = Shared(
            options=context.config.smtp,
            hostname=context.config.hostname,
            acceptor=acceptor,
            maillog=context.maillog,
            tls=TlsContexts(context.config.tls, alarm=_log.error),
            spool=context.paths.spool,
            has_room=lambda: state.has_room,
            is_stressed=lambda: state.is_stressed,
            verifier=acceptor.verifier if context.config.auth.scram else None,
        )
        async with state.probing():
            await _serve(context, shared, state)
    finally:
        await acceptor.close()


async def _serve(context: Context, shared: Shared, state: _State) -> None:
    servers, listeners = _listeners(context, shared)
    state.admissions = [listener.admission for listener in listeners]
    for listener in listeners:
        listener.start()
    context.ready()
    await context.stop.wait()
    for listener in listeners:
        listener.stop()
    for server in servers:
        server.stop()
    grace_s = context.config.server.stop_grace_s
    cut = sum(await asyncio.gather(*(listener.finish(grace_s) for listener in listeners)))
    if cut:
        _log.warning("%d sessions were cut at the end of the grace time", cut)


def _listeners(context: Context, shared: Shared) -> tuple[list[SmtpServer], list[Listener]]:
    contexts, options = shared.tls, context.config.smtp
    assert contexts is not None
    admissions = {
        "mx": Admission(mx_caps(options, descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[0])),
        "submission": Admission(submission_caps(options)),
    }
    admissions["submissions"] = admissions["submission"]
    servers, listeners = [], []
    for name in ("mx", "submission", "submissions"):
        sockets = context.sockets.get(name, [])
        implicit = name == "submissions"
        if implicit and sockets and not contexts.is_available:
            _log.error("no certificate is configured: nobody can connect to the submissions port")
            continue
        server = SmtpServer(name, shared)
        servers.append(server)
        watcher = LogWatcher(context.maillog)
        listeners += [
            Listener(
                sock,
                server.connection,
                name=name,
                admission=admissions[name],
                tls=contexts.chooser("submission") if implicit else None,
                watcher=watcher,
                handshake_s=options.tls_handshake_s,
            )
            for sock in sockets
        ]
    return servers, listeners


def mx_caps(options: SmtpOptions, *, descriptors: int) -> ConnectionCaps:
    """Caps of port 25; at most a quarter of the file descriptors (limits, section 1)."""
    total = cap(options.mx_sessions)
    return ConnectionCaps(
        total=max(8, descriptors // 4) if total is None else min(total, max(8, descriptors // 4)),
        per_ip=cap(options.mx_sessions_per_ip),
        per_network=cap(options.mx_sessions_per_network),
        per_wide_network=cap(options.mx_sessions_per_wide_network),
        per_minute=cap(options.mx_connections_per_minute),
        burst=options.mx_connection_burst,
    )


def submission_caps(options: SmtpOptions) -> ConnectionCaps:
    """Caps of 465 and 587 together."""
    return ConnectionCaps(
        total=cap(options.submission_sessions), per_ip=cap(options.submission_sessions_per_ip)
    )


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
        self.is_stressed = is_stressed

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


class LogWatcher(Watcher):
    """Connections that never became a session, in the mail log."""

    def __init__(self, maillog: MailLog) -> None:
        self._maillog = maillog

    def refused(self, peer: Peer, why: str) -> bytes:
        """S42: 421 4.7.0."""
        reply = Reply(421, "7.0", f"{why[:1].upper()}{why[1:]}, try again later")
        self._maillog.refused(
            "", peer=peer.ip, at="connect", check="connections", code=reply.code, status="4.7.0", why=why
        )
        return wire(reply)

    def handshake_failed(self, peer: Peer, why: str) -> None:
        """L5."""
        self._maillog.write("tls_failed", peer=peer.ip, listener=peer.listener, why=why)

    def exhausted(self, listener: str, why: str) -> None:
        """No more descriptors."""
        _log.error("listener %s: %s; accepting pauses", listener, why)

    def crashed(self, peer: Peer, error: BaseException) -> None:
        """A mistake of ours."""
        _log.error("session with %s", peer.ip, exc_info=error)
