"""What each refusal's `check` word means: the rule, where to change it, what to do.

`mailstack log explain` prints it below the event.  A word is given where the refusal is
made: `Reply(550, "1.1", text, "unknown_user")`, or `Refusal(at, word)` for the session.
tests/state/test_explanations.py finds every word in the code and fails for one that has
no entry here or in `explained_sessions.py`, and for a key that the configuration does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mailstack.state.explained_sessions import SESSIONS
from mailstack.state.explanation import LATER, PROTOCOL, Explanation

EXPLANATIONS: Final[Mapping[str, Explanation]] = {
    **SESSIONS,
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
    "contained": Explanation(
        "The mail of the account looks as if its password was stolen: what it has in the queue is held, and"
        " it sends nothing more until it is released.",
        (
            "containment.enabled",
            "containment.score",
            "containment.new_recipients_share",
            "containment.bounces",
            "containment.bounces_share",
            "containment.network_new_s",
        ),
        "Change the password; 'mailstack user release ADDRESS' lets it send again and what is held go out,"
        " with --purge what is held is thrown away.",
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
    "no_domain": Explanation("A recipient has a domain; only postmaster may stand alone.", (), PROTOCOL),
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
        LATER,
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
        "What sends it is broken or hostile; nothing to change here. Update a program or device of yours.",
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
        PROTOCOL,
    ),
    "loop": Explanation(
        "The message has been through too many servers, or here before: it goes round in a circle.",
        ("smtp.hops",),
        "Find the two addresses that forward to each other.",
    ),
    "header": Explanation(
        "The header is larger than any real one, or has too many fields.",
        ("smtp.header_octets", "smtp.field_octets", "smtp.header_fields"),
        PROTOCOL,
    ),
    "two_authors": Explanation(
        "Two From fields: readers and filters would each believe another one (RFC 5322 section 3.6).",
        (),
        PROTOCOL,
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
        PROTOCOL,
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
    "virus": Explanation(
        "The virus scanner (clamd) has found something in the message; its 'virus' line above names it.",
        ("clamd.on_virus",),
        "A false alarm is mended in the scanner: see its ignore lists; 'spam' files such mail instead.",
    ),
    "unfiltered": Explanation(
        "The filter could not look at the message, and the configuration wants it to.",
        ("filter.on_unfiltered", "filter.budget_s"),
        "The log of filterd says why; mail servers try again.",
    ),
    "rejected": Explanation(
        "A rule (Sieve) of the recipient refuses the message, or its domain takes no such attachment: the"
        " text of the reply says which.",
        (),
        "'mailstack sieve list ADDRESS' and 'mailstack domain mail DOMAIN' show them; the sender may ask the"
        " recipient for another way.",
    ),
    "forward_spam": Explanation(
        "An alias that leads outside does not send on what looks like spam.",
        ("filter.spam_score",),
        "Give the alias a mailbox of its own, where such mail is filed as spam.",
    ),
    "forward_paused": Explanation(
        "An alias leads to an address outside that keeps refusing mail; nothing is sent on but a test now and"
        " then, and it has no mailbox where mail could stay.",
        ("forwarding.pause_after", "forwarding.pause_after_unknown", "forwarding.probe_s"),
        "'mailstack forward show ADDRESS' says what the target answered; 'mailstack forward resume ADDRESS"
        " TARGET' ends the pause.",
    ),
    "forward_pending": Explanation(
        "An alias leads to an address that was asked whether it wants the mail and has not answered.",
        ("forwarding.confirm_days",),
        "'mailstack forward confirm WORD' with the word of the letter it got.",
    ),
    "forward_limit": Explanation(
        "The rules of an account have sent on as many messages as they may in 24 hours; the rest stays in its"
        " mailbox.",
        ("sieve.redirects_per_day", "sieve.free_redirects_per_day"),
        "A redirection of the whole mailbox ('mailstack forward set') has no such limit.",
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
