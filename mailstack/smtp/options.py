"""Section `[smtp]` of the configuration."""

from __future__ import annotations

import msgspec


class SmtpOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[smtp]`."""
