"""A fake acceptor: knows a few addresses, keeps what it takes; and a server around it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
from collections.abc import AsyncIterator, Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mailstack.model.address import Address
from mailstack.model.directory import Account
from mailstack.model.envelope import Body, Client, Envelope
from mailstack.model.reply import Reply
from mailstack.model.secret import Proof
from mailstack.net.listener import Admission, ConnectionCaps, Listener, Watcher
from mailstack.net.smtp_server import SmtpServer
from mailstack.net.smtp_shared import Shared
from mailstack.net.tls import TlsContexts
from mailstack.net.tls_options import TlsOptions
from mailstack.sasl.exchange import Credentials
from mailstack.smtp.command import Mail
from mailstack.smtp.options import SmtpOptions
from mailstack.smtp.policy import sender as sender_policy
from mailstack.state.maillog import MailLog
from tests.kit import certificates
from tests.kit.accounts import ALICE, CAROL, PRINTER

PASSWORDS = {"alice@example.test": ("a$1 geheim", ALICE), "carol@example.test": ("carol-password", CAROL)}
PASSWORDS["printer@example.test"] = ("printer-pw", PRINTER)
LOCAL = "example.test"
LMTP_REPLIES = {
    "anyfull@example.test": Reply(452, "2.2", "The mailbox is full"),
    "anyno@example.test": Reply(550, "7.1", "Not wanted"),
}
WRONG = Reply(535, "7.8", "User name or password is wrong")


@dataclass
class FakeAcceptor:
    """Takes mail for known local parts and from logins for anybody."""

    known: set[str] = field(default_factory=lambda: {"alice", "bob", "carol", "printer"})
    taken: list[tuple[Envelope, bytes, Body]] = field(default_factory=list)
    logins: list[tuple[str, str | Proof]] = field(default_factory=list)
    #: Logins that end the connection.
    banned: set[str] = field(default_factory=set)
    reply: Reply | None = None
    #: What LMTP recipients get instead.
    replies: dict[str, Reply] = field(default_factory=lambda: dict(LMTP_REPLIES))
    #: Refused before the greeting, by address.
    unwanted: dict[str, Reply] = field(default_factory=dict)
    #: Who may send without a login, by address.
    devices: dict[str, Account] = field(default_factory=dict)
    #: Set to make `accept` wait for it.
    gate: asyncio.Event | None = None
    started: int = 0
    number: int = 0

    async def connected(self, client: Client) -> Reply | None:
        return self.unwanted.get(client.ip)

    async def authenticate(self, client: Client, given: Credentials, mechanism: str) -> Account | Reply:
        self.logins.append((given.login, given.password))
        if given.login in self.banned:
            return Reply(421, "7.0", "Nobody logs in from there")
        right, account = PASSWORDS.get(given.login.lower(), ("", ALICE))
        return account if right and right == given.password and not given.acting_for else WRONG

    def device_at(self, ip: str) -> Account | None:
        return self.devices.get(ip)

    async def check_recipient(
        self, client: Client, account: Account | None, sender: Address | None, recipient: Address
    ) -> Reply:
        if not recipient.domain and recipient.local.lower() == "postmaster":
            return Reply(250, "1.5", "ok")
        if recipient.domain != LOCAL:
            return Reply(250, "1.5", "ok") if account else Reply(550, "7.1", "We do not relay")
        if recipient.local.lower() in self.known | {"postmaster"} or recipient.local.startswith("any"):
            return Reply(250, "1.5", "ok")
        return Reply(550, "1.1", f"{recipient} is not known here")

    async def check_sender(self, client: Client, account: Account | None, mail: Mail) -> Reply | None:
        if account is None:
            return None
        own, sender = account.address.key, mail.reverse_path
        return sender_policy.check_envelope(account, sender, may_send_as=lambda address: address.key == own)

    async def accept(self, envelope: Envelope, body: Body, account: Account | None) -> Reply:
        self.started += 1
        data = body.data if body.data is not None else Path(body.path).read_bytes()
        if self.gate is not None:
            await self.gate.wait()
        self.taken.append((envelope, data, body))
        return self.reply or Reply(250, "0.0", f"Ok id={envelope.accept_id}")

    async def accept_each(self, envelope: Envelope, body: Body) -> Sequence[Reply]:
        reply = await self.accept(envelope, body, None)
        return [self.replies.get(str(r.address), reply) for r in envelope.recipients]

    def directory_version(self) -> int:
        return 0

    def is_current(self, account: Account) -> bool:
        return True

    def now(self) -> float:
        return 1_763_776_800.0

    def new_id(self) -> str:
        self.number += 1
        return f"id{self.number}"


@dataclass
class Running:
    """A server on a free port."""

    acceptor: FakeAcceptor
    server: SmtpServer
    shared: Shared
    listener: Listener
    port: int
    spool: Path
    log: io.StringIO

    @property
    def lines(self) -> list[str]:
        """The mail log."""
        return self.log.getvalue().splitlines()


@contextlib.asynccontextmanager
async def running(
    folder: Path,
    name: str = "mx",
    *,
    tls: bool = True,
    devices: tuple[str, ...] = (),
    caps: ConnectionCaps | None = None,
    watcher: Watcher | None = None,
    relays: Container[str] = (),
    **options: object,
) -> AsyncIterator[Running]:
    """Serves `name` in the running loop."""
    files = certificates.write(folder)
    contexts = (
        TlsContexts(TlsOptions(certificate_file=files[0], key_file=files[1], devices=devices))
        if tls
        else None
    )
    log = io.StringIO()
    acceptor = FakeAcceptor()
    defaults = {"error_delay_s": 0.0, "login_delays_s": (0.0,)}
    spool = folder / "spool"
    spool.mkdir(exist_ok=True)
    shared = Shared(
        options=SmtpOptions(**{**defaults, **options}),  # type: ignore[arg-type]
        hostname="mx.example.test",
        acceptor=acceptor,
        maillog=MailLog(None, daemon="smtp", now=acceptor.now, stream=log, stamped=False),
        tls=contexts,
        spool=spool,
        relays=relays,
    )
    server = SmtpServer(name, shared)
    sock = socket.create_server(("127.0.0.1", 0))
    implicit = contexts.chooser("submission") if contexts and name == "submissions" else None
    listener = Listener(
        sock,
        server.connection,
        name=name,
        admission=Admission(caps or ConnectionCaps()),
        tls=implicit,
        watcher=watcher,
        handshake_s=lambda: 2,
    )
    listener.start()
    try:
        yield Running(acceptor, server, shared, listener, sock.getsockname()[1], spool, log)
    finally:
        listener.stop()
        server.stop()
        if acceptor.gate is not None:
            acceptor.gate.set()
        await listener.finish(3)
        listener.close()
