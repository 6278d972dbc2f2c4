"""One connection to one SMTP server: sockets, TLS, time limits and the body; no decisions.

The dialog is `mailstack.smtp.client`; this moves its octets.

Standards: RFC 5321 section 4.5.3.2 (timeouts), RFC 3207, RFC 8689.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final, Literal

from cryptography.x509 import load_der_x509_certificate

from mailstack.delivery.options import UNIX, QueueOptions
from mailstack.delivery.remote import Host
from mailstack.delivery.spool import Content
from mailstack.delivery.tls_policy import Security, open_to_all
from mailstack.delivery.ways import Way
from mailstack.model.reply import Reply
from mailstack.net.client_wire import Wire, open_wire
from mailstack.net.pem import fingerprint_of
from mailstack.net.tlsa import chain_of, result_of
from mailstack.sasl.client import Login
from mailstack.smtp.client import ClientSession
from mailstack.smtp.client_events import (
    Answer,
    Broken,
    Done,
    Event,
    Ready,
    SendBody,
    StartTls,
    TlsMode,
    Transaction,
)
from mailstack.smtp.client_transaction import stuffed
from mailstack.state.tls_facts import TlsResult

#: How TLS is tried with a host: limits, section 8, row "outbound"; "verified": RFC 8689.
Grade = Literal["verified", "modern", "legacy", "clear"]

_WRITE_OCTETS = 262_144
#: Nothing is set for the destination, and nobody asks for anything.
ANY_WAY: Final = Way()
ANY_SECURITY: Final = open_to_all("")


class OpenFailed(Exception):
    """No session with this host.

    Attributes:
        answer: why; concerns the host, not the message.
        is_tls: the TLS handshake failed; without it the host may do.
        was_connected: somebody answered the connection.
        result: what a report says of it; "" when TLS was not to blame.
        ends: our address and the server's; "" without a connection.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        is_tls: bool = False,
        was_connected: bool = False,
        result: TlsResult = "",
    ) -> None:
        super().__init__(str(answer.reply))
        self.answer = answer
        self.is_tls = is_tls
        self.was_connected = was_connected
        self.result = result
        self.ends = ("", "")


