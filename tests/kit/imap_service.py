"""An IMAP server on a loopback port, in this process, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

from mailstack.imap.options import ImapOptions
from mailstack.imap.requests import Login, LoginRefused
from mailstack.model.directory import Account
from mailstack.model.envelope import Client
from mailstack.model.mailbox import AccountStore
from mailstack.net.imap_hub import ImapHub, ImapServices
from mailstack.net.imap_server import ImapConnection
from mailstack.net.listener import Listener, Peer
from tests.kit import certificates
from tests.kit.bare_session import ACCOUNT, PASSWORD, USER
from tests.kit.memory_mailbox import MemoryMailbox
from tests.kit.session_service import SessionService


class ImapService(SessionService):
    """A running server.

    Attributes:
        port, tls_port: with STARTTLS; with TLS from the first octet.
        fatal: what was reported as fatal.
    """

    def __init__(self, folder: Path, options: ImapOptions, store: AccountStore | None) -> None:
        super().__init__()
        self.store: AccountStore = store if store is not None else MemoryMailbox()
        self.options = options
        self.fatal: list[str] = []
        self.delay_s = 0.0
        self.spool = folder / "spool"
        self.spool.mkdir(exist_ok=True)
        certificate, key = certificates.write(folder)
        self.ca_file = certificate
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.hub = ImapHub(
            ImapServices(
                host="mail.example.test",
                authenticate=self._authenticate,
                open_store=lambda account: self.store,
                executor=self.threads,
                spool=self.spool,
                publish=lambda account, name: self.published.append((account, name)),
                fatal=self.fatal.append,
                stamp=lambda account: self.stamp,
                options=options,
            )
        )
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.port, self.tls_port = (sock.getsockname()[1] for sock in sockets)
        self._listeners = [self._listener("imap", sockets[0]), self._listener("imaps", sockets[1])]

    def _listener(self, name: str, sock: socket.socket) -> Listener:
        def connect(peer: Peer) -> ImapConnection:
            start_tls = (lambda ip: self.context) if name == "imap" else None
            return ImapConnection(self.hub, peer, start_tls=start_tls)

        implicit = (lambda ip: self.context) if name == "imaps" else None
        return Listener(sock, connect, name=name, tls=implicit, watcher=self)

    async def _authenticate(self, client: Client, asked: Login) -> Account | LoginRefused:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if (asked.login, asked.password, asked.acting_for) == (USER, PASSWORD, ""):
            return ACCOUNT
        return LoginRefused("AUTHENTICATIONFAILED", "Wrong user name or password")

    @property
    def client_context(self) -> ssl.SSLContext:
        """Trusts this server."""
        return ssl.create_default_context(cafile=self.ca_file)


@contextlib.asynccontextmanager
async def running(
    folder: Path, *, options: ImapOptions | None = None, store: AccountStore | None = None
) -> AsyncIterator[ImapService]:
    """Starts one; at the end no session may have broken."""
    service = ImapService(folder, options or ImapOptions(allow_plaintext_loopback=True), store)
    async with service.running():
        yield service


class RawClient:
    """Lines over a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int, context: ssl.SSLContext | None = None) -> RawClient:
        """Connects to the loopback address."""
        name = "localhost" if context is not None else None
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname=name, limit=8_388_608
        )
        return cls(reader, writer)

    async def send(self, data: bytes) -> None:
        """Octets."""
        self.writer.write(data)
        await self.writer.drain()

    async def line(self, *, wait_s: float = 60.0) -> bytes:
        """The next line without its end; b"" at the end of the connection."""
        async with asyncio.timeout(wait_s):
            return (await self.reader.readline()).removesuffix(b"\r\n")

    async def until(self, start: bytes, *, wait_s: float = 60.0) -> list[bytes]:
        """Lines up to one that starts so, or the end of the connection."""
        lines = []
        while True:
            lines.append(await self.line(wait_s=wait_s))
            if lines[-1].startswith(start) or (not lines[-1] and self.reader.at_eof()):
                return lines

    async def command(self, text: bytes, tag: bytes = b"t") -> list[bytes]:
        """One command and all its lines."""
        await self.send(tag + b" " + text + b"\r\n")
        return await self.until(tag + b" ")

    async def log_in(self) -> RawClient:
        """Greeting and login."""
        await self.line()
        assert (await self.command(f'LOGIN "{USER}" "{PASSWORD}"'.encode()))[-1].startswith(b"t OK")
        return self

    async def close(self) -> None:
        """Hangs up."""
        self.writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await self.writer.wait_closed()

    def reset(self) -> None:
        """Cuts the connection."""
        self.writer.transport.abort()
