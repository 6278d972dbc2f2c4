"""The imap daemon: IMAP, POP3 and ManageSieve listeners, accounts, mailboxes, bus, wired together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mailstack.app.beside import go_on
from mailstack.app.daemon import Context
from mailstack.app.event_scripts import compiled
from mailstack.app.gate import Gate
from mailstack.app.imap_feedback import ImapFeedback
from mailstack.app.indexer import Indexer
from mailstack.app.letters import languages
from mailstack.app.neighbours import AccountNeighbours
from mailstack.app.notices import QuotaNotices
from mailstack.app.resting import rest
from mailstack.app.scripts import make_hub
from mailstack.app.stored_events import StoredEvents
from mailstack.directory import Directory
from mailstack.disk.durable import guarded
from mailstack.mailbox import MailStore
from mailstack.mailbox.sharing import Mailboxes
from mailstack.model.directory import Account
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import AccountStore
from mailstack.net.imap_hub import ImapHub, ImapServices
from mailstack.net.imap_server import ImapConnection, sweep
from mailstack.net.listener import Admission, ConnectionCaps, Listener, Peer, Watcher
from mailstack.net.login_slots import LoginSlots
from mailstack.net.managesieve_server import ManageSieveConnection, ManageSieveHub
from mailstack.net.pop3_server import Pop3Connection, Pop3Hub
from mailstack.net.proxy_wire import Proxies
from mailstack.net.session_hub import AtWork, SessionHub, SessionServices, account_key
from mailstack.net.tls import TlsContexts
from mailstack.state.shares import Shares

#: Threads for mailboxes; most of them wait for the disk.
STORE_THREADS = 16
_IMAP_FULL = b"* BYE [UNAVAILABLE] Too many connections\r\n"
_POP3_FULL = b"-ERR [SYS/TEMP] Too many connections\r\n"
_SIEVE_FULL = b'BYE (TRYLATER) "Too many connections"\r\n'

#: Descriptors that are neither connections nor mailboxes; mailboxes may have half of all.
_OTHER_FILES = 24
#: Without a limit.
MAX_FILES = 1_000_000
#: Connections refused are counted, and said so often at most.
_SAY_S = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Hubs:
    """One for each protocol."""

    imap: ImapHub
    pop3: Pop3Hub
    sieve: ManageSieveHub

    @property
    def all(self) -> tuple[SessionHub[Any], ...]:
        """Every one of them."""
        return self.imap, self.pop3, self.sieve


async def serve(context: Context) -> None:
    """Serves IMAP, POP3 and ManageSieve until `context.stop`."""
    config = context.config
    directory = Directory(context.paths, options=config.auth)
    store = MailStore(
        context.paths.mail,
        now=context.now,
        random_bytes=context.random_bytes,
        options=config.mailbox,
        trouble=partial(_trouble, context),
        index=True,
        notices=QuotaNotices(
            config.hostname, context.bus, language_of=languages(directory, config.server.language)
        ),
    )
    threads = ThreadPoolExecutor(STORE_THREADS, thread_name_prefix="imap-store")
    gate = Gate(context, directory)
    shares = Shares(context.paths.state_db)
    try:
        with contextlib.ExitStack() as stack:
            at_work = AtWork()
            feedback = ImapFeedback(context, directory, store, threads, at_work)
            stack.callback(feedback.close)
            house = _House(context, directory, store, shares, threads, gate, feedback, at_work)
            events = _Events(house, asyncio.get_running_loop(), stack)
            hubs = _hubs(house, events, stack)
            # Every worker hears of new mail; one is enough to index it, and to learn.
            indexer = Indexer(store, threads) if context.worker == 0 else None
            resting = partial(rest, store, at_work, threads)
            tasks = [asyncio.create_task(go_on("closing mailboxes", resting))]
            if indexer is not None:
                tasks.append(asyncio.create_task(go_on("indexing", indexer.run)))
                tasks.append(asyncio.create_task(go_on("learning", feedback.run)))
            try:
                await _serve(context, hubs, indexer)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        gate.close()
        shares.close()
        threads.shutdown(wait=True, cancel_futures=True)
        store.close()
        directory.close()


@dataclass(frozen=True, slots=True)
class _House:
    """What the protocols of one worker share."""

    context: Context
    directory: Directory
    store: MailStore
    shares: Shares
    threads: ThreadPoolExecutor
    gate: Gate
    feedback: ImapFeedback
    at_work: AtWork


class _Events:
    """The operator's scripts for what IMAP clients do; without any, nothing is different."""

    def __init__(self, house: _House, loop: asyncio.AbstractEventLoop, stack: contextlib.ExitStack) -> None:
        """Ends with the stack."""
        self._context, self._loop = house.context, loop
        self.imap: ImapHub | None = None
        self._events: StoredEvents | None = None
        options = house.context.config.sieve
        scripts, wrong = compiled(options.imap)
        for one in wrong:
            _log.error("sieve.imap: %s; this script does not run", one)
        if scripts:
            self._events = StoredEvents(
                scripts,
                house.store.of,
                host=house.context.config.hostname,
                most=options.imap_waiting,
                now=house.context.now,
                tell=self._changed,
                trouble=partial(_trouble, house.context),
            )
            stack.callback(self._events.close)

    def around(self, open_store: Callable[[Account], AccountStore]) -> Callable[[Account], AccountStore]:
        """The same; what happens in those mailboxes is noted."""
        events = self._events
        if events is None:
            return open_store
        return lambda account: events.around(open_store(account), account)

    def _changed(self, account: Account, folder: str) -> None:
        def tell() -> None:
            if self.imap is not None:
                _tell(self._context, self.imap, account_key(account), folder)

        with contextlib.suppress(RuntimeError):  # the loop is over: so are its sessions
            self._loop.call_soon_threadsafe(tell)


