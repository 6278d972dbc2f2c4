"""Section `[sending]`: how much accounts may send in an hour and in 24 hours.

Numbers and their reasons: limits, section 2.  Zero means zero; `"off"` takes a limit away.
An account may differ: `mailstack user limits`.
"""

from __future__ import annotations

import msgspec

from mailstack.model.errors import ConfigError
from mailstack.smtp.options import Cap, cap


class SendingOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[sending]` of conf/mailstack.toml.

    Counted for all workers together.  Hours and days slide: "an hour" is any 60 minutes.
    Recipients are counted once per message, before aliases are expanded.  Recipients in the
    account's own domain are no first-time recipients.
    """

    #: Messages a normal account may send in an hour. "off": no limit, as everywhere here.
    normal_messages_per_hour: Cap = 200
    #: Messages in 24 hours.
    normal_messages_per_day: Cap = 1000
    #: Recipients of all messages in an hour.
    normal_recipients_per_hour: Cap = 400
    #: Recipients of all messages in 24 hours.
    normal_recipients_per_day: Cap = 2000
    #: Recipients in an hour to whom the account never wrote before.
    normal_new_recipients_per_hour: Cap = 100
    #: The same in 24 hours.
    normal_new_recipients_per_day: Cap = 200
    #: The same six for free accounts.
    free_messages_per_hour: Cap = 10
    free_messages_per_day: Cap = 50
    free_recipients_per_hour: Cap = 20
    free_recipients_per_day: Cap = 100
    free_new_recipients_per_hour: Cap = 10
    free_new_recipients_per_day: Cap = 20
    #: The same six for devices (printers, scanners).
    device_messages_per_hour: Cap = 100
    device_messages_per_day: Cap = 200
    device_recipients_per_hour: Cap = 200
    device_recipients_per_day: Cap = 400
    device_new_recipients_per_hour: Cap = "off"
    device_new_recipients_per_day: Cap = "off"
    #: The same six for accounts that post for mailing lists ("mailstack user grant ADDRESS list").
    list_messages_per_hour: Cap = 5_000
    list_messages_per_day: Cap = 20_000
    list_recipients_per_hour: Cap = 20_000
    list_recipients_per_day: Cap = 100_000
    list_new_recipients_per_hour: Cap = "off"
    list_new_recipients_per_day: Cap = "off"
    #: Days after an account is made (or this server began to count) from which first-time recipients
    #: are limited; until then they are only learned.
    new_recipients_after_days: int = 14
    #: Days somebody who is not written to again stays known.
    correspondent_days: int = 400
    #: Notices about refused senders and reached limits an account gets in 24 hours; one of each at most.
    notices_per_day: int = 10
    #: The same for the postmaster, about limits of all accounts.
    postmaster_notices_per_day: int = 100

    def __post_init__(self) -> None:
        """Refuses limits that contradict each other."""
        for plan in ("normal", "free", "device", "list"):
            for what in ("messages", "recipients", "new_recipients"):
                key = f"{plan}_{what}_per"
                hour, day = cap(getattr(self, f"{key}_hour")), cap(getattr(self, f"{key}_day"))
                if hour is not None and day is not None and hour > day:
                    raise ConfigError(f"sending.{key}_hour", f"more in an hour than in a day ({key}_day)")
