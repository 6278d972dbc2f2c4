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
from mailstack.model.reply import Reply
from mailstack.smtp import command, replies
from mailstack.smtp.text import too_large


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

    def add_chunk(self, octets: int) -> bool:
        """A chunk is taken; True when it is the first."""
        is_first, self.has_chunks = not self.has_chunks, True
        self.chunk_octets += octets
        return is_first

    def fail(self) -> None:
        """A chunk was refused: what pipelining sends behind it is refused too."""
        self.has_chunks = self.is_failed = True

    def out_of_order(self) -> Reply:
        """The answer to a command that has no place once BDAT has begun."""
        return replies.CHUNK_REFUSED if self.is_failed else replies.CHUNKS_BEGUN

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


def data_refusal(transaction: Transaction | None, *, has_hello: bool, is_login: bool) -> Reply | None:
    """Why DATA has no place now.

    Args:
        is_login: an account sends; a message with too many recipients goes to nobody then.
    """
    if transaction is not None:
        if transaction.has_chunks:
            return transaction.out_of_order()
        if transaction.mail.body == "BINARYMIME":
            return replies.BINARY_WANTS_BDAT  # RFC 3030 section 3
    return _message_refusal(transaction, has_hello=has_hello, is_login=is_login)


def chunk_refusal(
    transaction: Transaction | None, octets: int, *, max_octets: int, has_hello: bool, is_login: bool
) -> Reply | None:
    """Why a chunk of so many octets has no place now."""
    if transaction is not None and transaction.is_failed:
        return transaction.out_of_order()
    refusal = _message_refusal(transaction, has_hello=has_hello, is_login=is_login)
    if refusal is not None or transaction is None:
        return refusal
    return too_large(max_octets) if transaction.chunk_octets + octets > max_octets else None


def _message_refusal(transaction: Transaction | None, *, has_hello: bool, is_login: bool) -> Reply | None:
    if transaction is None:
        return replies.NEED_MAIL if has_hello else replies.SAY_HELLO
    if transaction.is_over_limit and is_login:
        return replies.SENT_TO_NOBODY
    if not transaction.recipients:
        return replies.NO_RECIPIENTS if transaction.was_refused else replies.NEED_RCPT
    return None
