"""What the SMTP front end asks: who is it, is this recipient ours, take this message.

Implements `net.acceptor.Acceptor` for one worker process.  Everything that blocks
(hashing, fsync, SQLite writes) runs in pools of threads; directory reads are a few
microseconds and run on the loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, TypeVar

from mailstack.app import loops
from mailstack.app.arrival import Arrivals
from mailstack.app.dmarc_counting import DmarcCounting
from mailstack.app.each import EachTransaction
from mailstack.app.forwards import Forwards
from mailstack.app.gate import Gate, login_refused
from mailstack.app.letters import languages
from mailstack.app.mail import Services
from mailstack.app.notices import QuotaNotices
from mailstack.app.recipients import Recipients
from mailstack.app.reputation import Reputation
from mailstack.app.script_effects import ScriptEffects
from mailstack.app.sending import SendingGuard
from mailstack.app.threads import Threads
from mailstack.app.transaction import Transaction
from mailstack.delivery.queue import Queue
from mailstack.directory import Directory, seal
from mailstack.mailbox import MailStore
from mailstack.model.address import Address
from mailstack.model.directory import Account
from mailstack.model.envelope import Body, Client, Envelope
from mailstack.model.errors import TemporaryFailure
from mailstack.model.reply import Reply
from mailstack.model.secret import Verifier
from mailstack.net.filter_client import FilterClient
from mailstack.net.resolver import Resolver
from mailstack.sasl.exchange import Credentials
from mailstack.smtp.command import Mail
from mailstack.state.senders import LongSenders

if TYPE_CHECKING:
    from mailstack.app.daemon import Context

#: Deliveries that may wait for the disk at the same time in one worker.
DISK_THREADS = 16
#: Random octets for ids that are fetched at a time.
RANDOM_OCTETS = 640
#: How long an answer of the directory counts without a new look, in seconds.
TRUSTED_S = 0.01

T = TypeVar("T")

_ALPHABET = "0123456789abcdefghijklmnopqrstuv"
_log = logging.getLogger(__name__)


def make_id(now: float, random: bytes) -> str:
    """An accept id: 9 characters of milliseconds, 8 of randomness; sorts by time.

    Args:
        now: Unix seconds.
        random: 5 octets.
    """
    number = int(now * 1000) << 40 | int.from_bytes(random[:5], "big")
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(80, -1, -5))


class AcceptService:
    """The acceptor of one smtp worker."""

    def __init__(self, context: Context) -> None:
        config, paths = context.config, context.paths
        self._context = context
        self._random = b""
        self._config = config
        self._disk = Threads(DISK_THREADS, "disk")
        self._directory = Directory(paths, options=config.auth, trusted_s=TRUSTED_S)
        self._gate = Gate(context, self._directory)
        self._resolver = Resolver(config.dns)
        self._reputation = Reputation(paths.state_db, config.mx, now=context.now, disk=self._disk)
        self._dmarc = DmarcCounting(paths.state_db, config.reports, now=context.now, disk=self._disk)
        self._arrivals = Arrivals(
            config,
            paths,
            reputation=self._reputation,
            maillog=context.maillog,
            key=seal.load(paths.master_key).derive(loops.PURPOSE),
            now=context.now,
            disk=self._disk,
        )
        self._services = Services(
            config=config,
            directory=self._directory,
            store=MailStore(
                paths.mail,
                now=context.now,
                random_bytes=context.random_bytes,
                options=config.mailbox,
                trouble=self._trouble,
                notices=QuotaNotices(
                    config.hostname,
                    context.bus,
                    language_of=languages(self._directory, config.server.language),
                ),
            ),
            queue=Queue(paths, now=context.now, random_bytes=context.random_bytes, options=config.queue),
            filter=FilterClient(paths.filter_socket, budget_s=config.filter.budget_s),
            maillog=context.maillog,
            bus=context.bus,
            resolver=self._resolver,
            long_senders=LongSenders(paths.state_db, valid_days=config.srs.valid_days),
            arrivals=self._arrivals,
            forwards=Forwards(paths.state_db, config.forwarding, now=context.now),
            scripts=ScriptEffects(
                paths.state_db, config.sieve, maillog=context.maillog, hostname=config.hostname
            ),
            disk=self._disk,
            new_id=self.new_id,
            fatal=context.fatal,
        )
        self._sending = SendingGuard(self._services, now=context.now)
        self._arrivals.tell_operator = self._sending.tell_operator
        self._recipients = Recipients(
            self._services, self._resolver, reputation=self._reputation, now=context.now
        )

    def start(self) -> None:
        """Background work, in the running loop."""
        self._reputation.start()
        self._dmarc.start()

    def now(self) -> float:
        """Unix seconds."""
        return self._context.now()

    def new_id(self) -> str:
        """A fresh accept id."""
        if len(self._random) < 5:
            self._random = self._context.random_bytes(RANDOM_OCTETS)
        random, self._random = self._random[:5], self._random[5:]
        return make_id(self._context.now(), random)

    async def authenticate(self, client: Client, given: Credentials, mechanism: str) -> Account | Reply:
        """Checks a login; the same words and time for unknown users and wrong passwords."""
        found = await self._gate.authenticate(
            "smtp", client, given.login, given.password, mechanism, acting_for=given.acting_for
        )
        return found if isinstance(found, Account) else login_refused(found)

    def verifier(self, login: str) -> Verifier:
        """For SCRAM; see Directory.verifier."""
        return self._directory.verifier(login)

    async def connected(self, client: Client) -> Reply | None:
        """Who guesses passwords is shut out where one logs in."""
        return self._gate.greet(client) if client.listener.startswith("submission") else None

    def directory_version(self) -> int:
        """See Directory.version."""
        return self._directory.version()

    def is_current(self, account: Account) -> bool:
        """See Gate.is_current."""
        return self._gate.is_current(account)

    def device_at(self, ip: str) -> Account | None:
        """See Directory.device_at; nobody while the directory cannot be read."""
        try:
            return self._directory.device_at(ip)
        except TemporaryFailure as error:
            _log.error("looking for a device: %s", error.why)
            return None

    async def check_sender(self, client: Client, account: Account | None, mail: Mail) -> Reply | None:
        """The envelope sender must belong to the login, and something be left to send."""
        if account is None:
            return None
        return self._gate.check(account) or await self._sending.check_sender(client, account, mail)

    async def check_recipient(
        self, client: Client, account: Account | None, sender: Address | None, recipient: Address
    ) -> Reply:
        """Routes one recipient: 250 or why not."""
        refusal = None if account is None else self._gate.check(account)
        return refusal or await self._recipients.check(client, account, sender, recipient)

    async def accept(self, envelope: Envelope, body: Body, account: Account | None) -> Reply:
        """The whole end of DATA: never raises; the reply says what became of it."""
        account = None if account is None else self._sending.current(account)

        async def work() -> Reply:
            facts = await self._recipients.facts(account, envelope.reverse_path)
            transaction = Transaction(self._services, envelope, body, account=account, facts=facts)
            reply = await transaction.run()
            try:
                self._dmarc.count(transaction.mail, reply)
            except Exception:
                # It may be durable by now: a 4xx would only bring the message a second time.
                _log.exception("%s is not counted for DMARC reports", envelope.accept_id)
            return reply

        counted = work() if account is None else self._sending.counted(account, envelope, work())
        return await self._guarded(envelope, counted)

    async def accept_each(self, envelope: Envelope, body: Body) -> Sequence[Reply]:
        """The same by LMTP, with a reply for each recipient."""

        async def work() -> Sequence[Reply]:
            facts = await self._recipients.facts(None, envelope.reverse_path)
            return await EachTransaction(self._services, envelope, body, facts=facts).run_each()

        said = await self._guarded(envelope, work())
        return [said] * len(envelope.recipients) if isinstance(said, Reply) else said

    async def _guarded(self, envelope: Envelope, work: Coroutine[None, None, T]) -> T | Reply:
        """What the work gives; 4xx when it fails, which promises nothing."""
        try:
            return await work
        except TemporaryFailure as error:
            if error.fatal:
                self._context.fatal(error.why)
            return self._not_now(envelope, error.why, error.status)
        except OSError as error:
            return self._not_now(envelope, f"{error.strerror or error}", "3.0")
        except Exception:
            _log.exception("accepting %s", envelope.accept_id)
            return self._not_now(envelope, "an error of ours, see the daemon's log", "3.0")

    async def close(self) -> None:
        """Ends the pools; what is being delivered is finished first."""
        await self._reputation.close()
        await self._dmarc.close()
        await self._sending.close()
        await asyncio.to_thread(self._disk.shutdown)
        await asyncio.to_thread(self._gate.close)
        await self._services.filter.close()
        await self._resolver.close()
        self._arrivals.close()
        self._services.store.close()
        self._services.queue.close()
        self._services.long_senders.close()
        self._services.forwards.close()
        self._services.scripts.close()
        self._directory.close()

    def _trouble(self, error: TemporaryFailure) -> None:
        if error.fatal:
            self._context.fatal(error.why)

    def _not_now(self, envelope: Envelope, why: str, status: str) -> Reply:
        reply = Reply(
            451,
            status,
            f"The message cannot be taken at the moment; try again later (id={envelope.accept_id})",
        )
        if status == "3.1":
            reply = Reply(
                452, "3.1", f"There is no space for the message; try again later (id={envelope.accept_id})"
            )
        elif status == "2.2":
            reply = Reply(452, "2.2", f"The mailbox is full; try again later (id={envelope.accept_id})")
        self._context.maillog.refused_message(envelope, reply, check="local_error", why=why)
        return reply


def build(context: Context) -> AcceptService:
    """The acceptor of this worker."""
    service = AcceptService(context)
    service.start()
    return service
