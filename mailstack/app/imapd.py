"""The imap daemon: listeners, accounts, mailboxes and the bus, wired together.

Passwords are checked in threads of their own, as many as there are cores, so that a
burst of logins costs bounded memory and never the loop (limits, section 7).
"""

from __future__ import annotations

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from mailstack.app.daemon import Context
from mailstack.app.gate import Gate
from mailstack.app.notices import QuotaNotices
from mailstack.directory import Directory
from mailstack.imap.requests import LoginRefused
from mailstack.mailbox import MailStore
from mailstack.model.directory import Account
from mailstack.model.envelope import Client
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import AccountStore
from mailstack.net.imap_hub import ImapHub, ImapServices
from mailstack.net.imap_server import ImapConnection, sweep
from mailstack.net.listener import Admission, Connection, ConnectionCaps, Listener, Peer, Watcher
from mailstack.net.tls import TlsContexts
from mailstack.sasl.delays import FailureDelays

#: Threads for mailboxes; most of them wait for the disk.
STORE_THREADS = 16

_log = logging.getLogger(__name__)


async def serve(context: Context) -> None:
    """Serves IMAP until `context.stop`."""
    config = context.config
    directory = Directory(context.paths, options=config.auth)
    store = MailStore(
        context.paths.mail,
        now=context.now,
        random_bytes=context.random_bytes,
        options=config.mailbox,
        trouble=partial(_trouble, context),
        index=True,
        notices=QuotaNotices(config.hostname, context.bus),
    )
    threads = ThreadPoolExecutor(STORE_THREADS, thread_name_prefix="imap-store")
    gate = Gate(context, directory)
    try:
        hub = ImapHub(
            ImapServices(
                host=config.hostname,
                authenticate=partial(gate.authenticate, "imap"),
                open_store=partial(_open, store),
                executor=threads,
                spool=context.paths.spool,
                publish=partial(_publish, context),
                fatal=context.fatal,
                stamp=partial(_stamp, directory),
                options=config.imap,
            )
        )
        await _serve(context, hub)
    finally:
        gate.close()
        threads.shutdown(wait=True, cancel_futures=True)
        store.close()
        directory.close()


async def _serve(context: Context, hub: ImapHub) -> None:
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(hub.services.executor, sweep, context.paths.spool)
    listeners = _listeners(context, hub)
    context.bus.listen(loop, hub.heard)
    hub.start()
    for listener in listeners:
        listener.start()
    context.ready()
    await context.stop.wait()
    for listener in listeners:
        listener.stop()
    hub.end_all("The server is shutting down")
    await asyncio.gather(*(listener.finish(context.config.server.stop_grace_s) for listener in listeners))
    await hub.stop()


def _listeners(context: Context, hub: ImapHub) -> list[Listener]:
    contexts = TlsContexts(context.config.tls, alarm=_log.error)
    chooser = contexts.chooser("access") if contexts.is_available else None
    admission = Admission(ConnectionCaps(total=context.config.imap.max_connections))

    def plain(peer: Peer) -> Connection:
        return ImapConnection(hub, peer, start_tls=chooser)

    def encrypted(peer: Peer) -> Connection:
        return ImapConnection(hub, peer)

    watcher = _Watcher()
    listeners = [
        Listener(sock, plain, name="imap", admission=admission, watcher=watcher)
        for sock in context.sockets.get("imap", [])
    ]
    if chooser is None and context.sockets.get("imaps"):
        _log.error("no certificate is configured: nobody can connect to the imaps port")
        return listeners
    return listeners + [
        Listener(sock, encrypted, name="imaps", admission=admission, tls=chooser, watcher=watcher)
        for sock in context.sockets.get("imaps", [])
    ]


class _Watcher(Watcher):
    """What happens around connections, in the process log."""

    def refused(self, peer: Peer, why: str) -> bytes:
        _log.warning("%s: refused: %s", peer.ip, why)
        return b"* BYE [UNAVAILABLE] Too many connections\r\n"

    def handshake_failed(self, peer: Peer, why: str) -> None:
        _log.info("%s: %s", peer.ip, why)

    def exhausted(self, listener: str, why: str) -> None:
        _log.error("listener %s: %s", listener, why)

    def crashed(self, peer: Peer, error: BaseException) -> None:
        _log.error("%s: the session broke", peer.ip, exc_info=error)


def _open(store: MailStore, account: Account) -> AccountStore:
    return store.of(account)


def _trouble(context: Context, failure: TemporaryFailure) -> None:
    _log.error("mailbox: %s", failure.why)
    if failure.fatal:
        context.fatal(failure.why)


def _publish(context: Context, account: str, folder: str) -> None:
    context.bus.publish("imap", {"event": "mailbox", "account": account, "folder": folder})


def _stamp(directory: Directory, account: Account) -> str | None:
    try:
        found = directory.account_by_id(account.id)
        if found is None or not found.enabled:
            return ""
        # Keyed per process, so that it is worth nothing elsewhere.
        return f"{hash(directory.credential(account.id)):x}"
    except TemporaryFailure as failure:
        _log.warning("looking at %s: %s", account.address, failure.why)
        return None
