"""What a session tells its shell: send this, or find that out.

Source: architecture, section 3 (bytes in, events out, answers back).
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from mailstack.model.address import Address
from mailstack.model.directory import Account
from mailstack.model.reply import Reply
from mailstack.sasl.exchange import Credentials
from mailstack.smtp import replies
from mailstack.smtp.command import Mail

At: TypeAlias = Literal["connect", "helo", "auth", "mail", "rcpt", "data", "end", "command"]


class Refusal(NamedTuple):
    """What the log says about a 4xx or 5xx.

    Attributes:
        check: one word.
        to: the recipient.
        key: the option that decided, where several stand behind the word.
        sender: of MAIL, when it is MAIL that is refused.
    """

    at: At
    check: str
    to: str = ""
    key: str = ""
    sender: str = ""


class Say(NamedTuple):
    """Send `reply`.

    Attributes:
        delay_s: wait before it.
        close: hang up after it.
        is_last: nothing may have come behind the command.
        refusal: for the log; None when there is nothing to tell.
        then: a second reply behind it, before hanging up.
        before: replies that stand before it: LMTP answers each recipient.
    """

    reply: Reply
    delay_s: float = 0.0
    close: bool = False
    is_last: bool = False
    refusal: Refusal | None = None
    then: Reply | None = None
    before: tuple[Reply, ...] = ()

    def of_sender(self, sender: Address | None) -> Say:
        """The same; the log names the sender that MAIL gave."""
        if self.refusal is None or sender is None:
            return self
        return self._replace(refusal=self.refusal._replace(sender=str(sender)))

    def of_recipient(self, given: str) -> Say:
        """The same; the log names the recipient as RCPT gave it."""
        if self.refusal is None or not given:
            return self
        return self._replace(refusal=self.refusal._replace(to=given))


class AskSender(NamedTuple):
    """May this sender be used?  `account`: who logged in; None on MX.  `mail`: all of MAIL."""

    account: Account | None
    mail: Mail


class AskRecipient(NamedTuple):
    """Is this recipient taken?"""

    account: Account | None
    sender: Address | None
    recipient: Address


class AskLogin(NamedTuple):
    """Are these credentials right?"""

    mechanism: str
    credentials: Credentials


class BeginTls(NamedTuple):
    """Say `reply`, unless something came behind the command; then the handshake."""

    reply: Reply = replies.START_TLS


class BeginData(NamedTuple):
    """Say `reply`, unless something came behind the command; then read the message."""

    max_octets: int
    reply: Reply = replies.START_DATA


class ReadChunk(NamedTuple):
    """Read `octets` octets; they stand behind the command, whatever the answer will be.

    Attributes:
        is_first: they begin a message.
        is_last: they end it.
        refusal: when not None, throw them away and say this.
        is_binary: BODY=BINARYMIME.
    """

    octets: int
    is_first: bool = False
    is_last: bool = False
    refusal: Say | None = None
    max_octets: int = 0
    is_binary: bool = False


Event: TypeAlias = Say | AskSender | AskRecipient | AskLogin | BeginTls | BeginData | ReadChunk
