"""Section `[srs]` of the configuration: return paths of forwarded mail.

Imports: model.  No I/O.
"""

from __future__ import annotations

import msgspec

from mailstack.model.address import AddressError, parse_domain
from mailstack.model.errors import ConfigError

#: Two characters of day stamp tell 1024 days apart; more than half of that is ambiguous.
MAX_VALID_DAYS = 400


class SrsOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[srs]` of conf/mailstack.toml."""

    #: Domain of rewritten senders; empty: the domain of the address that forwards.
    domain: str = ""
    #: Days a bounce may take to come back to a rewritten sender.
    valid_days: int = 10

    def __post_init__(self) -> None:
        if not 1 <= self.valid_days <= MAX_VALID_DAYS:
            raise ConfigError("srs.valid_days", f"want 1 to {MAX_VALID_DAYS}")
        if self.domain:
            try:
                parse_domain(self.domain)
            except AddressError as error:
                raise ConfigError("srs.domain", f"{self.domain!r}: {error}") from None
