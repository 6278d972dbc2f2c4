"""Section `[queue]` of the configuration."""

from __future__ import annotations

import msgspec


class QueueOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[queue]`."""
