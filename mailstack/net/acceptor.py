"""What the SMTP server asks of whoever decides about mail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mailstack.model.address import Address
from mailstack.model.directory import Account
from mailstack.model.envelope import Body, Client, Envelope
from mailstack.model.reply import Reply
from mailstack.sasl.exchange import Credentials
from mailstack.smtp.command import Mail


class Acceptor(Protocol):
    """Decides who may send what to whom, and takes messages."""

    async def connected(self, client: Client) -> Reply | None:
        """None when the client may speak; else a 4xx or 5xx instead of the greeting.  Quick."""
        ...

    async def authenticate(self, client: Client, given: Credentials, mechanism: str) -> Account | Reply:
        """The account, or why not, after the wait a failure earns; writes the log.

        535: the same for an unknown user and a wrong password; 454: it cannot be checked
        now; 421: nobody may log in from there for a while, the connection ends.
        """
        ...

    def device_at(self, ip: str) -> Account | None:
        """The device that may send from this address without a login.  Quick; asked on 465 and 587."""
        ...

    async def check_recipient(
        self, client: Client, account: Account | None, sender: Address | None, recipient: Address
    ) -> Reply:
        """250, or why not: 5.1.1 for an unknown user."""
        ...

    async def check_sender(self, client: Client, account: Account | None, mail: Mail) -> Reply | None:
        """None when this mail may begin: the account may use the envelope sender, nothing is used up."""
        ...

    async def accept(self, envelope: Envelope, body: Body, account: Account | None) -> Reply:
        """Takes the message: 250 when it is durable for everybody.  Never raises.

        A body in a file is removed when this returns: copy, link or rename it.
        """
        ...

    async def accept_each(self, envelope: Envelope, body: Body) -> Sequence[Reply]:
        """The same for LMTP: a reply for each of `envelope.recipients`, in their order.

        250 when the message is durable for that recipient; nothing is promised for the others.
        """
        ...

    def now(self) -> float:
        """Unix seconds."""
        ...

    def new_id(self) -> str:
        """A fresh accept id."""
        ...
