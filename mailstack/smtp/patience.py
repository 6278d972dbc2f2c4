"""How much a session bears: errors, noise and guesses, with what each of them costs.

The numbers are `policy/errors.py`'s; here they become what is said.

Source: limits, sections 1 and 2.
Imports: policy.  No I/O.
"""

from __future__ import annotations

from mailstack.model.reply import Reply
from mailstack.smtp.events import At, Refusal, Say
from mailstack.smtp.options import SmtpOptions
from mailstack.smtp.policy.errors import NONE, Counters, Penalty


class Patience:
    """What all commands of a session share.

    Attributes:
        is_stressed: set by the shell when the server is short of room.
    """

    def __init__(self, options: SmtpOptions) -> None:
        self._counters = Counters(options)
        self.is_stressed = False

    def _junk(self, reply: Reply) -> Say:
        penalty = self._counters.junk(stressed=self.is_stressed)
        return Say(reply) if penalty is NONE else self._goodbye(penalty)

    def _goodbye(self, penalty: Penalty) -> Say:
        assert penalty.goodbye is not None
        return Say(
            penalty.goodbye,
            delay_s=penalty.delay_s,
            close=True,
            refusal=Refusal("command", "too_many_errors"),
        )

    def _error(self, reply: Reply, at: At, check: str, *, is_last: bool = False) -> Say:
        if check == "order" and at in ("rcpt", "data") and self._counters.is_excused():
            return Say(reply, is_last=is_last)
        if at == "mail":
            self._counters.excuse()
        return self._punished(
            reply, self._counters.error(stressed=self.is_stressed), Refusal(at, check), is_last=is_last
        )

    def _punished(
        self, reply: Reply, penalty: Penalty, refusal: Refusal | None, *, is_last: bool = False
    ) -> Say:
        if penalty.goodbye is None:
            return Say(reply, delay_s=penalty.delay_s, is_last=is_last, refusal=refusal)
        return Say(reply, delay_s=penalty.delay_s, close=True, refusal=refusal, then=penalty.goodbye)
