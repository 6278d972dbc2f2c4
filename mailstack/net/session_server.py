"""A connection that drives a session, whatever the protocol: octets in and out.

One task per connection drives the pure session: it carries out each request and sends
the answer back.  Output goes out when the session waits for the client, so a batch of
pipelined commands is answered in one write; a client that does not read is waited for,
then cut off.

STARTTLS, STLS: nothing that was read in clear may survive the handshake (T3).  What lies
behind the command, here or in the session, ends the connection.

Numbers: limits, sections 1 and 8.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import math
import ssl
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final, TypeGuard, TypeVar, cast

from mailstack.model.asking import (
    Announce,
    Conversation,
    Flush,
    HangUp,
    Login,
    LoginRefused,
    OnStore,
    Read,
    Request,
    StartTls,
    Woken,
)
from mailstack.model.directory import Account
from mailstack.model.envelope import Client
from mailstack.model.errors import PermanentFailure, TemporaryFailure
from mailstack.model.mailbox import AccountStore, MailboxError
from mailstack.net import tls
from mailstack.net.listener import Peer
from mailstack.net.login_offer import make_offer
from mailstack.net.session_hub import SessionHub, account_key
from mailstack.sasl.exchange import Offer
from mailstack.sasl.setup import Setup
from mailstack.smtp.strangers import speaks_tls

T = TypeVar("T")
OptionsT = TypeVar("OptionsT")

#: Received octets that may wait for the session; then reading pauses.
MAX_HELD = 262_144
#: One write; and where the transport tells us to wait.  Together below 1 MiB.
PIECE_OCTETS = 262_144
HIGH_WATER = 524_288
LOW_WATER = 131_072
#: Answers to pipelined commands are gathered this long, so that they share a write.
BATCH_S = 0.02
HANDSHAKE_S = 30.0
#: A wait this long ends up to a second late.
LONG_WAIT_S = 5.0

_PLAIN: Final = "This port begins in clear text: set the program to STARTTLS, or to the port for TLS"
_log = logging.getLogger(__name__)


class Gone(Exception):
    """The client is no longer there."""


class SessionConnection(asyncio.BufferedProtocol):
    """One connection; made by a listener, which calls `run`.  Each protocol derives its own."""

    # Thousands of these wait: no dictionaries.
    __slots__ = (
        "_all",
        "_asked",
        "_at_end",
        "_ending",
        "_flushed_at",
        "_held",
        "_key",
        "_lost",
        "_peer",
        "_reading",
        "_received",
        "_resting",
        "_start_tls",
        "_store",
        "_transport",
        "_waiter",
        "_writable",
        "account",
        "due_at",
        "ip",
        "stamp",
    )

    def __init__(
        self,
        hub: SessionHub[Any],
        peer: Peer,
        *,
        start_tls: Callable[[str], ssl.SSLContext] | None = None,
    ) -> None:
        """`start_tls`: gives the context for STARTTLS; None: not offered."""
        self.ip = peer.ip
        self.account: Account | None = None
        self.stamp: str | None = None
        self._key = ""  # of the account that was logged in last
        self._all = hub
        self._peer = peer
        self._start_tls = start_tls
        self._transport: asyncio.Transport | None = None
        self._store: AccountStore | None = None
        self._received: list[bytes] = []
        self._held = 0
        self._at_end = False
        self._lost = False
        self._reading = True
        self._writable: asyncio.Future[None] | None = None
        self._waiter: asyncio.Future[Woken] | None = None
        #: What the session asks; and the session, while it waits for octets and for nothing else.
        self._asked: Request[object] | None = None
        self._resting: Conversation | None = None
        self._ending = ""
        self.due_at = math.inf
        self._flushed_at = 0.0

    # -- for each protocol --------------------------------------------------------------

    def _new_session(self) -> Conversation:
        raise NotImplementedError

    def _farewell(self, text: str, code: str) -> bytes:
        """What is said before the connection is closed without a session."""
        raise NotImplementedError

    async def _answer_more(self, session: Conversation, request: Request[object]) -> object:
        """Answers a request only this protocol has."""
        raise AssertionError(f"a request nobody knows: {request}")

    def _left(self) -> None:
        """The session is over: tidies up."""

    # -- asyncio's side ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER, low=LOW_WATER)

    def get_buffer(self, sizehint: int) -> memoryview:
        # One for all connections, copied at once: uvloop would set aside 256 KiB for each read.
        return self._all.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._received.append(bytes(self._all.buffer[:nbytes]))
        self._held += nbytes
        if self.account is None and speaks_tls(self._received[-1]):
            self._received.clear()
            self._held, name = 0, self._peer.listener
            _log.info("%s: the client began TLS at once on the %s port: %s", self.ip, name, _PLAIN)
            self.end(_PLAIN)
            return
        if self._held > MAX_HELD and self._reading:
            self._reading = False
            self._tell(lambda transport: transport.pause_reading())
        session, asked, waiter = self._resting, self._asked, self._waiter
        if session is None or type(asked) is not Read or waiter is None or waiter.done():
            self._wake("input")
            return
        try:
            self._serve(session, asked)
        except Exception as error:
            if not waiter.done():
                waiter.set_exception(error)

    def eof_received(self) -> bool:
        self._at_end = True
        self._wake("input")
        # What was sent before is still answered; TLS has no half-closed connections.
        return self._transport is not None and not self._is_encrypted

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = self._at_end = True
        self._wake("input")
        self.resume_writing()

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # -- the hub's side ---------------------------------------------------------------

    def end(self, why: str) -> None:
        """Says goodbye when the session next waits for the client."""
        self._ending = why
        self._wake("time")

    def late(self) -> None:
        """What it waits for has not come in time (`due_at`)."""
        self._wake("time")

    # -- the life of the connection ------------------------------------------------------

    async def run(self) -> None:
        """Serves until the client leaves or is sent away."""
        shut_out = self._all.base.why_not(self._client())
        why = shut_out or self._all.enter(self)
        if why:
            self._write(self._farewell(why, "UNAVAILABLE" if shut_out else "LIMIT"))
            return
        session = self._new_session()
        try:
            await self._drive(session)
            await self._flush(session)
        except Gone:
            pass
        except Exception:
            with contextlib.suppress(Gone):
                self._write(self._farewell("Internal error", "SERVERBUG"))
            raise
        finally:
            session.close()
            self._all.leave(self)
            self._left()
            # After STARTTLS the listener knows only the wire below, which has no close_notify.
            self._tell(lambda transport: transport.close())
            # The garbage collector comes late to a process that waits: no circles.
            self._asked = self._resting = self._transport = None

    async def _drive(self, session: Conversation) -> None:
        self._asked = session.start()
        while (request := self._asked) is not None:
            if self._is_quick(request):
                self._asked = self._look(session, request)
                continue
            try:
                answer = await self._answer(session, request)
            except (MailboxError, PermanentFailure, TemporaryFailure, HangUp) as error:
                self._asked = self._refuse(session, error)
            else:
                if self._asked is request:  # else `_serve` has answered it
                    self._asked = session.send(answer)

    def _serve(self, session: Conversation, request: Read) -> None:
        """Answers what came in while the task rests; it is woken for whatever must be waited for.

        Most commands take less time than waking a task does.
        """
        data = self._take(request.most)
        if data:
            asked = session.send(data)
            while self._is_quick(asked):
                asked = self._look(session, asked)
            self._asked = asked
            if type(asked) is Read and not self._has_input and asked.until >= self.due_at:
                self._write(session.take_output())
                self.due_at = asked.until
                if self._writable is None:
                    return
        elif not self._has_input:
            return  # of what is compressed, more must come
        self._wake("input")

    def _is_quick(self, request: Request[object] | None) -> TypeGuard[OnStore[object]]:
        """True for a look at the mailbox that nobody is waited for."""
        return type(request) is OnStore and not request.slow and not self._is_at_work

    def _look(self, session: Conversation, request: OnStore[object]) -> Request[object] | None:
        try:
            answer = request.work(self._mailbox)
        except (MailboxError, TemporaryFailure, HangUp) as error:
            return self._refuse(session, error)
        return session.send(answer)

    def _refuse(self, session: Conversation, error: Exception) -> Request[object] | None:
        if isinstance(error, TemporaryFailure):
            _log.warning("%s: %s", self.account.address if self.account else self.ip, error.why)
            if error.fatal:
                self._all.base.fatal(error.why)
        return session.throw(error)

    async def _answer(self, session: Conversation, request: Request[object]) -> object:
        match request:
            case OnStore():
                if time.monotonic() - self._flushed_at > BATCH_S:
                    await self._flush(session)
                with self._all.base.at_work.on(self._key):
                    return await self._in_thread(request.work, self._mailbox)
            case Read():
                return await self._read(session, request)
            case Flush():
                await self._flush(session)
                await asyncio.sleep(0)
                if self._lost:
                    raise Gone
            case Login():
                return await self._log_in(request)
            case Announce(folder):
                self._all.announce(self, folder)
            case StartTls():
                await self._encrypt(session)
            case _:
                return await self._answer_more(session, request)
        return None

    @property
    def _is_at_work(self) -> bool:
        return self._all.base.at_work.is_on(self._key) or not self._mailbox.is_open()

    @property
    def _mailbox(self) -> AccountStore:
        assert self._store is not None
        return self._store

    async def _in_thread(self, work: Callable[..., T], *args: object, executor: Executor | None = None) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(executor or self._all.base.executor, lambda: work(*args))

    # -- input ------------------------------------------------------------------------

    async def _read(self, session: Conversation, request: Read) -> bytes | None:
        data = b""
        while not data:
            if not self._has_input:
                await self._flush(session)
                self._resting = session
                try:
                    await self._until(request.until)
                finally:
                    self._resting = None
                if self._asked is not request:
                    return None
            if self._ending:
                raise HangUp(self._ending)
            if not self._has_input:
                return b"" if self._at_end else None
            data = self._take(request.most)
        if not self._reading and self._held <= MAX_HELD // 2:
            self._reading = True
            self._tell(lambda transport: transport.resume_reading())
        if self._has_input:
            await asyncio.sleep(0)  # a long batch must not keep the others waiting
        return data

    @property
    def _has_input(self) -> bool:
        """Octets wait for the session."""
        return bool(self._received)

    def _take(self, most: int) -> bytes:
        """At most so many of the octets received; b"" when they make none yet."""
        data = self._received.pop(0) if len(self._received) == 1 else b"".join(self._received)
        self._received = [data[most:]] if len(data) > most else []
        data = data[:most]
        self._held -= len(data)
        return data

    async def _until(self, until: float) -> Woken:
        """Waits to be woken, at most until this time."""
        if self._at_end:
            return "input"
        if not self._ending:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            wait = max(0.0, until - time.monotonic())
            timer = None
            if wait < LONG_WAIT_S:
                timer = loop.call_later(wait, self._wake, "time")
            else:
                self.due_at = until  # the hub looks; thousands of timers cost more
            try:
                woken = await self._waiter
            finally:
                if timer is not None:
                    timer.cancel()
                self.due_at = math.inf
                self._waiter = None
            if not self._ending:
                return woken
        raise HangUp(self._ending)

    def _wake(self, why: Woken) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(why)

    # -- output -----------------------------------------------------------------------

    async def _flush(self, session: Conversation) -> None:
        data = session.take_output()
        self._flushed_at = time.monotonic()
        if self._writable is not None:
            await self._until_writable(self._writable)
        for begin in range(0, len(data), PIECE_OCTETS):
            self._write(data[begin : begin + PIECE_OCTETS] if len(data) > PIECE_OCTETS else data)
            if self._writable is not None:
                await self._until_writable(self._writable)

    def _write(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or self._lost or transport.is_closing():
            raise Gone
        transport.write(data)

    async def _until_writable(self, writable: asyncio.Future[None]) -> None:
        try:
            async with asyncio.timeout(self._all.stalled_time_s):
                await asyncio.shield(writable)
        except TimeoutError:
            self._tell(lambda transport: transport.abort())
            raise Gone from None
        if self._lost:
            raise Gone

    def _tell(self, what: Callable[[asyncio.Transport], object]) -> None:
        if self._transport is not None and not self._lost:
            with contextlib.suppress(RuntimeError):  # it is closing
                what(self._transport)

    # -- requests ---------------------------------------------------------------------

    @property
    def _is_encrypted(self) -> bool:
        return self._transport is not None and self._transport.get_extra_info("ssl_object") is not None

    @property
    def _is_loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.ip).is_loopback
        except ValueError:
            return False

    def _setup(self, options: OptionsT, *, plaintext: bool) -> Setup[OptionsT]:
        """What the session is told; `plaintext`: passwords are taken without TLS on loopback."""
        return Setup(
            options,
            self._all.base.host,
            clock=time.monotonic,
            now=time.time,
            tls=self._is_encrypted,
            can_start_tls=self._start_tls is not None,
            plaintext_login=plaintext and self._is_loopback,
            offer=self._offer,
        )

    def _offer(self) -> Offer:
        """What this connection may log in with."""
        return make_offer(self._all.base.verifier, self._transport)

    def _client(self) -> Client:
        assert self._transport is not None
        described = tls.describe(self._transport)
        return Client(self.ip, self._peer.port, tls=described, listener=self._peer.listener)

    async def _log_in(self, request: Login) -> Account | LoginRefused:
        services = self._all.base
        found = await services.authenticate(self._client(), request)
        if isinstance(found, LoginRefused):
            return found
        self._key = account_key(found)
        why = self._all.log_in(self, found)
        if why:
            return LoginRefused("LIMIT", why, hang_up=True)
        try:
            await self._open(found)
        except (TemporaryFailure, MailboxError) as error:
            _log.warning("opening the mailbox of %s: %s", found.address, error)
            return LoginRefused("UNAVAILABLE", "The mailbox cannot be opened now", hang_up=True)
        return found

    async def _open(self, account: Account) -> None:
        """Opens what the sessions of the account work on."""
        self._store = await self._in_thread(self._all.base.open_store, account)

    async def _encrypt(self, session: Conversation) -> None:
        assert self._transport is not None and self._start_tls is not None
        if self._received:
            session.take_output()
            raise HangUp("Octets behind STARTTLS")
        self._write(session.take_output())
        try:
            self._transport = await tls.start_tls(
                self._transport, self, self._start_tls(self.ip), handshake_s=HANDSHAKE_S
            )
        except tls.TlsFailed as failure:
            _log.info("STARTTLS of %s failed: %s", self.ip, failure.why)
            raise Gone from None
        self._transport.set_write_buffer_limits(high=HIGH_WATER, low=LOW_WATER)
