"""Section `[mailbox]` of the configuration."""

from __future__ import annotations

import msgspec

from mailstack.model.errors import ConfigError


class MailboxOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[mailbox]`: limits and habits of the mail store."""

    #: Folders an account may have.
    max_folders: int = 1_000

    #: As max_folders, for accounts of the plan "free".
    max_folders_free: int = 100

    #: Different keywords (flags of one's own) a folder may know.
    max_keywords: int = 100

    #: Accounts a process keeps open at the same time; fewer when it may not open so many files.
    max_open_accounts: int = 256

    #: Octets an account without a quota of its own may hold; Spam and Trash are counted apart.  0: no limit.
    quota_octets: int = 0

    #: Messages an account without a quota of its own may hold; 0: no limit.
    quota_messages: int = 0

    #: As quota_octets, for accounts of the plan "free".
    quota_free_octets: int = 0

    #: As quota_messages, for accounts of the plan "free".
    quota_free_messages: int = 0

    #: Days mail to a full mailbox is answered "try again later"; then it is refused for good.
    full_tempfail_days: int = 7

    #: Days after which a message in Spam goes; an account may have its own number.  0: never.
    spam_expire_days: int = 30

    #: Days between two lists of what came into Spam, for owners who read by POP3 alone.  0: never.
    spam_digest_days: int = 7

    #: Days after which a message in Trash goes; an account may have its own number.  0: never.
    trash_expire_days: int = 0

    #: Days an expunged message or deleted folder is kept aside before it is gone; 0: gone at once.
    expunged_keep_days: int = 14

    #: Seconds after which changed flags are written into the Maildir file names.
    flag_names_delay_s: float = 2.0

    #: New messages whose ready-made FETCH texts may wait in memory until they are written.
    cache_backlog: int = 2_000

    #: Hours after which a file left in tmp/ by a crash is removed.
    tmp_keep_hours: int = 36

    def __post_init__(self) -> None:
        for name, least in (
            ("max_folders", 16),
            ("max_folders_free", 16),
            ("max_keywords", 1),
            ("max_open_accounts", 1),
            ("quota_octets", 0),
            ("quota_messages", 0),
            ("quota_free_octets", 0),
            ("quota_free_messages", 0),
            ("full_tempfail_days", 0),
            ("spam_expire_days", 0),
            ("spam_digest_days", 0),
            ("trash_expire_days", 0),
            ("expunged_keep_days", 0),
            ("flag_names_delay_s", 0),
            ("cache_backlog", 0),
            ("tmp_keep_hours", 1),
        ):
            if getattr(self, name) < least:
                raise ConfigError(f"mailbox.{name}", f"must be at least {least}")