@lru_cache(maxsize=4)
def context_of(grade: Grade, ca_file: str = "") -> ssl.SSLContext:
    """The context for a grade; all but "verified" look at no certificate.

    Opportunistic TLS protects from listeners, not from impostors (RFC 7435).

    Args:
        ca_file: whom "verified" trusts; "": whom the system does.

    Raises:
        OSError: the file cannot be read.
    """
    if grade == "verified":
        context = ssl.create_default_context(cafile=ca_file or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if grade == "legacy":
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


class Connection:
    """An open session with one host.

    Attributes:
        host: whom we talk to.
        tls: version and cipher; "" in clear.
        sent: messages begun over it.
        security: what was asked of it.
        chain: the server's certificates (DER), its own first; none in clear.
        ends: our address and the server's; "" where there is none.
        is_kept: another message may use it.
    """

    def __init__(
        self, host: Host, session: ClientSession, wire: Wire, options: QueueOptions, *, security: Security
    ) -> None:
        self.host = host
        self.tls = ""
        self.sent = 0
        self.security = security
        self.chain: tuple[bytes, ...] = ()
        self.ends = (wire.address("sockname"), wire.address("peername"))
        self.is_kept = True
        self._session = session
        self._wire = wire
        self._options = options
        self._is_deaf = False
        self._awaited: tuple[int, str] | None = None
        self._until = 0.0
        self._limits = {
            "command": options.command_timeout_s,
            "data": options.data_timeout_s,
            "end": options.end_timeout_s,
            "quit": options.quit_timeout_s,
        }

    @property
    def extensions(self) -> Mapping[str, str]:
        """What the server announced."""
        return self._session.extensions

    @property
    def protection(self) -> str:
        """Version, cipher, and what proved the server's name; "" in clear."""
        if not self.is_verified:
            return self.tls
        return f"{self.tls}, {'DANE' if self.security.proof == 'dane' else 'verified'}"

    @property
    def is_verified(self) -> bool:
        """True when nobody else can be at the other end."""
        return self._session.is_verified

    @property
    def is_usable(self) -> bool:
        """True while another message may be sent: nothing was heard that nobody asked for."""
        return self._session.is_ready and not self._wire.is_over and not self._wire.held

    async def start(self, grade: Grade) -> None:
        """Greeting to Ready.

        Raises:
            OpenFailed: no session; the connection is closed.
        """
        while True:
            event = await self._next_event()
            if isinstance(event, Ready):
                return
            if isinstance(event, StartTls):
                await self._start_tls(grade)
            elif isinstance(event, Broken):
                self.abort()
                raise OpenFailed(event.answer, was_connected=True)

    async def deliver(self, transaction: Transaction, content: Content) -> Done:
        """Sends one message; only while usable."""
        self.sent += 1
        self._session.send(transaction)
        while True:
            event = await self._next_event()
            if isinstance(event, Done):
                await self._settle()
                return event
            if isinstance(event, SendBody):
                await self._send_body(content, is_raw=event.is_raw)
            assert event is not None, "every message is answered"

    async def quit(self) -> None:
        """Says goodbye and closes; the answer is waited for, and does not matter."""
        try:
            self._session.quit()
            while not self._session.closed:
                await self._next_event()
        finally:
            self.abort()

    def abort(self) -> None:
        """Closes at once, with whatever the session still wanted to say."""
        self._wire.close(self._session.data_to_send(), is_deaf=self._is_deaf)

    async def wait_until_heard(self) -> None:
        """Returns when an idle server says something or leaves: the connection is of no more use."""
        await self._wire.wait()

    # -- inside -------------------------------------------------------------------------

    async def _next_event(self) -> Event | None:
        """The next event; None only when the session is closed without one."""
        while (event := self._session.next_event()) is None:
            self._write(self._session.data_to_send())
            if self._session.closed:
                return None
            await self._hear()
        self._write(self._session.data_to_send())
        return event

    async def _hear(self) -> None:
        limit_s = self._limits.get(self._session.wait, self._options.command_timeout_s)
        until = self._deadline(limit_s)
        if not self._wire.is_heard:
            try:
                async with asyncio.timeout_at(until):
                    await self._wire.wait()
            except TimeoutError:
                self._is_deaf = True
                self._session.fail(f"No answer from {self.host} within {limit_s:.0f} s")
                return
        self._session.receive(self._wire.read())

    def _deadline(self, limit_s: float) -> float:
        """For the whole reply: octet by octet it may not take longer (Q7)."""
        awaited = (self._session.replies, self._session.wait)
        if awaited != self._awaited:
            self._awaited = awaited
            self._until = asyncio.get_running_loop().time() + limit_s
        return self._until

    async def _settle(self) -> None:
        """After a message: waits for the answer to RSET, when there is one to come."""
        while not self._session.is_ready and not self._session.closed:
            await self._next_event()
        while self._session.next_event() is not None:
            pass
        if self._session.closed:
            self.abort()

    def _write(self, data: bytes) -> None:
        if data and self._wire.transport is not None and not self._wire.is_over:
            self._wire.transport.write(data)

    def _context(self, grade: Grade) -> ssl.SSLContext:
        try:
            return context_of(grade, self._options.ca_file)
        except OSError as error:
            # Our own trouble: no message may fail for it.
            self.abort()
            reply = Reply(451, "3.5", f"queue.ca_file cannot be used: {_why(error)}")
            raise OpenFailed(Answer(reply, "check", is_ours=True), was_connected=True) from error

    async def _start_tls(self, grade: Grade) -> None:
        if self._wire.held:
            # L15: said in clear after 220; the session breaks on it.
            self._session.receive(self._wire.read())
            return
        await self._shake_hands(grade)
        self._session.tls_done(is_verified=self._is_proven(grade))

    async def _shake_hands(self, grade: Grade) -> None:
        try:
            is_there = await self._wire.start_tls(self._context(grade), self._server_name())
        except (OSError, TimeoutError) as error:
            raise self._unsafe(f"failed: {_why(error)}", result_of(error)) from error
        if not is_there or self._wire.transport is None:
            answer = Answer(Reply(451, "4.2", "The connection broke"), "starttls")
            raise OpenFailed(answer, is_tls=True, result="validation-failure")
        secured = self._wire.transport.get_extra_info("ssl_object")
        cipher = secured.cipher()
        self.tls = f"{secured.version()} {cipher[0] if cipher else ''}".strip()
        self.chain = chain_of(secured)
        self._check_dane()

    def _check_dane(self) -> None:
        """RFC 7672: the certificate is one the domain's signed DNS names, or nothing is sent."""
        security = self.security
        if security.proof != "dane" or security.dane is None:
            return
        names = (self.host.name, security.policy.domain)
        problem = security.dane.problem(self.chain, names, at=time.time())
        if problem:
            words = "proved nothing: its certificate is none of those its TLSA records name"
            raise self._unsafe(words, problem)

    def _unsafe(self, what: str, result: TlsResult) -> OpenFailed:
        """The end of a connection whose TLS is not what it must be."""
        self.abort()
        reply = Reply(451, "7.5", f"The TLS handshake with {self.host} {what}")
        answer = Answer(reply, "starttls", is_ours=True)
        return OpenFailed(answer, is_tls=True, was_connected=True, result=result)

    def _server_name(self) -> str:
        """For SNI; an address where there is no name (then none is sent)."""
        name = self.security.server_name(self.host.name).strip("[]")
        try:
            ipaddress.ip_address(name)
        except ValueError:
            # What the codec cannot encode would raise deep inside ssl.
            is_name = name.isascii() and all(0 < len(label) < 64 for label in name.split("."))
            return name if is_name else self.host.ip
        return self.host.ip

    async def begin_over_tls(self, grade: Grade) -> None:
        """The handshake of a port where TLS comes before everything else.

        Raises:
            OpenFailed: no session; the connection is closed.
        """
        if self._wire.held:
            # L15: nothing said before the handshake may count as said under TLS.
            self.abort()
            reply = Reply(
                451, "7.0", f"{self.host} speaks before the TLS handshake; it does not begin with TLS"
            )
            raise OpenFailed(Answer(reply, "greeting", is_ours=True), was_connected=True)
        await self._shake_hands(grade)
        self._session.begin_over_tls(is_verified=self._is_proven(grade))

    def _is_proven(self, grade: Grade) -> bool:
        return grade == "verified" or self.security.proof == "dane"

    async def _send_body(self, content: Content, *, is_raw: bool) -> None:
        """Writes the message; stops early when the server has gone or stops reading."""
        pieces = _pieces(content.chunks() if is_raw else stuffed(content.chunks()))
        try:
            while (piece := await _next_piece(pieces, content)) is not None:
                # Not behind the last one: who takes it may be gone by then.
                if self._wire.is_over:
                    return
                self._write(piece)
                if not self._wire.has_room:
                    async with asyncio.timeout(self._options.block_timeout_s):
                        await self._wire.drain()
        except TimeoutError:
            self._is_deaf = True
            self._session.fail(f"{self.host} stopped taking the message")
            return
        self._session.body_done()


def _pieces(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut and joined to what is written at once: a small message and its dot are one packet."""
    held: list[bytes] = []
    octets = 0
    for block in blocks:
        for start in range(0, len(block), _WRITE_OCTETS):
            piece = block[start : start + _WRITE_OCTETS]
            if octets + len(piece) > _WRITE_OCTETS:
                yield b"".join(held)
                held, octets = [], 0
            held.append(piece)
            octets += len(piece)
    if held:
        yield b"".join(held)


async def _next_piece(pieces: Iterator[bytes], content: Content) -> bytes | None:
    if content.data is not None:
        return next(pieces, None)
    return await asyncio.to_thread(next, pieces, None)


async def connect(
    host: Host,
    *,
    helo: str,
    options: QueueOptions,
    grade: Grade = "modern",
    way: Way = ANY_WAY,
    security: Security = ANY_SECURITY,
) -> Connection:
    """Opens a session with a host.

    Args:
        helo: our full name.
        grade: how TLS is done.
        way: what else the operator set for it.
        security: what others ask of TLS with it.

    Raises:
        OpenFailed: no session.
    """
    wire = await _open(host, way.source(host.ip), options)

    def login() -> Login:
        nonce = base64.b64encode(os.urandom(18))
        return Login(way.login, way.password, nonce, _end_point(wire))

    session = ClientSession(
        helo=way.helo or helo,
        tls=_tls_mode(host, grade, way, security),
        login=login if way.login else None,
        protocol=host.protocol,
        # Many a server calls itself localhost.
        loop_name="" if way.is_set or helo.startswith("localhost") else helo,
    )
    connection = Connection(host, session, wire, options, security=security)
    try:
        if way.is_implicit:
            await connection.begin_over_tls(grade)
        await connection.start(grade)
    except BaseException as error:
        connection.abort()
        if isinstance(error, OpenFailed):
            error.ends = connection.ends
        raise
    return connection


async def _open(host: Host, source: str, options: QueueOptions) -> Wire:
    try:
        async with asyncio.timeout(options.connect_timeout_s):
            return await open_wire(host, source)
    except TimeoutError as error:
        reply = Reply(451, "4.1", f"No answer from {host} within {options.connect_timeout_s:.0f} s")
        raise OpenFailed(Answer(reply, "greeting", is_ours=True)) from error
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL and source and not has_address(source):
            # Our own trouble: no message may fail for it.
            reply = Reply(451, "3.5", f"This machine does not have the address {source} (queue.source_ip…)")
            raise OpenFailed(Answer(reply, "check", is_ours=True)) from error
        where = host if host.ip.startswith(UNIX) else f"{host} port {host.port}"
        reply = Reply(451, "4.1", f"No connection to {where}: {_why(error)}")
        # A refused connection is ECONNREFUSED: only one that was there can be reset.
        was_connected = isinstance(error, ConnectionResetError)
        raise OpenFailed(Answer(reply, "greeting", is_ours=True), was_connected=was_connected) from error


def _tls_mode(host: Host, grade: Grade, way: Way, security: Security) -> TlsMode:
    if grade == "clear" or host.ip.startswith(UNIX):
        return "none"
    if grade == "verified" or security.must:
        return "require"
    return "require" if way.tls == "verify" else way.tls


def _end_point(wire: Wire) -> bytes:
    """What a login may be bound to: the certificate this connection showed."""
    secured = wire.transport.get_extra_info("ssl_object") if wire.transport is not None else None
    octets = secured.getpeercert(binary_form=True) if secured is not None else None
    return fingerprint_of(load_der_x509_certificate(octets)) if octets else b""


def has_address(ip: str) -> bool:
    """True when an IP address belongs to this machine."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        # Connecting a datagram socket sends nothing; it only asks the routing table.
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((ip, 9))
            return str(probe.getsockname()[0]) == ip
    except OSError:
        return False


def _why(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS error").lower().replace("_", " ")
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
