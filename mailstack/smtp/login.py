"""AUTH inside a session: which exchange runs, and how often it failed.

    login.begin(argument, offer)   the AUTH line
    login.respond(line)            each further line while `login.is_open`

Both give credentials to ask about, a challenge to send, or why it is refused.

Standards: RFC 4954 section 4.
Imports: model, sasl.  No I/O.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from mailstack.model.errors import TemporaryFailure
from mailstack.model.reply import Reply
from mailstack.sasl import exchange as sasl
from mailstack.smtp import replies
from mailstack.smtp.events import AskLogin, Say

_AUTH_WORD: Final = b"AUTH "


class Refused(NamedTuple):
    """The attempt is over.  `check`: the word for the log."""

    reply: Reply
    check: str


Step: TypeAlias = Say | AskLogin | Refused


class Login:
    """The logins of one session."""

    def __init__(self) -> None:
        self._exchange: sasl.Exchange | None = None
        self.failures = 0

    @property
    def is_open(self) -> bool:
        """True while the next line belongs to an exchange."""
        return self._exchange is not None

    def owns(self, held: bytes | bytearray) -> bool:
        """True when the line that begins with `held` is an AUTH command or a response."""
        return self._exchange is not None or held[:5].upper() == _AUTH_WORD

    def begin(self, argument: bytes, offer: sasl.Offer) -> Step:
        """What follows AUTH."""
        name, _, initial = argument.partition(b" ")
        if not name:
            return Refused(replies.ARGUMENT_MISSING, "syntax")
        found = sasl.start(name.decode("ascii"), offer)
        if found is None:
            return Refused(replies.UNKNOWN_MECHANISM, "mechanism")
        self._exchange = found
        return self.respond(initial.strip() or None)

    def respond(self, line: bytes | None) -> Step:
        """A response; None: there was no initial one."""
        exchange = self._exchange
        assert exchange is not None
        try:
            step = exchange.respond(line)
        except sasl.SaslError as error:
            self._exchange = None
            check = "cancelled" if isinstance(error, sasl.SaslCancelled) else "syntax"
            return Refused(Reply(501, "5.2", _sentence(error.why)), check)
        except TemporaryFailure:
            self._exchange = None
            return Refused(replies.NO_LOGINS_NOW, "temporary")
        if isinstance(step, sasl.Challenge):
            return Say(Reply(334, "", step.line.decode("ascii")))
        self._exchange = None
        return AskLogin(exchange.mechanism, step)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
