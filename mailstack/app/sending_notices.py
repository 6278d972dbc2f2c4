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
from collections.abc import Callable, Sequence

from mailstack.app.letters import letter
from mailstack.app.mail import Services
from mailstack.app.whereabouts import postmaster, return_path
from mailstack.delivery.entry import QueueMessage, QueueRecipient
from mailstack.mime import generate
from mailstack.model.directory import Account
from mailstack.model.envelope import Client
from mailstack.model.errors import TemporaryFailure
from mailstack.model.reply import Reply
from mailstack.state.sending import Sending

#: Kinds of account whose owner reads mail here.
_READERS = ("mailbox", "catchall")
#: The postmaster's notices are counted under a number no account has.
_POSTMASTER = 0

_log = logging.getLogger(__name__)


class SendingNotices:
    """Writes notices; every method blocks, and never raises: a notice is no reason to refuse mail."""

    def __init__(self, services: Services, table: Sending, *, now: Callable[[], float]) -> None:
        self._s = services
        self._table = table
        self._now = now

    def mismatch(self, account: Account, client: Client, address: str, reply: Reply) -> None:
        """Somebody with this login tried to send as `address`."""
        lines = [
            f"A program that is logged in as {account.address} tried to send mail as",
            f"    {address}",
            "The mail was refused, because that address does not belong to this login.  What it was told:",
            f"    {reply.text}",
            "If it was you, choose an address of your own as sender in your mail program, or ask those"
            " who run this mail server to let you use the other one.",
            "If it was not you, somebody knows the password: change it.",
            *self._facts(client),
            "There is at most one notice a day about each address.",
        ]
        self._tell(
            account, f"sender {address.lower()}", f"Refused: mail of {account.address} as {address}", lines
        )

    def limit(self, account: Account, client: Client, reply: Reply) -> None:
        """A sending limit was reached: owner and postmaster are told (Q24)."""
        lines = [
            f"Mail that was sent with the login {account.address} was refused, because a limit is reached:",
            f"    {reply.text}",
            "Nothing of the refused mail has gone to anybody.  Most mail programs keep it and show the"
            " error; send it again later.",
            "If you did not send that much, somebody knows the password: change it.",
            *self._facts(client),
            "There is at most one notice a day about each limit.",
        ]
        subject = f"Sending limit reached: {account.address}"
        told = self._tell(account, f"limit {reply.check}", subject, lines)
        if told and account.kind in _READERS:
            about = f"limit {reply.check} {account.id}"
            self._tell_postmaster(about, subject, lines, unless=str(account.address))

    def operator(self, about: str, subject: str, lines: Sequence[str]) -> bool:
        """Tells the postmaster; once a day about each thing.  True when it was told."""
        return self._tell_postmaster(about, subject, lines)

    def _facts(self, client: Client) -> list[str]:
        at = datetime.datetime.fromtimestamp(self._now(), datetime.UTC)
        return [f"It came from the network address {client.ip}, {at:%Y-%m-%d %H:%M} UTC."]

    def _tell(self, account: Account, about: str, subject: str, lines: Sequence[str]) -> bool:
        """Gives a notice to the login's owner unless it was given today; True when it was."""
        if account.kind not in _READERS:
            return self._tell_postmaster(f"{about} {account.id}", subject, lines)
        most = self._s.config.sending.notices_per_day
        to = str(account.address)
        return self._once(account.id, about, most) and self._send(to, subject, lines) != ""

    def _tell_postmaster(self, about: str, subject: str, lines: Sequence[str], *, unless: str = "") -> bool:
        """`unless`: who has the notice already."""
        found = postmaster(self._s.config, self._s.directory)
        if found is None or not self._once(
            _POSTMASTER, about, self._s.config.sending.postmaster_notices_per_day
        ):
            return False
        return self._send(str(found), subject, lines, unless=unless) != ""

    def _once(self, account_id: int, about: str, most: int) -> bool:
        try:
            return self._table.may_tell(account_id, about, most=most, now=self._now())
        except TemporaryFailure as error:
            _log.error("a notice about sending: %s", error.why)
            return False

    def _send(self, to: str, subject: str, lines: Sequence[str], *, unless: str = "") -> str:
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
            octets = compose(
                to, subject, lines, notice_id=notice_id, hostname=services.config.hostname, now=now
            )
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
