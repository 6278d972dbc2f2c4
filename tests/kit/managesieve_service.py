"""A ManageSieve server on a loopback port, in this process, for tests."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from mailstack.managesieve.options import ManageSieveOptions
from mailstack.model.asking import Login, LoginRefused
from mailstack.model.directory import Account
from mailstack.model.envelope import Client
from mailstack.model.scripts import Checked
from mailstack.net.listener import Listener
from mailstack.net.login_slots import LoginSlots
from mailstack.net.managesieve_server import ManageSieveConnection, ManageSieveHub, ScriptServices
from mailstack.net.session_hub import SessionServices
from tests.kit import certificates
from tests.kit.bare_managesieve import UPLOADS, plain, terms
from tests.kit.bare_session import ACCOUNT, PASSWORD, USER
from tests.kit.imap_service import RawClient
from tests.kit.memory_mailbox import MemoryMailbox
from tests.kit.memory_scripts import MemoryScripts
from tests.kit.session_service import SessionService


class ManageSieveService(SessionService):
    """A running server.

    Attributes:
        scripts: of the one account.
        check: how sources are checked; may be replaced.
        port, tls_port: with STARTTLS; with TLS from the first octet, which only tests have.
    """

    def __init__(self, folder: Path, options: ManageSieveOptions) -> None:
        super().__init__()
        self.scripts = MemoryScripts(ACCOUNT)
        self.check = self._check
        self.checker = ThreadPoolExecutor(1)
        certificate, key = certificates.write(folder)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self.client_context = ssl.create_default_context(cafile=certificate)
        self._slots = LoginSlots(folder / "sieve-logins", options.max_per_account)
        services = SessionServices(
            host="mail.example.test",
            authenticate=self._authenticate,
            open_store=lambda account: MemoryMailbox(),
            executor=self.threads,
            stamp=lambda account: self.stamp,
        )
        scripts = ScriptServices(
            scripts=lambda account, ip: self.scripts,
            terms=terms,
            check=lambda account, source: self.check(account, source),
            checker=self.checker,
        )
        self.hub = ManageSieveHub(services, scripts, options, self._slots)
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.port, self.tls_port = (sock.getsockname()[1] for sock in sockets)
        connect = partial(ManageSieveConnection, self.hub)
        self._listeners = [
            Listener(sockets[0], partial(connect, start_tls=self._choose), name="sieve", watcher=self),
            Listener(sockets[1], connect, name="sieve", tls=self._choose, watcher=self),
        ]

    def _choose(self, ip: str) -> ssl.SSLContext:
        return self._context

    def _check(self, account: Account, source: bytes) -> Checked:
        return UPLOADS.check(source, account.plan, lambda name, place: None)

    async def _authenticate(self, client: Client, asked: Login) -> Account | LoginRefused:
        if (asked.login, asked.password, asked.acting_for) == (USER, PASSWORD, ""):
            return ACCOUNT
        return LoginRefused("AUTHENTICATIONFAILED", "Wrong user name or password")

    async def stop(self) -> None:
        """Ends everything."""
        await super().stop()
        self.checker.shutdown()
        self._slots.close()

    async def connect(self, *, tls: bool = True) -> RawClient:
        """A client that has read the greeting."""
        port = self.tls_port if tls else self.port
        client = await RawClient.connect(port, self.client_context if tls else None)
        await until_ok(client)
        return client

    async def log_in(self) -> RawClient:
        """A client that has logged in."""
        client = await self.connect()
        assert await say(client, b'AUTHENTICATE "PLAIN" "%b"' % plain()) == b'OK "Logged in"'
        return client


async def say(client: RawClient, text: bytes) -> bytes:
    """One command, and its first line."""
    await client.send(text + b"\r\n")
    return await client.line()


async def until_ok(client: RawClient) -> list[bytes]:
    """The lines of a response before its OK."""
    lines = []
    while not (line := await client.line()).startswith(b"OK"):
        assert line.startswith(b'"'), line
        lines.append(line)
    return lines


@contextlib.asynccontextmanager
async def running(
    folder: Path, *, options: ManageSieveOptions | None = None
) -> AsyncIterator[ManageSieveService]:
    """Starts one; at the end no session may have broken."""
    service = ManageSieveService(folder, options or ManageSieveOptions(allow_plaintext_loopback=True))
    async with service.running():
        yield service
