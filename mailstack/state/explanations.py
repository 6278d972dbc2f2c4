"""What each refusal's `check` word means: the rule, where to change it, what to do.

`mailstack log explain` prints it below the event.  A word is given where the refusal is
made: `Reply(550, "1.1", text, "unknown_user")`, or `Refusal(at, word)` for the session.
tests/state/test_explanations.py finds every word in the code and fails for one that has
no entry here, and for a key that the configuration does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Explanation:
    """One rule.

    Attributes:
        rule: what is not taken, and why there is such a rule.
        keys: configuration keys that change it, such as "smtp.hops"; () when nothing does.
        advice: what the operator, or whoever sent it, can do.
    """

    rule: str
    keys: tuple[str, ...]
    advice: str


_PROTOCOL: Final = "The client's software is wrong; there is nothing to change here."
_LATER: Final = "Nothing: a mail server tries again by itself."

EXPLANATIONS: Final[Mapping[str, Explanation]] = {
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
        _PROTOCOL,
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
        "Nothing, unless it is a slow program of yours: then raise the key.",
    ),
    "output_timeout": Explanation(
        "The client does not read our replies.",
        ("smtp.output_wait_s",),
        _PROTOCOL,
    ),
    "session": Explanation(
        "One session may last so long; then the client connects again.",
        ("smtp.mx_session_s", "smtp.submission_session_s"),
        _LATER,
    ),
    "messages": Explanation(
        "One session may bring so many messages, one when the server is short of room (stress).",
        ("smtp.mx_messages_per_session", "smtp.stress_percent", "smtp.stress_lag_s"),
        _LATER,
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
        _PROTOCOL,
    ),
    "unknown": Explanation("There is no such command.", (), _PROTOCOL),
    "parameter": Explanation(
        "A parameter of MAIL or RCPT belongs to an extension that EHLO has not offered here"
        " (RFC 5321 section 4.1.1.11); REQUIRETLS is offered under TLS only.",
        ("smtp.smtputf8", "smtp.dsn", "smtp.chunking", "smtp.requiretls"),
        _PROTOCOL,
    ),
    "needs_smtputf8": Explanation(
        "An address with letters beyond ASCII goes only with mail that says SMTPUTF8 (RFC 6531 section 3.5).",
        ("smtp.smtputf8",),
        "The sender's program cannot send to such addresses; give the account an alias in ASCII.",
    ),
    "chunk_size": Explanation(
        "BDAT says how many octets follow, in at most ten digits (RFC 3030 section 2).",
        ("smtp.chunking",),
        _PROTOCOL,
    ),
    "chunk_order": Explanation(
        "Once BDAT has begun a message, BDAT ends it; after a refused chunk nothing of it is taken"
        " (RFC 3030 section 2).",
        ("smtp.chunking",),
        _PROTOCOL,
    ),
    "binary_by_data": Explanation(
        "DATA is made of lines; a binary message would not arrive whole (RFC 3030 section 3).",
        ("smtp.binarymime",),
        _PROTOCOL,
    ),
    "order": Explanation(
        "The command has its place (RFC 5321 section 4.1.4) and came elsewhere.",
        (),
        _PROTOCOL,
    ),
    "too_long": Explanation(
        "A command line may be so long; what follows a longer one cannot be told from commands.",
        ("smtp.command_octets", "smtp.auth_octets"),
        _PROTOCOL,
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
    # -- sender and recipients ------------------------------------------------------------
    "size": Explanation(
        "The size announced in MAIL is above what this sender may send.",
        ("smtp.message_octets", "smtp.free_message_octets"),
        "Send a link instead of the file; or raise the key, or lift a size of the login's own:"
        " 'mailstack user limits ADDRESS --message-size default'.",
    ),
    "sender": Explanation(
        "The envelope sender must belong to the login: its own address, an alias of it, or an"
        " address that was granted to it.",
        (),
        "Choose an allowed sender in the program; 'mailstack user show LOGIN' lists them, 'mailstack user"
        " grant LOGIN identity ADDRESS' adds one.",
    ),
    "messages_per_hour": Explanation(
        "An account sends so many messages in an hour.",
        (
            "sending.normal_messages_per_hour",
            "sending.free_messages_per_hour",
            "sending.device_messages_per_hour",
            "sending.list_messages_per_hour",
        ),
        "Wait as the reply says, or 'mailstack user limits ADDRESS --messages-per-hour N'.",
    ),
    "messages_per_day": Explanation(
        "An account sends so many messages in 24 hours.",
        (
            "sending.normal_messages_per_day",
            "sending.free_messages_per_day",
            "sending.device_messages_per_day",
            "sending.list_messages_per_day",
        ),
        "Wait as the reply says, or 'mailstack user limits ADDRESS --messages-per-day N'.",
    ),
    "recipients_per_hour": Explanation(
        "An account writes to so many recipients in an hour, over all its messages.",
        (
            "sending.normal_recipients_per_hour",
            "sending.free_recipients_per_hour",
            "sending.device_recipients_per_hour",
            "sending.list_recipients_per_hour",
        ),
        "Wait as the reply says, or 'mailstack user limits ADDRESS --recipients-per-hour N'.",
    ),
    "recipients_per_day": Explanation(
        "An account writes to so many recipients in 24 hours, over all its messages.",
        (
            "sending.normal_recipients_per_day",
            "sending.free_recipients_per_day",
            "sending.device_recipients_per_day",
            "sending.list_recipients_per_day",
        ),
        "Wait as the reply says, or 'mailstack user limits ADDRESS --recipients-per-day N'.",
    ),
    "new_recipients_per_hour": Explanation(
        "An account writes to so many people for the first time in an hour: a stolen login does.",
        (
            "sending.normal_new_recipients_per_hour",
            "sending.free_new_recipients_per_hour",
            "sending.device_new_recipients_per_hour",
            "sending.list_new_recipients_per_hour",
            "sending.new_recipients_after_days",
        ),
        "Wait as the reply says, or 'mailstack user limits ADDRESS --new-recipients-per-hour N'.",
    ),
    "new_recipients_per_day": Explanation(
        "An account writes to so many people for the first time in 24 hours: a stolen login does.",
        (
            "sending.normal_new_recipients_per_day",
            "sending.free_new_recipients_per_day",
            "sending.device_new_recipients_per_day",
            "sending.list_new_recipients_per_day",
            "sending.new_recipients_after_days",
        ),
        "Wait as the reply says, or 'mailstack user limits ADDRESS --new-recipients-per-day N'.",
    ),
    "no_space": Explanation(
        "The disk of the mail store is kept from filling up.",
        ("smtp.free_octets", "smtp.free_percent", "smtp.free_inodes"),
        "Make room on the disk; mail servers try again by themselves.",
    ),
    "too_many": Explanation(
        "A message may have so many recipients. From outside the rest comes in another message;"
        " of an account nothing goes out, so that it is not sent to half of them.",
        (
            "smtp.mx_recipients",
            "smtp.normal_recipients",
            "smtp.free_recipients",
            "smtp.list_recipients",
            "smtp.device_recipients",
        ),
        "Use a group address or a mailing list, or several messages; or give the login a number of its own:"
        " 'mailstack user limits ADDRESS --recipients N'.",
    ),
    "unknown_user": Explanation(
        "There is no such address here.",
        (),
        "If it should exist: 'mailstack user add', 'mailstack alias add', or a catch-all of the domain.",
    ),
    "recipient": Explanation(
        "The recipient does not take this message.",
        (),
        "See the text of the reply.",
    ),
    "no_domain": Explanation("A recipient has a domain; only postmaster may stand alone.", (), _PROTOCOL),
    "literal": Explanation(
        "Mail to an IP address in brackets is not sent out.",
        (),
        "Write the recipient with its domain name.",
    ),
    "relay": Explanation(
        "Without a login, mail is taken for our own domains only.",
        (),
        "Programs of yours log in on port 465 or 587; a domain of yours: 'mailstack domain add'.",
    ),
    "relay_form": Explanation(
        'user%other@here, other!user@here and "user@other"@here are old ways to send mail through a'
        " server to another; nobody here has such a name, and no catch-all takes it.",
        (),
        "Write to the address itself.",
    ),
    "srs_token": Explanation(
        "A bounce came to a rewritten (SRS) sender that is forged or too old.",
        ("srs.valid_days",),
        "Nothing; it was no answer to mail that left here lately.",
    ),
    "srs_sender": Explanation(
        "A rewritten (SRS) sender takes bounces only, else it would be an open relay.",
        (),
        "Nothing.",
    ),
    "device_recipient": Explanation(
        "A device (printer, scanner) that is known by its address alone writes to listed domains only.",
        (),
        "'mailstack device allow ADDRESS --to DOMAIN', or let the device log in.",
    ),
    "gone": Explanation("The address was deleted.", (), "Add it again if it should exist."),
    "suspended": Explanation("The account is disabled.", (), "'mailstack user set ADDRESS --enable'."),
    "noreply": Explanation(
        "An account of the kind noreply only sends.",
        (),
        "Write to another address; or change the account's kind.",
    ),
    "device": Explanation(
        "A device (printer, scanner) only sends.", (), "Write to another address; or change the kind."
    ),
    "expired": Explanation(
        "The alias had an end date, which is past.", (), "Add it again: 'mailstack alias add'."
    ),
    "posters": Explanation(
        "Only some may write to this alias or group; whoever claims one of our addresses logs in.",
        (),
        "'mailstack alias list' tells who may.",
    ),
    "no_postmaster": Explanation(
        "postmaster@ and abuse@ of this domain go nowhere.",
        ("server.postmaster",),
        "Set the key, or add the addresses: RFC 5321 section 4.5.1 asks for them.",
    ),
    "nowhere": Explanation(
        "None of the addresses behind the alias or group can be reached.",
        ("routing.max_depth", "routing.max_members", "routing.max_expansion"),
        "'mailstack alias list' shows its targets.",
    ),
    "expansion": Explanation(
        "An alias or group leads to too many addresses, or through too many aliases.",
        ("routing.max_members", "routing.max_depth", "routing.max_expansion"),
        "Use a mailing list for many members; 'mailstack alias list' shows the targets.",
    ),
    "bad_target": Explanation(
        "An alias or redirection points at something that is no address.",
        (),
        "'mailstack alias list' and 'mailstack forward show' show the targets.",
    ),
    "mailbox_full": Explanation(
        "The mailbox is at its quota; first 'later', for good after some days.",
        ("mailbox.quota_octets", "mailbox.quota_messages", "mailbox.full_tempfail_days"),
        "Delete mail, or give the account more room: 'mailstack user set ADDRESS --quota'.",
    ),
    "directory": Explanation(
        "Addresses could not be looked up at that moment.",
        (),
        "The daemon's log says why; mail servers try again.",
    ),
    "guessing": Explanation(
        "A client that names many addresses nobody has is collecting those that exist: for a while"
        " all its recipients are put off alike, except postmaster@ and abuse@.",
        ("mx.guesses", "mx.guesses_ratio", "mx.guesses_window_s", "mx.trusted_relays"),
        "'mailstack client list' shows it, 'mailstack client forget' ends it; a relay of yours belongs"
        " to mx.trusted_relays.",
    ),
    "srs_rate": Explanation(
        "A rewritten (SRS) sender takes so many bounces an hour.",
        ("mx.srs_bounces_per_hour",),
        "Nothing, unless a mailing list is forwarded through here: then raise the key.",
    ),
    "greylist": Explanation(
        "A sender new to a recipient comes again after a while; programs that send spam rarely do."
        " Authenticated senders of wanted mail and of one-time codes do not wait.",
        ("mx.greylist", "mx.greylist_delay_s", "mx.greylist_window_s", "mx.greylist_keep_s"),
        "Nothing for a mail server, which tries again.",
    ),
    # -- the message ----------------------------------------------------------------------
    "too_slow": Explanation(
        "The message came too slowly, or not at all.",
        ("smtp.data_wait_s", "smtp.submission_data_wait_s", "smtp.data_octets_per_s"),
        _LATER,
    ),
    "late": Explanation(
        "Our answer took longer than a client waits; what became of the message is in the log.",
        ("smtp.answer_wait_s", "filter.budget_s"),
        "Look why delivery is slow (disk, filter).",
    ),
    "message": Explanation(
        "The message itself breaks a rule of the transport.",
        ("smtp.message_octets", "smtp.line_octets", "smtp.hops", "smtp.header_octets"),
        "See the text of the reply.",
    ),
    "smuggling": Explanation(
        "Between the lines stands what other servers could take for the end of the message: a dot"
        " alone between line ends that are not CRLF. A second, forged message could hide there.",
        (),
        "The sender's server is broken or hostile; nothing to change here.",
    ),
    "message_size": Explanation(
        "The message is larger than this sender may send.",
        ("smtp.message_octets", "smtp.free_message_octets"),
        "Send a link instead of the file; or raise the key, or lift a size of the login's own:"
        " 'mailstack user limits ADDRESS --message-size default'.",
    ),
    "line_length": Explanation(
        "A line of the message is longer than can be carried on (RFC 5321 section 4.5.3.1.6: 998).",
        ("smtp.line_octets",),
        _PROTOCOL,
    ),
    "loop": Explanation(
        "The message has been through too many servers, or here before: it goes round in a circle.",
        ("smtp.hops",),
        "Find the two addresses that forward to each other.",
    ),
    "header": Explanation(
        "The header is larger than any real one, or has too many fields.",
        ("smtp.header_octets", "smtp.field_octets", "smtp.header_fields"),
        _PROTOCOL,
    ),
    "two_authors": Explanation(
        "Two From fields: readers and filters would each believe another one (RFC 5322 section 3.6).",
        (),
        _PROTOCOL,
    ),
    "submission": Explanation(
        "A message from a login says who it is from, and that must be the login's.",
        (),
        "See the text of the reply; 'mailstack user show LOGIN' lists the allowed addresses.",
    ),
    "from": Explanation(
        "Every author a reader could see (From, Sender, Resent-From, Resent-Sender) must belong to"
        " the login, so that nobody here writes in another's name.",
        (),
        "Choose an allowed sender in the program; 'mailstack user show LOGIN' lists them, 'mailstack user"
        " grant LOGIN identity ADDRESS' adds one.",
    ),
    "from_missing": Explanation(
        "A message from a login names its author: one From field.",
        (),
        "The program that sent it is wrong; a printer or scanner should be an address of kind device.",
    ),
    "from_twice": Explanation(
        "Two From fields: readers would each believe another one (RFC 5322 section 3.6).",
        (),
        _PROTOCOL,
    ),
    "author_unreadable": Explanation(
        "From, Sender or a Resent field does not follow RFC 5322, so two readers may see two authors.",
        (),
        "The text of the reply says what is wrong with it; correct the sender in the program.",
    ),
    "author_group": Explanation(
        "From, Sender or a Resent field names a group or nobody: a submission names who is behind it.",
        (),
        "Choose an allowed sender in the program; 'mailstack user show LOGIN' lists them, 'mailstack user"
        " grant LOGIN identity ADDRESS' adds one.",
    ),
    "sender_field": Explanation(
        "The Sender field must belong to the login as From must, and stands once.",
        (),
        "Choose an allowed sender in the program; 'mailstack user show LOGIN' lists them, 'mailstack user"
        " grant LOGIN identity ADDRESS' adds one.",
    ),
    "resent": Explanation(
        "Who resends (redirects) a message names itself in Resent-From, and Resent-Sender belongs to it too.",
        (),
        "Choose an allowed sender in the program; 'mailstack user show LOGIN' lists them, 'mailstack user"
        " grant LOGIN identity ADDRESS' adds one.",
    ),
    "redirect": Explanation(
        "Mail of somebody else may be redirected as it is while a DKIM signature of its author's domain"
        " proves that; this one has none that holds: changed on the way, expired, or never signed.",
        (),
        "Forward it instead of redirecting it; or a rule or redirection of the mailbox, which runs before"
        " anything is changed: 'mailstack forward set'.",
    ),
    "list_from": Explanation(
        "A login that posts list mail may put only its own addresses into From, unless it has a list grant.",
        (),
        "Let the list software replace From by the list's address (Mailman: DMARC mitigations, replace From,"
        " for all messages); or 'mailstack user grant LOGIN list', with limits of its own.",
    ),
    "policy": Explanation(
        "The filter refuses the message; its 'filtered' line above gives the reasons.",
        ("filter.spam_score", "filter.dmarc_on_reject"),
        "For mail that was wanted: 'mailstack list allow', for its recipient.",
    ),
    "unfiltered": Explanation(
        "The filter could not look at the message, and the configuration wants it to.",
        ("filter.on_unfiltered", "filter.budget_s"),
        "The log of filterd says why; mail servers try again.",
    ),
    "rejected": Explanation(
        "A rule (Sieve) of the recipient refuses the message.",
        (),
        "Ask the recipient.",
    ),
    "forward_spam": Explanation(
        "An alias that leads outside does not send on what looks like spam.",
        ("filter.spam_score",),
        "Give the alias a mailbox of its own, where such mail is filed as spam.",
    ),
    "queue_full": Explanation(
        "The queue is full and holds many messages of this account.",
        ("queue.max_messages", "queue.max_messages_per_account"),
        "'mailstack queue list' shows what waits and why.",
    ),
    "local_error": Explanation(
        "The message could not be stored; nothing of it is kept, and it comes again.",
        (),
        "The line's text and the daemon's log say why (disk, database).",
    ),
}
