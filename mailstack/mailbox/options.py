"""Section `[mailbox]` of the configuration."""

from __future__ import annotations

import msgspec


class MailboxOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[mailbox]`."""
