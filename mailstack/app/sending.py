"""How much logins send: asked at MAIL, counted at the end of DATA, told to their owners.

A message is counted for all workers together before anything is done for it, and given
back when it is refused or fails; only what was accepted makes its recipients known ones.
While nothing can be counted, logins are told to come again; devices, which would not, send
without limits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TypeVar, TypeVarTuple

from mailstack.app import devices
from mailstack.app.containment import Containing
from mailstack.app.fuse import Aside
from mailstack.app.mail import Services
from mailstack.app.sending_notices import Means, SendingNotices
from mailstack.model.containment import Contained
from mailstack.model.directory import Account
from mailstack.model.envelope import Client, Envelope
from mailstack.model.errors import TemporaryFailure
from mailstack.model.reply import Reply
from mailstack.model.sending import LIMITS, Over
from mailstack.smtp.command import Mail
from mailstack.smtp.policy import sender, sending
from mailstack.smtp.policy.sender import Mismatch
from mailstack.state.sending import Sending, Ticket

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

#: Trouble with counting is said so often at most, in seconds.
_SAY_S = 60.0

_log = logging.getLogger(__name__)


class SendingGuard:
    """What accounts may send, for one worker."""

    def __init__(self, services: Services, *, now: Callable[[], float]) -> None:
        self._s = services
        self._now = now
        self._table = Sending(services.config.paths.state_db)
        self._aside = Aside("counting")
        self._said_at = -_SAY_S
        means = Means(
            services.config,
            services.directory,
            services.queue,
            services.long_senders,
            services.maillog,
            services.bus,
            services.new_id,
        )
        self._notices = SendingNotices(means, self._table, now=now)
        self._containing = Containing(
            services.config,
            services.directory,
            services.queue,
            maillog=services.maillog,
            bus=services.bus,
            long_senders=services.long_senders,
            now=now,
        )
        self.tell_operator = self._notices.operator
        self._started_at: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Ends what is under way; before the threads end."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._aside.close)
        self._table.close()
        self._containing.close()

    def current(self, account: Account) -> Account:
        """The account as it is now: a session may have begun before its limits were changed."""
        try:
            return self._s.directory.account_by_id(account.id) or account
        except TemporaryFailure as error:
            _log.error("looking at %s: %s", account.address, error.why)
            return account

    # -- at MAIL ------------------------------------------------------------------------

    async def check_sender(self, client: Client, account: Account, mail: Mail) -> Reply | None:
        """None when the login may use the envelope sender and has something left to send."""
        directory = self._s.directory
        refusal = sender.check_envelope(
            account,
            mail.reverse_path,
            may_send_as=lambda address: directory.may_send_as(account, address),
        )
        if refusal is not None:
            self._tell(client, account, refusal)
            return refusal
        refusal = self._check_stopped(account) or self._check_limits(account)
        if refusal is not None:
            self._tell(client, account, refusal)
        return refusal

    def _check_stopped(self, account: Account) -> Reply | None:
        try:
            found = self._containing.find(account.id)
        except TemporaryFailure as error:
            _log.error("whether %s is stopped: %s", account.address, error.why)
            return None
        return None if found is None else sending.stopped(account, found)

    def _check_limits(self, account: Account) -> Reply | None:
        """Saves a client at its limit the way to the end of DATA, where it counts."""
        caps = sending.caps_of(self.current(account), self._s.config.sending)
        try:
            over = self._table.check(account.id, caps, self._now())
        except TemporaryFailure as error:
            _log.error("what %s has sent: %s", account.address, error.why)
            return None
        return None if over is None else sending.refusal(account, over)

    # -- at the end of DATA ---------------------------------------------------------------

    async def counted(
        self, account: Account, envelope: Envelope, deliver: Coroutine[None, None, Reply]
    ) -> Reply:
        """Carries `deliver` out if the account may send so much; counts it when it was accepted.

        Raises:
            TemporaryFailure: it cannot be counted now; `deliver` was not begun.
        """
        try:
            taken = await self._count(account, envelope)
        except BaseException:
            deliver.close()
            raise
        if taken is None:
            refusal = await deliver
        elif isinstance(taken, Contained):
            deliver.close()
            refusal = sending.stopped(account, taken)
            self._log(envelope, refusal, "containment.score")
            if not taken.is_settled:
                self._begin(partial(self._containing.act, account, taken))
        elif isinstance(taken, Over):
            deliver.close()
            refusal = sending.refusal(account, taken)
            self._log(envelope, refusal, sending.key_of(account, taken.name))
        else:
            refusal = await self._delivered(taken, deliver)
        if not refusal.is_ok:
            self._tell(envelope.client, account, refusal)
        return refusal

    async def _count(self, account: Account, envelope: Envelope) -> Ticket | Over | Contained | None:
        """None: it cannot be counted, and the client would not come again."""
        try:
            return await self._aside.run(lambda: self._take(account, envelope))
        except TemporaryFailure as error:
            if error.fatal or not devices.is_patient(account):
                raise
            now = time.monotonic()
            if now - self._said_at >= _SAY_S:
                self._said_at = now
                _log.error("devices send without limits: %s", error.why)
            return None

    async def _delivered(self, ticket: Ticket, deliver: Coroutine[None, None, Reply]) -> Reply:
        try:
            reply = await deliver
        except Exception:
            await self._settle(ticket, is_accepted=False)
            raise
        await self._settle(ticket, is_accepted=reply.is_ok)
        return reply

    def _take(self, account: Account, envelope: Envelope) -> Ticket | Over | Contained:
        options, now = self._s.config.sending, self._now()
        if self._started_at is None:
            self._started_at = self._table.started_at()
        recipients = [recipient.address.key for recipient in envelope.recipients]
        caps = sending.caps_of(account, options)
        counts_new = sending.counts_new(account, self._started_at, options, now)
        return self._table.take(
            account.id,
            recipients,
            caps,
            strangers=sending.strangers(account, recipients),
            counts_new=counts_new,
            now=now,
            look=self._containing.watch(
                account,
                ip="" if envelope.client.by_address else envelope.client.ip,
                new_limit=sending.new_limit(caps, counts_new=counts_new),
                now=now,
            ),
        )

    async def _settle(self, ticket: Ticket, *, is_accepted: bool) -> None:
        try:
            if not is_accepted:
                await self._aside.run(lambda: self._table.give_back(ticket))
            elif ticket.unknown:
                await self._aside.run(
                    lambda: self._table.learn(ticket.account_id, ticket.unknown, self._now())
                )
        except TemporaryFailure as error:
            # The reply stands; what stays counted is on the safe side.
            _log.error("counting what account %d sends: %s", ticket.account_id, error.why)
        except Exception:  # a mistake of ours here must not bring an accepted message a second time
            _log.exception("counting what account %d sends", ticket.account_id)

    def _log(self, envelope: Envelope, refusal: Reply, key: str) -> None:
        self._s.maillog.refused_message(envelope, refusal, check=refusal.check, key=key)

    # -- notices ------------------------------------------------------------------------

    def _tell(self, client: Client, account: Account, refusal: Reply) -> None:
        """Tells the owner, without holding the reply up."""
        if isinstance(refusal, Mismatch):
            work = partial(self._notices.mismatch, account, client, refusal.address, refusal)
        elif refusal.check in LIMITS:
            work = partial(self._notices.limit, account, client, refusal)
        else:
            return
        self._begin(work)

    def _begin(self, work: Callable[[], None]) -> None:
        task = asyncio.get_running_loop().create_task(self._quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _quietly(self, work: Callable[[], None]) -> None:
        try:
            await self._blocking(work)
        except Exception:  # a mistake of ours in a notice must not be one in the mail
            _log.exception("what follows from a refused message")

    async def _blocking(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await self._s.disk.run(work, *arguments)
