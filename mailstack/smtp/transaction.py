"""One mail of a session, from MAIL to the end of its message.

DATA takes the whole message; BDAT takes it in chunks, of which the last is marked
(RFC 3030 section 2).  A chunk that is refused fails the transaction: what a pipelining
client sends behind it is read and thrown away, until it says RSET, EHLO or MAIL.

Standards: RFC 5321 section 3.3, RFC 3030, RFC 3461.
Imports: model.  No I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mailstack.model.envelope import Client, Envelope, Recipient
from mailstack.smtp import command


@dataclass(slots=True)
class Transaction:
    """What MAIL, RCPT and BDAT have said.

    Attributes:
        recipients: by address key, in the order of RCPT, without duplicates.
        is_over_limit: a recipient above the limit was named.
        was_refused: a recipient was refused.
        has_chunks: BDAT has begun the message.
        is_failed: a chunk was refused; nothing comes of this any more.
        chunk_octets: of the message so far.
    """

    mail: command.Mail
    recipients: dict[str, Recipient] = field(default_factory=dict)
    is_over_limit: bool = False
    was_refused: bool = False
    has_chunks: bool = False
    is_failed: bool = False
    chunk_octets: int = 0

    def add(self, rcpt: command.Rcpt) -> None:
        """The recipient was taken."""
        number = len(self.recipients) + 1
        self.recipients[rcpt.address.key] = Recipient(rcpt.address, number, rcpt.notify, rcpt.orcpt)

    def envelope(self, accept_id: str, client: Client, now: float) -> Envelope:
        """The facts.  `now`: Unix seconds."""
        mail = self.mail
        return Envelope(
            accept_id=accept_id,
            client=client,
            reverse_path=mail.reverse_path,
            recipients=tuple(self.recipients.values()),
            received_at=now,
            body=mail.body,
            smtputf8=mail.smtputf8,
            requiretls=mail.requiretls,
            ret=mail.ret,
            envid=mail.envid,
        )