def _hubs(house: _House, events: _Events, stack: contextlib.ExitStack) -> _Hubs:
    """The hubs; what belongs to them alone is closed with the stack."""
    context, config = house.context, house.context.config
    imap = events.imap = _imap_hub(house, events)
    pop3 = Pop3Hub(
        _services(house, imap, "pop3"),
        config.pop3,
        _slots(stack, context.paths.pop3_logins, config.pop3.max_per_account),
    )
    checker = ThreadPoolExecutor(1, thread_name_prefix="script-check")
    stack.callback(checker.shutdown, wait=True, cancel_futures=True)
    slots = _slots(stack, context.paths.sieve_logins, config.managesieve.max_per_account)
    sieve = make_hub(context, house.directory, _services(house, imap, "sieve"), slots, checker)
    return _Hubs(imap, pop3, sieve)


def _imap_hub(house: _House, events: _Events) -> ImapHub:
    context, config, directory, store = house.context, house.context.config, house.directory, house.store
    neighbours = AccountNeighbours(directory, store, house.shares, anyone=config.imap.sharing_anyone)
    return ImapHub(
        ImapServices(
            host=config.hostname,
            authenticate=partial(house.gate.log_in, "imap"),
            open_store=house.feedback.around(
                events.around(
                    partial(_open_shared, store, neighbours) if config.imap.sharing else partial(_open, store)
                )
            ),
            executor=house.threads,
            spool=context.paths.spool,
            publish=partial(_publish, context),
            fatal=context.fatal,
            stamp=partial(_stamp, directory),
            why_not=house.gate.why_not,
            verifier=directory.verifier if config.auth.scram else None,
            version=directory.version,
            at_work=house.at_work,
            options=config.imap,
        )
    )


def _services(house: _House, imap: ImapHub, protocol: str) -> SessionServices:
    """What connections of a protocol need; `protocol`: for the directory and the mail log."""
    context, directory, gate = house.context, house.directory, house.gate
    return SessionServices(
        host=context.config.hostname,
        authenticate=partial(gate.log_in, protocol),
        open_store=partial(_open, house.store),
        executor=house.threads,
        publish=partial(_tell, context, imap),
        fatal=context.fatal,
        stamp=partial(_stamp, directory),
        why_not=gate.why_not,
        version=directory.version,
        at_work=house.at_work,
        verifier=directory.verifier if context.config.auth.scram else None,
    )


def _slots(stack: contextlib.ExitStack, path: Path, most: int) -> LoginSlots:
    with guarded("counting sessions"):
        return stack.enter_context(contextlib.closing(LoginSlots(path, most)))


async def _serve(context: Context, hubs: _Hubs, indexer: Indexer | None) -> None:
    imap = hubs.imap

    def heard(message: dict[str, str | int]) -> None:
        imap.heard(message)
        if indexer is not None:
            indexer.heard(message)

    loop = asyncio.get_running_loop()
    await loop.run_in_executor(imap.services.executor, sweep, context.paths.spool)
    listeners = _listeners(context, hubs)
    context.bus.listen(loop, heard)
    for hub in hubs.all:
        hub.start()
    for listener in listeners:
        listener.start()
    context.ready()
    await context.stop.wait()
    for listener in listeners:
        listener.stop()
    for hub in hubs.all:
        hub.end_all("The server is shutting down")
    await asyncio.gather(*(listener.finish(context.config.server.stop_grace_s) for listener in listeners))
    for hub in hubs.all:
        await hub.stop()


