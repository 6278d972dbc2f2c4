"""Section `[pop3]` of the configuration: limits and switches of the POP3 server.

Numbers: limits, sections 1 and 6.

Standards: RFC 1939 section 3 (autologout).
Imports: model.  No I/O.
"""

from __future__ import annotations

import msgspec

from mailstack.model.errors import ConfigError


class Pop3Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[pop3]` of conf/mailstack.toml."""

    #: Show INBOX, Promotions and SocialNetworks as one list; false: INBOX alone.
    one_list: bool = True
    #: Allow login without TLS from loopback addresses; for trying out with tools that have no TLS.
    allow_plaintext_loopback: bool = False
    #: Sessions of one account at a time; more are told [IN-USE].
    max_per_account: int = 3
    #: Connections in all that have not logged in, per worker process.
    max_before_login: int = 200
    #: Connections in all, per worker process; 0 takes none.
    max_connections: int = 1_000
    #: Time from the greeting to the login.
    login_time_s: float = 60.0
    #: Silence after login until the connection is closed (RFC 1939 section 3: at least 10 minutes).
    idle_time_s: float = 600.0
    #: Wait for a client that has stopped reading.
    stalled_time_s: float = 300.0
    #: Login failures on one connection until it is closed.
    max_login_failures: int = 3
    #: Commands that are none until the connection is closed; after login, one after another.
    max_bad: int = 5

    def __post_init__(self) -> None:
        if self.idle_time_s < 1 or self.login_time_s <= 0:
            raise ConfigError("pop3.idle_time_s", "want idle_time_s >= 1 and login_time_s > 0")
        if not 1 <= self.max_per_account <= 1_000_000 or self.max_bad < 1:
            raise ConfigError("pop3.max_per_account", "want max_per_account 1 to 1000000 and max_bad >= 1")
