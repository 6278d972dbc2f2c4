"""Letters to the owner of an address here: into the mailbox, and to the recovery address.

An address nobody reads (an alias, a device) has no owner who could be told: the postmaster is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailstack.app.letters import languages, write
from mailstack.app.signing import sign_report
from mailstack.app.whereabouts import postmaster, return_path
from mailstack.delivery.entry import QueueMessage, QueueRecipient
from mailstack.model.address import Address
from mailstack.model.directory import Account

if TYPE_CHECKING:
    from mailstack.app.config import Config
    from mailstack.directory import Directory
    from mailstack.model.language import Language
    from mailstack.state.senders import LongSenders

#: Kinds of account whose owner reads mail here.
READERS = ("mailbox", "catchall")


@dataclass(frozen=True, slots=True)
class OwnerMail:
    """Writes letters as messages for the queue; blocking.

    Attributes:
        new_id: a fresh queue id.
        now: gives Unix seconds.
    """

    config: Config
    directory: Directory
    long_senders: LongSenders
    new_id: Callable[[], str]
    now: Callable[[], float]

    def language(self, owner: Address) -> Language:
        """In which language the owner of an address is written to.

        Raises:
            TemporaryFailure: the directory cannot be read.
        """
        return languages(self.directory, self.config.server.language)(str(owner))

    def _language_at(self, to: str, owner: Address) -> Language:
        """An address here has a language of its own; elsewhere it is the owner who reads."""
        reader = Address.parse(to)
        return self.language(owner if self.directory.domain(reader.domain) is None else reader)

    def letters(self, owner: Address, name: str, **values: str) -> list[QueueMessage]:
        """The letter `[letter.NAME]` to wherever the owner of an address reads mail.

        Raises:
            TemporaryFailure: the directory cannot be read.
        """
        found = self.directory.find(owner)
        if not isinstance(found, Account) or found.kind not in READERS:
            where = postmaster(self.config, self.directory)
            return [] if where is None else self.letter(owner, str(where), name, **values)
        made = self.letter(owner, str(found.address), name, **values)
        return made + (self.letter(owner, found.recovery, name, **values) if found.recovery else [])

    def letter(self, owner: Address, to: str, name: str, **values: str) -> list[QueueMessage]:
        """One letter about an address here to one address, here or elsewhere; none when it leads nowhere.

        Raises:
            TemporaryFailure: the directory cannot be read.
        """
        where, kind = return_path(
            to, self.config, self.directory, long_senders=self.long_senders, now=self.now()
        )
        if not where:
            return []
        queue_id, now = self.new_id(), self.now()
        octets = write(
            name,
            self._language_at(to, owner),
            to=to,
            message_id=f"{queue_id}@{self.config.hostname}",
            at=now,
            from_domain=owner.domain,
            **values,
        )
        prefix = b""
        if kind == "remote":
            prefix = sign_report(self.directory, octets, owner.domain, self.config.dkim, now=now)
        recipient = QueueRecipient(
            where, frozenset({"NEVER"}), kind=kind, owner=where if kind == "local" else str(owner)
        )
        return [
            QueueMessage(
                queue_id=queue_id,
                recipients=(recipient,),
                data=octets,
                prefix=prefix,
                smtputf8=not (to.isascii() and where.isascii()),
                kind="vacation",
                owner=str(owner),
            )
        ]
