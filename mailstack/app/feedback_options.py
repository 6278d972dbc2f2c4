"""Section `[feedback]` of the configuration: what mail programs teach the filter."""

from __future__ import annotations

import msgspec

from mailstack.model.errors import ConfigError


class FeedbackOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[feedback]` of conf/mailstack.toml."""

    #: Learn from moving and marking mail; what was learned before counts on.
    enabled: bool = True
    #: Seconds after its arrival in which an unseen message moved to Spam is taken for a program's work:
    #: it teaches little and changes no list.
    automatic_s: float = 3.0
    #: Messages an account, or a domain, is taught by; of more, the newest.
    lessons: int = 300
    #: Messages an account teaches in 24 hours at most.
    lessons_per_day: int = 200
    #: Of all lessons, how many may be weak evidence: a program's work, uploaded folders, samples.
    weak_lessons: int = 100
    #: Features of all these messages together; of more, those of the newest. A message has some 200.
    #: At most 200000: more are not learned within `filter.step_s`.
    features: int = 80_000
    #: Wanted mail of the INBOX taken along at most, so that what all mail has in common is no sign of spam.
    samples: int = 40
    #: Octets of a message that are read for its features.
    message_octets: int = 1_048_576
    #: Things done by one account that may wait to be learned; of more, the newest.
    waiting: int = 1_000
    #: Days after which what still waits is forgotten.
    waiting_days: int = 7
    #: Correspondents one account learns in 24 hours from what programs put into Sent.
    sent_per_day: int = 100

    def __post_init__(self) -> None:
        if self.lessons < 1 or self.lessons > 2_000:
            raise ConfigError("feedback.lessons", "want 1 <= lessons <= 2000")
        if not 0 <= self.weak_lessons <= self.lessons:
            raise ConfigError("feedback.weak_lessons", "want 0 <= weak_lessons <= lessons")
        if not 1_000 <= self.features <= 200_000:
            raise ConfigError("feedback.features", "want 1000 <= features <= 200000")
        for key in ("automatic_s", "lessons_per_day", "samples", "waiting_days", "sent_per_day"):
            if getattr(self, key) < 0:
                raise ConfigError(f"feedback.{key}", "want 0 or more")
        if self.waiting < 1:
            raise ConfigError("feedback.waiting", "want at least 1")
        if not 1_024 <= self.message_octets <= 4_194_304:
            raise ConfigError("feedback.message_octets", "want 1024 <= message_octets <= 4194304")
