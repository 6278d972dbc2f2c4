"""Section `[smtp]`: sessions, waits, sizes and counters of the SMTP server.

Numbers and their reasons: `docs/limits`.  Zero means zero; `"off"` takes a limit away.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mailstack.mime.header import MAX_BLOCK_OCTETS, MAX_FIELDS
from mailstack.model.errors import ConfigError

Cap = int | Literal["off"]


def cap(value: Cap) -> int | None:
    """The option as code wants it: None for no limit."""
    return None if value == "off" else value


class SmtpOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[smtp]` of conf/mailstack.toml."""

    #: Sessions on port 25 in one process; the file descriptor limit may lower it. "off": no limit.
    mx_sessions: Cap = 500
    #: Sessions on port 25 from one address, in all workers. "off": no limit.
    mx_sessions_per_ip: Cap = 20
    #: Sessions on port 25 from one IPv4 /24 or IPv6 /64, in all workers. "off": no limit.
    mx_sessions_per_network: Cap = 60
    #: Sessions on port 25 from one IPv6 /48, in all workers. "off": no limit.
    mx_sessions_per_wide_network: Cap = 120
    #: New connections a minute to port 25 from one IPv4 address or IPv6 /64, on average. "off": no limit.
    mx_connections_per_minute: Cap = 60
    #: Connections one address may open at once before that rate counts.
    mx_connection_burst: int = 100
    #: Sessions on 465 and 587 in one process. "off": no limit.
    submission_sessions: Cap = 500
    #: Sessions on 465 and 587 from one address, in all workers; offices share one. "off": no limit.
    submission_sessions_per_ip: Cap = 30
    #: Sessions on 465 and 587 of one account, in all workers. "off": no limit.
    submission_sessions_per_account: Cap = 10
    #: Seconds to wait for the next command (RFC 5321 section 4.5.3.2.7).
    command_wait_s: float = 300
    #: Seconds a client of 465 and 587 has until it has logged in.
    login_wait_s: float = 60
    #: Seconds to wait for the next block of a message from outside (RFC 5321 section 4.5.3.2.5).
    data_wait_s: float = 180
    #: The same on 465 and 587: scanners pause while they scan.
    submission_data_wait_s: float = 600
    #: Octets a second a message must bring, after the first wait.
    data_octets_per_s: int = 500
    #: Seconds until the answer to a message must be given; then 421, the delivery goes on.
    answer_wait_s: float = 300
    #: Seconds a client that does not read its replies is kept.
    output_wait_s: float = 300
    #: Seconds a whole session on port 25 may last.
    mx_session_s: float = 1800
    #: Seconds a whole session on 465 and 587 may last.
    submission_session_s: float = 7200
    #: Messages in one session on port 25. "off": no limit.
    mx_messages_per_session: Cap = 100
    #: Seconds for a TLS handshake.
    tls_handshake_s: float = 30
    #: Seconds to hold the greeting back; a client that speaks before it is refused.
    greeting_wait_s: float = 0
    #: Longest command line in octets, without its line end.
    command_octets: int = 2048
    #: Longest AUTH line in octets.
    auth_octets: int = 12_288
    #: Longest line of a message in octets.
    line_octets: int = 65_536
    #: Largest message in octets; announced as SIZE.
    message_octets: int = 52_428_800
    #: Largest message of a free account in octets.
    free_message_octets: int = 26_214_400
    #: Largest header block of a message in octets.
    header_octets: int = 524_288
    #: Largest single header field in octets.
    field_octets: int = 102_400
    #: Header fields a message may have.
    header_fields: int = 1000
    #: Octets of a message kept in memory; what is larger goes to a file in the spool folder.
    memory_octets: int = 262_144
    #: Recipients of a message from outside; RFC 5321 section 4.5.3.1.8 asks for 100.
    mx_recipients: int = 100
    #: Recipients per message of a normal account.
    normal_recipients: int = 100
    #: Recipients per message of a free account.
    free_recipients: int = 10
    #: Recipients per message of an account that posts for mailing lists.
    list_recipients: int = 500
    #: Recipients per message of a device (printer, scanner).
    device_recipients: int = 10
    #: Show the address of a client that logged in, in our Received field.
    submission_shows_client: bool = False
    #: Re-encode 8-bit and long lines of mail from 465 and 587, so that its signature lasts.
    submission_seven_bit: bool = True
    #: Errors after which each reply is delayed.
    errors_before_delay: int = 5
    #: Seconds of that delay.
    error_delay_s: float = 1.0
    #: Errors that end a session.
    errors: Cap = 20
    #: Errors that end a session before its first good recipient.
    errors_before_recipient: Cap = 10
    #: Commands without use (NOOP, RSET, VRFY, HELP ...) in a row; one more ends the session.
    junk_commands: Cap = 50
    #: Unknown recipients that end a session.
    unknown_recipients: Cap = 20
    #: Failed logins that end a connection.
    login_failures: Cap = 3
    #: Seconds the 1st, 2nd, ... failure of an account from a network is delayed; the last repeats.
    login_delays_s: tuple[float, ...] = (0, 0, 0, 2, 4, 8, 15)
    #: Received fields a message may have; more is a loop.
    hops: int = 50
    #: Offer CHUNKING (RFC 3030): messages by BDAT.
    chunking: bool = True
    #: Offer BINARYMIME (RFC 3030): messages with binary parts; only with chunking.
    binarymime: bool = True
    #: Offer SMTPUTF8 (RFC 6531): addresses and header fields in any script.
    smtputf8: bool = True
    #: Offer DSN (RFC 3461): a sender says which reports it wants.
    dsn: bool = True
    #: Offer REQUIRETLS (RFC 8689) under TLS: such mail never leaves in clear.
    requiretls: bool = True
    #: Free octets the mail disk must keep, whatever the message limit says.
    free_octets: int = 500_000_000
    #: Free space the mail disk must keep, in percent of the disk.
    free_percent: float = 2.0
    #: Free inodes the mail disk must keep.
    free_inodes: int = 5000
    #: Share of the sessions, in percent, above which waits get short.
    stress_percent: Cap = 80
    #: Seconds of loop lag above which waits get short.
    stress_lag_s: float = 0.2
    #: Seconds of every wait under stress.
    stress_wait_s: float = 10

    def __post_init__(self) -> None:
        """Refuses what cannot work."""
        if not 512 <= self.command_octets <= self.auth_octets:
            raise ConfigError("smtp.command_octets", "want 512 <= command_octets <= auth_octets")
        if self.line_octets < 1000:
            raise ConfigError("smtp.line_octets", "RFC 5321 section 4.5.3.1.6 asks for at least 1000")
        if self.mx_recipients < 100:
            raise ConfigError("smtp.mx_recipients", "RFC 5321 section 4.5.3.1.8 asks for at least 100")
        if self.message_octets < 65_536:
            raise ConfigError("smtp.message_octets", "RFC 5321 section 4.5.3.1.7 asks for at least 65536")
        # What lies beyond is not looked at by anybody, so a Bcc or a second From could hide there.
        if self.header_octets > MAX_BLOCK_OCTETS:
            raise ConfigError("smtp.header_octets", f"at most {MAX_BLOCK_OCTETS} octets are looked at")
        if self.header_fields > MAX_FIELDS:
            raise ConfigError("smtp.header_fields", f"at most {MAX_FIELDS} fields are looked at")
        if not self.login_delays_s:
            raise ConfigError("smtp.login_delays_s", "give at least one number; [0] for no delay")


def for_relay(options: SmtpOptions) -> SmtpOptions:
    """The same for a trusted relay: its errors are those of the senders behind it."""
    return msgspec.structs.replace(
        options,
        errors="off",
        errors_before_recipient="off",
        unknown_recipients="off",
        error_delay_s=0,
        mx_messages_per_session="off",
    )
