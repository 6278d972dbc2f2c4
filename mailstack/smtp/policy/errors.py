"""Counters that end a session which only makes errors, noise or guesses.

Source: limits, section 2; harvest protection is T12.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mailstack.model.reply import Reply
from mailstack.smtp.options import SmtpOptions, cap


@dataclass(frozen=True, slots=True)
class Penalty:
    """What an error costs.

    Attributes:
        delay_s: wait before the reply.
        goodbye: when not None, say this instead and close.
    """

    delay_s: float = 0.0
    goodbye: Reply | None = None


NONE: Final = Penalty()
TOO_MANY_ERRORS: Final = Reply(421, "7.0", "Too many errors, closing the connection")
TOO_MUCH_NOISE: Final = Reply(421, "7.0", "Too many commands without mail, closing the connection")
TOO_MANY_UNKNOWN: Final = Reply(421, "7.0", "Too many unknown recipients, closing the connection")


class Counters:
    """One session's errors, junk commands and unknown recipients."""

    def __init__(self, options: SmtpOptions) -> None:
        self._options = options
        self._errors = 0
        self._junk = 0
        self._unknown = 0
        self._has_recipient = False
        self._excused = 0

    def error(self, *, stressed: bool = False) -> Penalty:
        """A 5xx to a command of theirs."""
        self._errors += 1
        options = self._options
        limit = cap(options.errors if self._has_recipient else options.errors_before_recipient)
        if stressed:
            limit = 1
        if limit is not None and self._errors >= limit:
            return Penalty(self._delay(self._errors), TOO_MANY_ERRORS)
        return Penalty(self._delay(self._errors))

    def excuse(self) -> None:
        """A sender was refused: what a pipelining client had sent behind it is no error of its own."""
        self._excused = self._options.mx_recipients + 1

    def is_excused(self) -> bool:
        """Whether this command is one of those; each call counts one."""
        self._excused -= 1
        return self._excused >= 0

    def unknown_recipient(self) -> Penalty:
        """A recipient nobody has."""
        self._unknown += 1
        limit = cap(self._options.unknown_recipients)
        if limit is not None and self._unknown >= limit:
            return Penalty(self._delay(self._unknown), TOO_MANY_UNKNOWN)
        return Penalty(self._delay(self._unknown))

    def junk(self, *, stressed: bool = False) -> Penalty:
        """NOOP, RSET, VRFY, HELP and the like."""
        self._junk += 1
        limit = 1 if stressed else cap(self._options.junk_commands)
        return Penalty(goodbye=TOO_MUCH_NOISE) if limit is not None and self._junk > limit else NONE

    def good_recipient(self) -> None:
        """A recipient was taken: more patience from now on."""
        self._has_recipient = True

    def message_taken(self) -> None:
        """A message was taken: errors and noise before it are forgiven, guesses are not."""
        self._errors = self._junk = 0

    def _delay(self, count: int) -> float:
        return self._options.error_delay_s if count > self._options.errors_before_delay else 0.0
