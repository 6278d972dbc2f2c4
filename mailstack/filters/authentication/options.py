"""Section `[dkim]` of the configuration.

Numbers: section 4 of the limits.
"""

from __future__ import annotations

import msgspec

from mailstack.model.errors import ConfigError


class DkimOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[dkim]`: signatures of outgoing mail and the keys that make them."""

    #: Seconds a signature is good (x=): whoever sends an old message again is not believed; 0: it never ends.
    signature_s: int = 604_800
    #: Seconds the record of a key stays needed after another one has taken its place.
    keep_retired_s: int = 1_209_600

    #: Let mail of a domain here leave unsigned when it has no key or none that can be used; else it is
    #: answered 451 and the log says why.
    unsigned: bool = False

    def __post_init__(self) -> None:
        if self.signature_s and not 86_400 <= self.signature_s <= 315_360_000:
            raise ConfigError("dkim.signature_s", "want 0, or 86400 (a day) to 315360000 (ten years)")
        if not self.signature_s <= self.keep_retired_s <= 315_360_000:
            raise ConfigError("dkim.keep_retired_s", "want at least dkim.signature_s, at most 315360000")
