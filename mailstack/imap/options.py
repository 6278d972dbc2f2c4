"""Section `[imap]` of the configuration: limits and switches of the IMAP server.

Numbers: limits, sections 1, 6 and 7.

Standards: RFC 9051 section 5.4 (autologout), RFC 7889 (APPENDLIMIT).
Imports: model.  No I/O.
"""

from __future__ import annotations

import re

import msgspec

from mailstack.model.errors import ConfigError

_URI = re.compile(r"[a-z][a-z0-9+.-]*:[!-~]+\Z")


class ImapOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[imap]` of conf/mailstack.toml."""

    #: Allow login without TLS from loopback addresses; for trying out with tools that have no TLS.
    allow_plaintext_loopback: bool = False
    #: Connections of one account from one address.
    max_per_account_and_address: int = 60
    #: Connections of one account.
    max_per_account: int = 200
    #: Connections in all that have not logged in, per worker process.
    max_before_login: int = 200
    #: Connections in all, per worker process; 0 takes none.
    max_connections: int = 5_000
    #: Time from the greeting to the login.
    login_time_s: float = 60.0
    #: Silence after login until the connection is closed (RFC 9051 section 5.4: at least 30 minutes).
    idle_time_s: float = 1800.0
    #: Wait for a client that has stopped reading.
    stalled_time_s: float = 300.0
    #: Largest message APPEND takes.
    append_octets: int = 52_428_800
    #: Longest SEARCH; then NO [LIMIT].
    search_time_s: float = 10.0
    #: "* OK still here" in IDLE, so that phone networks keep the connection open.
    idle_keepalive_s: float = 600.0
    #: Shortest wait between two updates in IDLE (5 a second).
    idle_update_s: float = 0.2
    #: Directories a process watches (inotify) for changes by other programs; 0: all are polled.
    watch_directories: int = 16_384
    #: COMPRESS=DEFLATE after login; a client that uses it costs up to 80 KiB more.
    compress: bool = True
    #: How often folders that idling clients wait on are looked at when they cannot be watched.
    poll_s: float = 1.0
    #: Login failures on one connection until it is closed.
    max_login_failures: int = 3
    #: Commands of a stranger that are none, until the connection is closed.
    max_bad_before_login: int = 3
    #: The same after login, one after another.
    max_bad_after_login: int = 20
    #: UNAUTHENTICATE: one connection may serve one user after another (RFC 8437); not behind a proxy.
    unauthenticate: bool = True
    #: Folders can be shared with other accounts of this instance (ACL); the others see them below "Shared/".
    sharing: bool = True
    #: Folders can be shared with everybody of this instance at once (the identifier "anyone").
    sharing_anyone: bool = False
    #: URI of the administrator, such as mailto:postmaster@example.org (METADATA /shared/admin).
    admin: str = ""
    #: A line about this server for its users (METADATA /shared/comment).
    comment: str = ""
    #: Keywords a client may set in one command.
    max_keywords: int = 100

    def __post_init__(self) -> None:
        if self.admin and not _URI.match(self.admin):
            raise ConfigError("imap.admin", "want a URI, such as mailto:postmaster@example.org")
        if not (self.comment + self.admin).isprintable():
            raise ConfigError("imap.comment", "must be one line of printable characters")
        if self.idle_time_s < 1 or self.login_time_s <= 0:
            raise ConfigError("imap.idle_time_s", "want idle_time_s >= 1 and login_time_s > 0")
        if self.append_octets < 0:
            raise ConfigError("imap.append_octets", "want 0 or more")
        if self.poll_s < 0.05 or self.idle_update_s < 0:
            raise ConfigError("imap.poll_s", "want poll_s >= 0.05 and idle_update_s >= 0")
