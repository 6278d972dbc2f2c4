"""A POP3 server on a loopback port, in this process, for tests."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from mailstack.model.asking import Login, LoginRefused
from mailstack.model.directory import Account
from mailstack.model.envelope import Client
from mailstack.model.mailbox import AccountStore
from mailstack.net.listener import Listener
from mailstack.net.login_slots import LoginSlots
from mailstack.net.pop3_server import Pop3Connection, Pop3Hub
from mailstack.net.session_hub import SessionServices
from mailstack.pop3.options import Pop3Options
from tests.kit import certificates
from tests.kit.bare_session import ACCOUNT, PASSWORD, USER
from tests.kit.imap_service import RawClient
from tests.kit.memory_mailbox import MemoryMailbox
from tests.kit.session_service import SessionService


class Pop3Service(SessionService):
    """A running server.

    Attributes:
        port, tls_port: with STLS; with TLS from the first octet.
    """

    def __init__(self, folder: Path, options: Pop3Options, store: AccountStore | None) -> None:
        super().__init__()
        self.store: AccountStore = store if store is not None else MemoryMailbox()
        self.account = ACCOUNT
        certificate, key = certificates.write(folder)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self.client_context = ssl.create_default_context(cafile=certificate)
        self._slots = LoginSlots(folder / "pop3-logins", options.max_per_account)
        services = SessionServices(
            host="mail.example.test",
            authenticate=self._authenticate,
            open_store=lambda account: self.store,
            executor=self.threads,
            publish=lambda account, name: self.published.append((account, name)),
            stamp=lambda account: self.stamp,
        )
        self.hub = Pop3Hub(services, options, self._slots)
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.port, self.tls_port = (sock.getsockname()[1] for sock in sockets)
        connect = partial(Pop3Connection, self.hub)
        self._listeners = [
            Listener(sockets[0], partial(connect, start_tls=self._choose), name="pop3", watcher=self),
            Listener(sockets[1], connect, name="pop3s", tls=self._choose, watcher=self),
        ]

    def _choose(self, ip: str) -> ssl.SSLContext:
        return self._context

    async def _authenticate(self, client: Client, asked: Login) -> Account | LoginRefused:
        if (asked.login, asked.password, asked.acting_for) == (USER, PASSWORD, ""):
            return self.account
        return LoginRefused("AUTHENTICATIONFAILED", "Wrong user name or password")

    async def stop(self) -> None:
        """Ends everything."""
        await super().stop()
        self._slots.close()

    async def connect(self, *, tls: bool = True) -> RawClient:
        """A client that has read the greeting."""
        port = self.tls_port if tls else self.port
        client = await RawClient.connect(port, self.client_context if tls else None)
        assert (await client.line()).startswith(b"+OK")
        return client

    async def log_in(self) -> RawClient:
        """A client that has logged in."""
        client = await self.connect()
        assert (await say(client, b"USER " + USER.encode())).startswith(b"+OK")
        assert (await say(client, b"PASS " + PASSWORD.encode())).startswith(b"+OK")
        return client


async def say(client: RawClient, text: bytes) -> bytes:
    """One command, and its first line."""
    await client.send(text + b"\r\n")
    return await client.line()


async def until_dot(client: RawClient) -> list[bytes]:
    """The lines of a multi-line response, without the dots that were added."""
    lines = []
    while (line := await client.line()) != b".":
        lines.append(line[1:] if line.startswith(b".") else line)
    return lines


@contextlib.asynccontextmanager
async def running(
    folder: Path, *, options: Pop3Options | None = None, store: AccountStore | None = None
) -> AsyncIterator[Pop3Service]:
    """Starts one; at the end no session may have broken."""
    service = Pop3Service(folder, options or Pop3Options(allow_plaintext_loopback=True), store)
    async with service.running():
        yield service
