"""Why sessions are refused: connections, commands, logins.  Part of `explanations.EXPLANATIONS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mailstack.state.explanation import LATER, PROTOCOL, Explanation

SESSIONS: Final[Mapping[str, Explanation]] = {
    # -- the connection -----------------------------------------------------------------
    "connections": Explanation(
        "One client or network may hold so many connections, and make so many new ones a minute.",
        (
            "smtp.mx_sessions",
            "smtp.mx_sessions_per_ip",
            "smtp.mx_sessions_per_network",
            "smtp.mx_sessions_per_wide_network",
            "smtp.mx_connections_per_minute",
            "smtp.submission_sessions",
            "smtp.submission_sessions_per_ip",
        ),
        "Nothing for a mail server, which tries again; raise the key for a busy office or relay.",
    ),
    "client": Explanation(
        "This client is not wanted at the moment and is told so instead of the greeting.",
        (),
        "See the text of the reply.",
    ),
    "account_connections": Explanation(
        "One account may hold so many connections at a time.",
        ("smtp.submission_sessions_per_account",),
        "End programs that keep connections open; raise the key when many devices share one login.",
    ),
    "early_talker": Explanation(
        "A client waits for the answer to the greeting, EHLO, DATA, STARTTLS ... before it goes on"
        " (RFC 2920 section 3.1); octets that come too early are software that does not listen,"
        " or somebody who puts commands into another's encrypted session.",
        ("smtp.greeting_wait_s",),
        PROTOCOL,
    ),
    "tls_on_plain_port": Explanation(
        "TLS from the first octet was spoken on a port that begins in clear text.",
        ("listen.submissions",),
        "In the program choose STARTTLS for this port, or TLS/SSL and port 465.",
    ),
    "not_smtp": Explanation(
        "The client speaks another protocol, such as HTTP.",
        (),
        "Usually a scanner; if it is a program of yours, its port is wrong.",
    ),
    "lmtp_network": Explanation(
        "LMTP over TCP is for listed mail servers and list managers only: their mail is never refused.",
        ("lmtp.networks", "listen.lmtp"),
        "Add the server's address to the key when it is yours.",
    ),
    "proxy_header": Explanation(
        "A listed proxy must begin each connection with a PROXY header; nobody else knows who connects.",
        ("proxy.networks", "proxy.listeners", "proxy.header_wait_s", "proxy.header_octets"),
        "Switch the header on at the proxy (HAProxy: send-proxy-v2), or take its address out of the list.",
    ),
    "devices_only": Explanation(
        "The legacy ports take old TLS, so only devices log in there, whose passwords are worth little.",
        ("listen.submission_legacy", "listen.submissions_legacy"),
        "Set the program to port 465 or 587; a printer gets an address made with --kind device.",
    ),
    "not_lmtp": Explanation(
        "An SMTP client came to an LMTP port; LMTP begins with LHLO.",
        (),
        "Tell that mail server to deliver by LMTP (Postfix: lmtp:inet:host:port), or to port 25.",
    ),
    "timeout": Explanation(
        "A client that says nothing is not waited for without end.",
        ("smtp.command_wait_s", "smtp.login_wait_s", "smtp.stress_wait_s"),
        "Nothing, unless it is a slow program of yours: then raise the key. A device that ends its command"
        " lines with LF alone waits like that too: update it.",
    ),
    "output_timeout": Explanation(
        "The client does not read our replies.",
        ("smtp.output_wait_s",),
        PROTOCOL,
    ),
    "session": Explanation(
        "One session may last so long; then the client connects again.",
        ("smtp.mx_session_s", "smtp.submission_session_s"),
        LATER,
    ),
    "messages": Explanation(
        "One session may bring so many messages, one when the server is short of room (stress).",
        ("smtp.mx_messages_per_session", "smtp.stress_percent", "smtp.stress_lag_s"),
        LATER,
    ),
    "too_many_errors": Explanation(
        "A session that only makes errors, noise or guesses is ended.",
        (
            "smtp.errors",
            "smtp.errors_before_recipient",
            "smtp.junk_commands",
            "smtp.unknown_recipients",
        ),
        "Look at the refusals before it in the log.",
    ),
    # -- commands -----------------------------------------------------------------------
    "syntax": Explanation(
        "The command does not follow the grammar of RFC 5321 section 4.1.",
        (),
        PROTOCOL,
    ),
    "unknown": Explanation("There is no such command.", (), PROTOCOL),
    "parameter": Explanation(
        "A parameter of MAIL or RCPT belongs to an extension that EHLO has not offered here"
        " (RFC 5321 section 4.1.1.11); REQUIRETLS is offered under TLS only.",
        ("smtp.smtputf8", "smtp.dsn", "smtp.chunking", "smtp.requiretls"),
        PROTOCOL,
    ),
    "needs_smtputf8": Explanation(
        "An address with letters beyond ASCII goes only with mail that says SMTPUTF8 (RFC 6531 section 3.5).",
        ("smtp.smtputf8",),
        "The sender's program cannot send to such addresses; give the account an alias in ASCII.",
    ),
    "chunk_size": Explanation(
        "BDAT says how many octets follow, in at most ten digits (RFC 3030 section 2).",
        ("smtp.chunking",),
        PROTOCOL,
    ),
    "chunk_order": Explanation(
        "Once BDAT has begun a message, BDAT ends it; after a refused chunk nothing of it is taken"
        " (RFC 3030 section 2).",
        ("smtp.chunking",),
        PROTOCOL,
    ),
    "binary_by_data": Explanation(
        "DATA is made of lines; a binary message would not arrive whole (RFC 3030 section 3).",
        ("smtp.binarymime",),
        PROTOCOL,
    ),
    "order": Explanation(
        "The command has its place (RFC 5321 section 4.1.4) and came elsewhere.",
        (),
        PROTOCOL,
    ),
    "too_long": Explanation(
        "A command line may be so long; what follows a longer one cannot be told from commands.",
        ("smtp.command_octets", "smtp.auth_octets"),
        PROTOCOL,
    ),
    "tls_first": Explanation(
        "On port 587 nothing but STARTTLS is done in clear text (RFC 3207 section 4).",
        (),
        "Turn STARTTLS on in the mail program.",
    ),
    # -- login --------------------------------------------------------------------------
    "not_offered": Explanation(
        "Nobody logs in on port 25.",
        ("listen.submission", "listen.submissions"),
        "Set the program to port 465 (TLS) or 587 (STARTTLS).",
    ),
    "cancelled": Explanation(
        "The client itself broke the login off with '*' (RFC 4954 section 4), which is its right: it had no"
        " password, or somebody pressed 'cancel'. It counts as no wrong password.",
        (),
        "Enter the password in the mail program again, if its owner did not stop it.",
    ),
    "mechanism": Explanation(
        "A login mechanism that is not offered.",
        (),
        "Choose 'normal password' (PLAIN or LOGIN) in the mail program.",
    ),
    "temporary": Explanation(
        "The login could not be checked at that moment; it does not count as failed.",
        (),
        "The daemon's log says why. The client may simply try again.",
    ),
    "login": Explanation(
        "User name and password do not belong together, or this login may not be used here; the client"
        " is told the same in every case, so that nobody finds out which addresses exist.",
        ("smtp.login_delays_s", "smtp.login_failures"),
        "The login_failed line of the log says why: 'mailstack log show ADDRESS'.",
    ),
    "login_user": Explanation(
        "The user name is the full address of an account with a password; aliases do not log in.",
        (),
        "Look for a typing mistake; 'mailstack user list' shows the addresses, 'mailstack user passwd' sets"
        " a password.",
    ),
    "login_password": Explanation(
        "The password is neither that of the address nor one of its app passwords; different ones wait"
        " longer and longer, the same one again counts once an hour.",
        ("smtp.login_delays_s", "auth.scram"),
        "Type it again; 'mailstack user passwd' sets a new one, which makes a missing SCRAM verifier too.",
    ),
    "login_scope": Explanation(
        "An app password is good for the protocols it was made for.",
        (),
        "'mailstack apppw list' shows them; 'mailstack apppw add' makes one with others.",
    ),
    "login_app_only": Explanation(
        "The address takes app passwords only, not the password of its own.",
        (),
        "'mailstack apppw add' makes one; 'mailstack user set ADDRESS --any-password' takes the flag away.",
    ),
    "login_suspended": Explanation(
        "The account is suspended.",
        (),
        "'mailstack user set ADDRESS --enable' ends that.",
    ),
    "login_kind": Explanation(
        "A device only submits, and nobody logs in as a spam trap.",
        (),
        "Use an address of the kind mailbox to read mail.",
    ),
    "login_for_other": Explanation(
        "Nobody logs in to act as another user (a SASL authorisation identity of another).",
        (),
        "Leave the field for the other identity empty in the program.",
    ),
    "logins_busy": Explanation(
        "So many logins of one worker may wait for their password to be checked.",
        ("auth.waiting_logins", "auth.hash_memory_kib", "auth.hash_passes"),
        "Nothing for a moment; when it stays so, look in the log for who guesses passwords.",
    ),
    "logins_fast": Explanation(
        "While wrong passwords of a login from one network wait for their answers, few more are tried.",
        ("smtp.login_delays_s",),
        "Look for a program with an old password; 'mailstack log show ADDRESS' tells from where.",
    ),
    "banned": Explanation(
        "The network tried too many wrong passwords, or an operator shut it out; nobody logs in from"
        " it for a while. Mail from other servers is not affected.",
        ("bans.failures", "bans.accounts", "bans.ratio", "bans.times_s", "bans.never"),
        "'mailstack ban list' shows why and how long, 'mailstack ban clear NETWORK' ends it.",
    ),
    "guessed_at": Explanation(
        "Many wrong passwords for one account come from many networks: logins from networks it never"
        " logged in from wait; the account is not locked.",
        ("bans.account_failures", "bans.account_networks", "bans.account_delay_s"),
        "Nothing when the password is good; app passwords alone ('mailstack user set ADDRESS"
        " --app-passwords-only') leave nothing to guess.",
    ),
    "login_over": Explanation(
        "The account was suspended or removed, or its password changed, while the session was open.",
        (),
        "Log in again with the new password; 'mailstack user set ADDRESS --enable' ends a suspension.",
    ),
    "login_first": Explanation(
        "On ports 465 and 587 only those who log in send mail.",
        (),
        "Turn 'authentication required' on for outgoing mail in the program.",
    ),
}
