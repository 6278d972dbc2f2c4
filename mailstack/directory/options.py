"""Section `[auth]` of the configuration.

Numbers: section 7 of the limits (argon2id m=19456 KiB t=2 p=1: the OWASP minimum).
"""

from __future__ import annotations

import msgspec

from mailstack.model.errors import ConfigError


class AuthOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[auth]`: passwords, log-ins, and how long a removed address can be restored."""

    #: Memory of one password hash (argon2id), in KiB.
    hash_memory_kib: int = 19_456
    #: Passes of one password hash.
    hash_passes: int = 2
    #: Shortest new password, in characters.
    password_min_chars: int = 10
    #: Seconds a good login is remembered, so that the next one costs no hash; 0: never.
    success_cache_s: int = 300
    #: App passwords an address may have.
    app_passwords: int = 10
    #: Logins of one worker that may wait for a hash; more are told to try later.
    waiting_logins: int = 64
    #: Offer SCRAM-SHA-256, which never sends the password, to mail programs.  It works for passwords
    #: that were set while it was on; what is stored for it is easier to guess from than the hash.
    scram: bool = False
    #: Rounds of SCRAM-SHA-256 for new passwords (RFC 7677: at least 4096).
    scram_iterations: int = 10_000
    #: Days a removed address and its mail can be restored.
    restore_days: int = 30

    def __post_init__(self) -> None:
        if not 1_024 <= self.hash_memory_kib <= 131_072:
            raise ConfigError("auth.hash_memory_kib", "want 1024 <= hash_memory_kib <= 131072")
        if not 1 <= self.hash_passes <= 10:
            raise ConfigError("auth.hash_passes", "want 1 <= hash_passes <= 10")
        if not 1 <= self.password_min_chars <= 64:
            raise ConfigError("auth.password_min_chars", "want 1 <= password_min_chars <= 64")
        if not 0 <= self.success_cache_s <= 3_600:
            raise ConfigError("auth.success_cache_s", "want 0 <= success_cache_s <= 3600")
        if not 0 <= self.app_passwords <= 1_000:
            raise ConfigError("auth.app_passwords", "want 0 <= app_passwords <= 1000")
        if not 1 <= self.waiting_logins <= 10_000:
            raise ConfigError("auth.waiting_logins", "want 1 <= waiting_logins <= 10000")
        if not 4_096 <= self.scram_iterations <= 1_000_000:
            raise ConfigError("auth.scram_iterations", "want 4096 <= scram_iterations <= 1000000")
        if not 0 <= self.restore_days <= 3_650:
            raise ConfigError("auth.restore_days", "want 0 <= restore_days <= 3650")
