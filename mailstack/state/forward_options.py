"""Section `[forwarding]`: what is sent on to addresses outside, and what happens when they refuse it."""

from __future__ import annotations

import msgspec

from mailstack.model.errors import ConfigError


class ForwardOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[forwarding]`: redirections, groups with members outside, redirects of rules.

    A target that keeps refusing is paused: mail for it stays in the mailbox of the address that forwards,
    and that address's owner is told.  An alias without a mailbox answers 450 meanwhile.
    """

    #: Messages in a row a target refuses for good, whatever for; then it is paused.
    pause_after: int = 10
    #: The same, when it says that there is no such address.
    pause_after_unknown: int = 3
    #: Seconds between two messages a paused target gets as a test; one it takes ends the pause.
    probe_s: float = 86_400
    #: Seconds from the first message that was not sent on to the list that goes to the recovery address.
    digest_s: float = 86_400
    #: How often the same message (Message-ID, Date, From) is sent on from one address to one target.
    same_message: int = 3
    #: Seconds that is remembered.
    same_message_s: float = 43_200
    #: Days a target that was asked whether it wants the mail has for its answer.
    confirm_days: int = 7
    #: How often a target is asked in a day.
    confirm_mails_per_day: int = 3
    #: Seal what is sent on (ARC, RFC 8617): tells the next server what SPF, DKIM and DMARC were here.
    arc: bool = False

    def __post_init__(self) -> None:
        for key in ("pause_after", "pause_after_unknown", "same_message", "confirm_days"):
            if getattr(self, key) < 1:
                raise ConfigError(f"forwarding.{key}", "want at least 1")
        for key in ("probe_s", "digest_s", "same_message_s", "confirm_mails_per_day"):
            if getattr(self, key) <= 0:
                raise ConfigError(f"forwarding.{key}", "want more than 0")
