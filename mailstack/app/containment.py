"""What follows when an account looks stolen: its queue is held, owner and operator are told.

That it is stopped stands in state.db first; holding its mail and telling people follow from
that row, are marked in it, and are done again by the queue daemon's rounds when a process
died in between.  Blocking, but for `keep_watch`.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from mailstack.app.owner_mail import READERS, OwnerMail
from mailstack.app.whereabouts import postmaster
from mailstack.delivery import holds
from mailstack.model.containment import Contained
from mailstack.model.directory import Account
from mailstack.model.errors import PermanentFailure, TemporaryFailure
from mailstack.model.sending import Used
from mailstack.state import containment
from mailstack.state.containment import Containment, Watch

if TYPE_CHECKING:
    from mailstack.app.config import Config
    from mailstack.delivery.queue import Queue
    from mailstack.directory import Directory
    from mailstack.net.bus import Bus
    from mailstack.state.maillog import MailLog
    from mailstack.state.senders import LongSenders
    from mailstack.state.sending import Look

#: Seconds between two looks at what is left to be done.
CATCH_UP_S = 60.0

_log = logging.getLogger(__name__)


class Containing:
    """The means of one process."""

    def __init__(
        self,
        config: Config,
        directory: Directory,
        queue: Queue,
        *,
        maillog: MailLog,
        bus: Bus,
        long_senders: LongSenders,
        now: Callable[[], float],
    ) -> None:
        self._config = config
        self._directory = directory
        self._queue = queue
        self._maillog = maillog
        self._bus = bus
        self._long_senders = long_senders
        self._now = now
        self._options = config.containment
        self._table = Containment(config.paths.state_db)
        # The event loop's own: it never waits for a thread that writes.
        self._looks = Containment(config.paths.state_db)

    def close(self) -> None:
        """Releases the database."""
        self._table.close()
        self._looks.close()

    def find(self, account_id: int) -> Contained | None:
        """The account as it stands; None when it may send.  Quick; from one thread only."""
        return self._looks.find(account_id) if self._options.enabled else None

    def watch(self, account: Account, *, ip: str, new_limit: int | None, now: float) -> Look | None:
        """What `Sending.take` asks first; None: nobody is stopped.

        Args:
            ip: where the message comes from; "" when that says nothing.
            new_limit: first-time recipients it may have in an hour; None: they mean nothing.
        """
        if not self._options.enabled or account.sending.is_list:
            return None
        watch = Watch(self._options, ip, new_limit)

        def look(connection: sqlite3.Connection, used: Used, new: int) -> Contained | None:
            return containment.look(connection, account.id, watch, used=used, new=new, now=now)

        return look

    def bounced(self, owner: str, recipients: int) -> None:
        """Recipients refused mail of a login here for good; never raises."""
        if not self._options.enabled:
            return
        try:
            account = self._directory.find_account(owner)
            if account is None or account.sending.is_list:
                return
            found = self._table.bounced(account.id, recipients, Watch(self._options), now=self._now())
        except TemporaryFailure as error:
            _log.error("counting bounces of %s: %s", owner, error.why)
            return
        if found is not None and not found.is_settled:
            self.act(account, found)

    def catch_up(self) -> None:
        """Does what is left to be done about stopped accounts; never raises."""
        try:
            made_at = float(str(self._queue.read("SELECT value FROM meta WHERE name = 'made_at'")[0][0]))
            for found in self._table.listed():
                # A queue.db that was lost has lost its holds too.
                if found.is_settled and not self._table.held_before(found.account_id, made_at):
                    continue
                account = self._directory.account_by_id(found.account_id)
                if account is not None:
                    self.act(account, found)
        except TemporaryFailure as error:
            _log.error("stopped accounts: %s", error.why)

    def act(self, account: Account, found: Contained) -> None:
        """Holds what the account has in the queue, and tells who must know, once; never raises."""
        address = str(account.address)
        try:
            held = holds.hold(self._queue, "sender", address, reason=found.why, who=holds.CONTAINMENT)
            self._table.mark_held(account.id, now=self._now())
            if not self._table.claim_notice(account.id, now=self._now()):
                return
            _log.warning("%s is stopped: %s", address, found.why)
            self._maillog.write(
                "contained",
                sent_by=[address],
                account=address,
                check="contained",
                score=round(found.score, 2),
                held=held,
                why=found.why,
            )
            self._tell(account, found, held)
        except (TemporaryFailure, PermanentFailure) as error:
            _log.error("%s is stopped; what follows from that: %s", address, error.why)

    # -- who is told ----------------------------------------------------------------------

    def _tell(self, account: Account, found: Contained, held: int) -> None:
        """The owner where the thief does not read, else in the mailbox; and the operator."""
        at = datetime.datetime.fromtimestamp(found.since, datetime.UTC)
        values = {
            "login": str(account.address),
            "why": found.why,
            "when": f"{at:%Y-%m-%d %H:%M} UTC",
            "held": str(held),
        }
        owner = account.recovery or (str(account.address) if account.kind in READERS else "")
        operator = postmaster(self._config, self._directory)
        mail = OwnerMail(self._config, self._directory, self._long_senders, self._queue.new_id, self._now)
        letters = mail.letter(account.address, owner, "contained_owner", **values) if owner else []
        if operator is not None:
            letters += mail.letter(account.address, str(operator), "contained_operator", **values)
        # Nobody's: what is the account's own is held.
        self._queue.enqueue([replace(letter, owner="") for letter in letters])
        for letter in letters:
            to = letter.recipients[0]
            self._maillog.queued(
                "", queue_id=letter.queue_id, sender="", to=to.address, kind="notice", owner=to.owner
            )
        self._bus.publish("queue", {"event": "queued"})


async def keep_watch(containing: Containing) -> None:
    """Does what is left to be done about stopped accounts, until it is cancelled."""
    while True:
        await asyncio.sleep(CATCH_UP_S)
        await asyncio.to_thread(containing.catch_up)
