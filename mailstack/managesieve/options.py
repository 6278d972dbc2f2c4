"""Section `[managesieve]` of the configuration: limits and switches of the ManageSieve server.

Numbers: limits, sections 1, 5 and 6.

Standards: RFC 5804 section 1.2 (autologout).
Imports: model.  No I/O.
"""

from __future__ import annotations

import msgspec

from mailstack.model.errors import ConfigError


class ManageSieveOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[managesieve]` of conf/mailstack.toml."""

    #: Allow login without TLS from loopback addresses; for trying out with tools that have no TLS.
    allow_plaintext_loopback: bool = False
    #: Sessions of one account at a time.
    max_per_account: int = 3
    #: Connections in all that have not logged in, per worker process.
    max_before_login: int = 200
    #: Connections in all, per worker process; 0 takes none.
    max_connections: int = 1_000
    #: Time from the greeting to the login.
    login_time_s: float = 60.0
    #: Silence after login until the connection is closed (RFC 5804 section 1.2: at least 30 minutes).
    idle_time_s: float = 1_800.0
    #: Wait for a client that has stopped reading.
    stalled_time_s: float = 300.0
    #: Login failures on one connection until it is closed.
    max_login_failures: int = 3
    #: Commands that are none until the connection is closed, before login.
    max_bad_before_login: int = 3
    #: The same after login.
    max_bad_after_login: int = 20
    #: Scripts one account may have checked in a minute, by PUTSCRIPT and CHECKSCRIPT, per worker process.
    checks_per_minute: int = 60
    #: Processor time all checks of one account may take in an hour, in seconds, per worker process.
    check_s_per_hour: float = 30.0

    def __post_init__(self) -> None:
        if self.idle_time_s < 1 or self.login_time_s <= 0:
            raise ConfigError("managesieve.idle_time_s", "want idle_time_s >= 1 and login_time_s > 0")
        if not 1 <= self.max_per_account <= 1_000_000:
            raise ConfigError("managesieve.max_per_account", "want 1 to 1000000")
        if self.checks_per_minute < 1 or self.check_s_per_hour <= 0:
            raise ConfigError(
                "managesieve.checks_per_minute", "want checks_per_minute >= 1 and check_s_per_hour > 0"
            )
