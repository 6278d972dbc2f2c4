"""LMTP: the SMTP session of a client that is told about each recipient by itself.

An MTA in front of us, or a list manager, hands mail over and keeps what we do not take;
so nothing has to be taken for several recipients at once, and no report is ever sent
about mail that came this way.  What differs from SMTP: LHLO instead of EHLO, a reply for
every accepted RCPT at the end of the message, and no penalties: these clients are listed.

    session.each_ended(replies)      one per recipient of `envelope`, in its order

Standards: RFC 2033.
Imports: smtp.  No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, cast

from mailstack.model.reply import Reply
from mailstack.smtp import replies
from mailstack.smtp.command import parse_rcpt
from mailstack.smtp.events import Event, Refusal, Say
from mailstack.smtp.extensions import Offer
from mailstack.smtp.policy.errors import Penalty
from mailstack.smtp.session import Session

#: RCPT commands of one message that are answered with 250, the same recipient named again too.
MOST_NAMED: Final = 1000
TOO_MANY: Final = Reply(452, "5.3", "Too many RCPT commands in one message", "too_many")
SAY_LHLO: Final = Reply(500, "5.1", "This is LMTP: say LHLO")


class LmtpSession(Session):
    """See the module's head."""

    #: For every RCPT that was answered with 250, the number of its recipient; the same
    #: recipient may have been named twice.
    _named: list[int]

    def greeting(self) -> Reply:
        """What to say first."""
        return Reply(220, "", f"{self._setting.hostname} LMTP mailstack")

    # -- hello ---------------------------------------------------------------------

    def _lhlo(self, argument: bytes) -> Event:
        return self._hello(argument, esmtp=True)

    def _not_lmtp(self, argument: bytes) -> Event:
        # RFC 2033 section 4.1: never a positive reply to HELO and EHLO.
        return self._error(SAY_LHLO, "helo", "not_lmtp", is_last=True)

    def _offer(self) -> Offer:
        return replace(super()._offer(), messages=None)

    def _has_enough_messages(self) -> bool:
        return False

    # -- the transaction -------------------------------------------------------------

    def sender_answered(self, reply: Reply | None) -> Say:
        """None: the sender may be used."""
        self._named = []
        return super().sender_answered(reply)

    def _lmtp_rcpt(self, argument: bytes) -> Event:
        if self._transaction is not None and len(self._named) >= MOST_NAMED:
            return Say(TOO_MANY, refusal=Refusal("rcpt", TOO_MANY.check))
        event = self._rcpt(argument)
        if isinstance(event, Say) and event.reply.is_ok:  # named before
            transaction = self._transaction
            assert transaction is not None
            rcpt = parse_rcpt(argument, self._dialect, has_utf8=transaction.mail.smtputf8)
            self._named.append(transaction.recipients[rcpt.address.key].number)
        return event

    def recipient_answered(self, reply: Reply) -> Say:
        """Whether the recipient is taken: any 2xx."""
        if reply.is_ok:
            assert self._transaction is not None
            self._named.append(len(self._transaction.recipients) + 1)
        return super().recipient_answered(reply)

    def _lmtp_data(self, argument: bytes) -> Event:
        transaction = self._transaction
        if transaction is not None and not transaction.recipients and not argument:
            # RFC 2033 section 4.2: 503, also when recipients were refused.
            return self._error(replies.NEED_RCPT, "data", "order", is_last=True)
        return self._data(argument)

    def message_ended(self, reply: Reply) -> Say:
        """The message was read to its end and `reply` is the answer for everybody."""
        return self.each_ended([reply] * max(self._named, default=1))

    def each_ended(self, answers: Sequence[Reply]) -> Say:
        """The message was read to its end; an answer for each recipient, by its number."""
        self._transaction = None
        self._messages += 1
        *before, last = [answers[number - 1] for number in self._named] or answers
        return Say(last, before=tuple(before))

    # -- no penalties ------------------------------------------------------------------

    def _junk(self, reply: Reply) -> Say:
        return Say(reply)

    def _punished(
        self, reply: Reply, penalty: Penalty, refusal: Refusal | None, *, is_last: bool = False
    ) -> Say:
        return Say(reply, is_last=is_last, refusal=refusal)


#: Called with an LmtpSession only.
_OWN: Final = cast(
    Mapping[str, Callable[[Session, bytes], Event]],
    {
        "LHLO": LmtpSession._lhlo,
        "EHLO": LmtpSession._not_lmtp,
        "HELO": LmtpSession._not_lmtp,
        "RCPT": LmtpSession._lmtp_rcpt,
        "DATA": LmtpSession._lmtp_data,
    },
)
LmtpSession.handlers = {**Session.handlers, **_OWN}
