"""The queue's view of this machine: which return paths are here, and deliveries into mailboxes.

Blocking; called from the queue daemon's threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailstack.app import letters, whereabouts
from mailstack.app.signing import sign_report
from mailstack.delivery import local
from mailstack.delivery.dsn import Site
from mailstack.delivery.entry import Entry, EntryRecipient, RecipientKind
from mailstack.delivery.spool import Content
from mailstack.model.address import Address, AddressError
from mailstack.model.directory import Account
from mailstack.model.envelope import Body
from mailstack.model.errors import PermanentFailure, TemporaryFailure
from mailstack.model.outcome import Deferred, Delivered, Failed, Outcome
from mailstack.model.reply import Reply

if TYPE_CHECKING:
    from mailstack.app.config import Config
    from mailstack.directory import Directory
    from mailstack.mailbox import MailStore
    from mailstack.net.bus import Bus
    from mailstack.state.maillog import MailLog
    from mailstack.state.senders import LongSenders


@dataclass(frozen=True)
class Home:
    """Directory and mailboxes of this instance."""

    config: Config
    directory: Directory
    store: MailStore
    maillog: MailLog
    bus: Bus
    long_senders: LongSenders
    now: Callable[[], float]

    @property
    def site(self) -> Site:
        """Who reports, for `dsn.report`."""
        return Site(
            self.config.hostname,
            route=self.where,
            sign=self.sign,
            full_octets=self.config.queue.dsn_full_octets,
            chosen=lambda address: letters.chosen(address, self.directory),
            language=self.config.server.language,
        )

    def where(self, address: str) -> tuple[str, RecipientKind]:
        """Where mail for a return path goes; see `whereabouts.return_path`."""
        return whereabouts.return_path(
            address, self.config, self.directory, long_senders=self.long_senders, now=self.now()
        )

    def postmaster(self) -> str:
        """The mailbox here that gets what nobody else can get; "" when there is none."""
        found = whereabouts.postmaster(self.config, self.directory)
        address, kind = self.where(str(found)) if found is not None else ("", "remote")
        return address if kind == "local" else ""

    def sign(self, message: bytes, domain: str) -> bytes:
        """DKIM fields for a report; b"" where we have no key."""
        return sign_report(self.directory, message, domain, self.config.dkim, now=self.now())

    def deliver(self, entry: Entry, recipient: EntryRecipient, content: Content) -> Outcome:
        """Stores a message for one local recipient, durably and once (promise P3)."""
        account = self._account(recipient.address)
        if account is None:
            return Failed(Reply(550, "1.1", "There is no such mailbox any more"))
        retry = local.load_retry(recipient.detail, received_at=entry.facts.created_at)
        job = local.Job(
            # The first attempt's file is found again by its name; a message of our own has its own id.
            accept_id=entry.facts.accept_id if recipient.detail else entry.facts.queue_id,
            number=retry.number,
            received_at=retry.received_at,
            host=self.config.hostname,
            body=Body(
                content.read(),
                size_octets=content.size_octets,
                is_binary=entry.facts.body == "BINARYMIME",
            ),
            prefix=b"" if recipient.detail else _prefix(entry, recipient),
        )
        try:
            store = self.store.of(account)
            copies = local.store(store, job, retry.actions, first=retry.first)
        except TemporaryFailure as error:
            if error.fatal:
                raise
            reply = Reply(451, error.status, error.why)
            return Failed(reply) if recipient.is_last else Deferred(reply)
        except PermanentFailure as error:
            return Failed(Reply(552, error.status, error.why))
        self._tell(entry, account.address, copies)
        return Delivered(", ".join(copy.mailbox for copy in copies), "stored")

    def _account(self, address: str) -> Account | None:
        try:
            found = self.directory.find(Address.parse(address))
        except AddressError:
            return None
        return found if isinstance(found, Account) else None

    def _tell(self, entry: Entry, address: Address, copies: list[local.Copy]) -> None:
        for copy in copies:
            self.bus.publish("imap", {"event": "mailbox", "account": address.key, "folder": copy.mailbox})
            self.maillog.filed(
                entry.facts.queue_id,
                to=str(address),
                original=str(address),
                mailbox=copy.mailbox,
                uid=copy.uid,
                klass="",
                sieve=copy.action,
                why="from the queue" + ("; it was there before" if copy.again else ""),
            )


def _prefix(entry: Entry, recipient: EntryRecipient) -> bytes:
    """The lines of final delivery (RFC 5321 section 4.4); both addresses were checked before."""
    return f"Return-Path: <{entry.facts.sender}>\r\nDelivered-To: {recipient.address}\r\n".encode()