def _listeners(context: Context, hubs: _Hubs) -> list[Listener]:
    contexts = TlsContexts(context.config.tls, alarm=_log.error, kinds=("access",))
    chooser = contexts.chooser("access") if contexts.is_available else None
    config = context.config
    listeners = []
    room = connections_that_fit(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    if room < config.imap.max_connections:
        _log.warning("descriptors for at most %d connections, not %d", room, config.imap.max_connections)
    for name, connect, most, full in (
        ("imap", partial(ImapConnection, hubs.imap), config.imap.max_connections, _IMAP_FULL),
        ("pop3", partial(Pop3Connection, hubs.pop3), config.pop3.max_connections, _POP3_FULL),
        # RFC 5804 has no port with TLS from the first octet.
        (
            "sieve",
            partial(ManageSieveConnection, hubs.sieve),
            config.managesieve.max_connections,
            _SIEVE_FULL,
        ),
    ):
        admission = Admission(ConnectionCaps(total=min(most, room)))
        watcher = _Watcher(full)
        with_tls = f"{name}s"
        for sock in context.sockets.get(name, []):
            plain = partial(connect, start_tls=chooser)
            proxies = Proxies(config.proxy, name)
            listeners.append(
                Listener(sock, plain, name=name, admission=admission, watcher=watcher, proxies=proxies)
            )
        if chooser is None and context.sockets.get(with_tls):
            _log.error("no certificate is configured: nobody can connect to the %s port", with_tls)
            continue
        for sock in context.sockets.get(with_tls, []):
            proxies = Proxies(config.proxy, with_tls)
            listeners.append(
                Listener(
                    sock,
                    connect,
                    name=with_tls,
                    admission=admission,
                    tls=chooser,
                    watcher=watcher,
                    proxies=proxies,
                )
            )
    return listeners


def connections_that_fit(files: int) -> int:
    """How many connections leave room for mailboxes and what is open anyway, of so many descriptors."""
    return MAX_FILES if files < 0 else max(files // 2 - _OTHER_FILES, files // 8, 1)


class _Watcher(Watcher):
    """What happens around connections, in the process log."""

    def __init__(self, full: bytes) -> None:
        """`full`: what is said to a connection above the limit."""
        self._full = full
        self._refused = 0
        self._said_at = -_SAY_S

    def refused(self, peer: Peer, why: str) -> bytes:
        self._refused += 1
        now = time.monotonic()
        if now - self._said_at >= _SAY_S:
            _log.warning("%s: refused: %s (%d since this was said last)", peer.ip, why, self._refused)
            self._refused, self._said_at = 0, now
        return self._full

    def handshake_failed(self, peer: Peer, why: str) -> None:
        _log.info("%s: %s", peer.ip, why)

    def proxy_failed(self, proxy: Peer, why: str) -> None:
        _log.warning("%s: the proxy %s (proxy.networks)", proxy.ip, why)

    def exhausted(self, listener: str, why: str) -> None:
        _log.error("listener %s: %s", listener, why)

    def crashed(self, peer: Peer, error: BaseException) -> None:
        _log.error("%s: the session broke", peer.ip, exc_info=error)


def _open(store: MailStore, account: Account) -> AccountStore:
    return store.of(account)


def _open_shared(store: MailStore, neighbours: AccountNeighbours, account: Account) -> AccountStore:
    return Mailboxes(store.of(account), account_key(account), neighbours)


def _trouble(context: Context, failure: TemporaryFailure) -> None:
    _log.error("mailbox: %s", failure.why)
    if failure.fatal:
        context.fatal(failure.why)


def _publish(context: Context, account: str, folder: str) -> None:
    context.bus.publish("imap", {"event": "mailbox", "account": account, "folder": folder})


def _tell(context: Context, imap: ImapHub, account: str, folder: str) -> None:
    """A POP3 session changed a folder: IMAP sessions here and in other processes hear of it."""
    message: dict[str, str | int] = {"event": "mailbox", "account": account, "folder": folder}
    imap.heard(message)
    context.bus.publish("imap", message)


def _stamp(directory: Directory, account: Account) -> str:
    found = directory.account_by_id(account.id)
    if found is None or not found.enabled:
        return ""
    return str(found.login_revision)
