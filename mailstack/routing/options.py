"""Section `[routing]`: how far addresses are followed."""

from __future__ import annotations

import msgspec

from mailstack.model.errors import ConfigError


class RoutingOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[routing]`: how far aliases and groups may expand."""

    #: Members one alias or group may expand to.
    max_members: int = 500
    #: How many aliases may point at each other in a row.
    max_depth: int = 10
    #: Addresses one message may expand to in all.
    max_expansion: int = 1000

    def __post_init__(self) -> None:
        if min(self.max_members, self.max_depth, self.max_expansion) < 1:
            raise ConfigError("routing", "max_members, max_depth and max_expansion want at least 1")
