"""What the owner of a login is told: an address that is not theirs, a sending limit.

One message a day of each kind, and so many a day in all; the tables are in state/sending.
They go through the queue into the login's own mailbox; those of devices and of addresses
that only send, which nobody reads, and a copy of every limit that was reached, go to the postmaster.

Standards: RFC 5322, RFC 3834 section 5 (Auto-Submitted).
"""

from __future__ import annotations

import datetime
import logging
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailstack.app.letters import languages, letter, write
from mailstack.app.whereabouts import postmaster, return_path
from mailstack.delivery.entry import QueueMessage, QueueRecipient
from mailstack.mime import generate
from mailstack.model.directory import Account
from mailstack.model.envelope import Client
from mailstack.model.errors import TemporaryFailure
from mailstack.model.reply import Reply
from mailstack.state.sending import Sending

if TYPE_CHECKING:
    from mailstack.app.config import Config
    from mailstack.delivery.queue import Queue
    from mailstack.directory import Directory
    from mailstack.net.bus import Bus
    from mailstack.state.maillog import MailLog
    from mailstack.state.senders import LongSenders

#: Kinds of account whose owner reads mail here.
_READERS = ("mailbox", "catchall")
#: The postmaster's notices are counted under a number no account has.
_POSTMASTER = 0

#: Gives the message for an address, of the notice's id.
_Writer = Callable[[str, str], bytes]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Means:
    """What writing notices takes.  `new_id`: a fresh queue id."""

    config: Config
    directory: Directory
    queue: Queue
    long_senders: LongSenders
    maillog: MailLog
    bus: Bus
    new_id: Callable[[], str]


class SendingNotices:
    """Writes notices; every method blocks, and never raises: a notice is no reason to refuse mail."""

    def __init__(self, services: Means, table: Sending, *, now: Callable[[], float]) -> None:
        self._s = services
        self._table = table
        self._now = now

    def mismatch(self, account: Account, client: Client, address: str, reply: Reply) -> None:
        """Somebody with this login tried to send as `address`."""
        values = self._facts(account, client, reply) | {"address": address}
        self._tell(account, f"sender {address.lower()}", "sender_mismatch", values)

    def limit(self, account: Account, client: Client, reply: Reply) -> None:
        """A sending limit was reached: owner and postmaster are told (Q24)."""
        values = self._facts(account, client, reply)
        told = self._tell(account, f"limit {reply.check}", "sending_limit", values)
        if told and account.kind in _READERS:
            self._tell_postmaster(
                f"limit {reply.check} {account.id}",
                self._written("sending_limit", values),
                unless=str(account.address),
            )

    def operator(self, about: str, subject: str, lines: Sequence[str]) -> bool:
        """Tells the postmaster; once a day about each thing.  True when it was told."""
        return self._tell_postmaster(
            about,
            lambda to, notice_id: compose(
                to, subject, lines, notice_id=notice_id, hostname=self._s.config.hostname, now=self._now()
            ),
        )

    def _facts(self, account: Account, client: Client, reply: Reply) -> dict[str, str]:
        at = datetime.datetime.fromtimestamp(self._now(), datetime.UTC)
        return {
            "login": str(account.address),
            "reply": reply.text,
            "ip": client.ip,
            "when": f"{at:%Y-%m-%d %H:%M} UTC",
        }

    def _written(self, name: str, values: Mapping[str, str]) -> _Writer:
        """A letter in the language of whoever gets it."""
        language_of = languages(self._s.directory, self._s.config.server.language)
        return lambda to, notice_id: write(
            name,
            language_of(to),
            to=to,
            message_id=f"{notice_id}@{self._s.config.hostname}",
            at=self._now(),
            **values,
        )

    def _tell(self, account: Account, about: str, name: str, values: Mapping[str, str]) -> bool:
        """Gives a notice to the login's owner unless it was given today; True when it was."""
        writer = self._written(name, values)
        if account.kind not in _READERS:
            return self._tell_postmaster(f"{about} {account.id}", writer)
        most = self._s.config.sending.notices_per_day
        return self._once(account.id, about, most) and self._send(str(account.address), writer) != ""

    def _tell_postmaster(self, about: str, writer: _Writer, *, unless: str = "") -> bool:
        """`unless`: who has the notice already."""
        found = postmaster(self._s.config, self._s.directory)
        if found is None or not self._once(
            _POSTMASTER, about, self._s.config.sending.postmaster_notices_per_day
        ):
            return False
        return self._send(str(found), writer, unless=unless) != ""

    def _once(self, account_id: int, about: str, most: int) -> bool:
        try:
            return self._table.may_tell(account_id, about, most=most, now=self._now())
        except TemporaryFailure as error:
            _log.error("a notice about sending: %s", error.why)
            return False

    def _send(self, to: str, writer: _Writer, *, unless: str = "") -> str:
        """Queues a notice; gives where it goes, "" when it goes nowhere."""
        now, services = self._now(), self._s
        notice_id = services.new_id()
        try:
            where, kind = return_path(
                to, services.config, services.directory, long_senders=services.long_senders, now=now
            )
            if where in ("", unless):
                return ""
            owner = where if kind == "local" else ""
            octets = writer(to, notice_id)
            message = QueueMessage(
                queue_id=notice_id,
                recipients=(QueueRecipient(where, frozenset({"NEVER"}), kind=kind, owner=owner),),
                data=octets,
                smtputf8=not (to.isascii() and where.isascii()),
                kind="vacation",
                owner=owner,
            )
            services.queue.enqueue([message])
        except TemporaryFailure as error:
            _log.error("a notice to %s: %s", to, error.why)
            return ""
        services.maillog.queued("", queue_id=notice_id, sender="", to=where, kind="notice", owner=owner)
        services.bus.publish("queue", {"event": "queued"})
        return where


def compose(
    to: str, subject: str, lines: Sequence[str], *, notice_id: str, hostname: str, now: float
) -> bytes:
    """The whole message.

    Args:
        lines: paragraphs; those that begin with a space stay as they are.
    """
    text = "\r\n\r\n".join(_wrapped(line) for line in lines) + "\r\n"
    return letter(to, subject, text, message_id=f"{notice_id}@{hostname}", at=now)


def _wrapped(line: str) -> str:
    if line.startswith(" "):
        return "    " + generate.clean(line)[:400]
    return "\r\n".join(textwrap.wrap(generate.clean(line), 76, break_on_hyphens=False))
