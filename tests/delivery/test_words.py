"""Plain words for refusals."""

# ruff: noqa: E501 (what servers say stands as they say it)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.delivery import words
from mailstack.delivery.words import explain, meaning
from mailstack.model.language import LANGUAGES
from mailstack.model.reply import Reply


@pytest.mark.parametrize(
    ("reply", "part"),
    [
        (Reply(550, "1.1", "x"), "no such address"),
        (Reply(556, "1.10", "x"), "receives no mail"),
        (Reply(552, "2.2", "x"), "full"),
        (Reply(552, "3.4", "x"), "larger"),
        (Reply(451, "4.1", "x"), "did not answer"),
        (Reply(554, "4.6", "x"), "circle"),
        (Reply(550, "7.26", "x"), "verify that the message comes from you"),
        (Reply(550, "7.99", "x"), "security or policy"),
        (Reply(550, "", "x"), "does not accept that address"),
        (Reply(450, "", "x"), "over and over"),
        (Reply(599, "", "x"), "refused the message"),
        (Reply(499, "9.9", "x"), "putting the message off"),
    ],
    ids=str,
)
def test_every_refusal_has_a_meaning_and_an_advice(reply: Reply, part: str) -> None:
    words = explain(reply, "en")
    assert part in words.means
    assert words.todo.endswith(".")


#: What servers say, with its code and status; the addresses and hosts are examples.
SAID = [
    # Google
    (550, "1.1", "The email account that you tried to reach does not exist. Please try\ndouble-checking the"
     " recipient's email address for typos or unnecessary spaces.", "unknown_address"),
    (552, "2.2", "The recipient's inbox is out of storage space and inactive.", "full"),
    (452, "2.2", "The email account that you tried to reach is over quota.", "full"),
    (550, "2.1", "The email account that you tried to reach is disabled.", "disabled"),
    (550, "7.26", "Unauthenticated email from example.org is not accepted due to domain's DMARC policy.",
     "dmarc"),
    (550, "7.26", "This mail has been blocked because the sender is unauthenticated. Gmail requires all senders"
     " to authenticate with either SPF or DKIM.", "unauthenticated"),
    (421, "7.28", "Our system has detected an unusual rate of unsolicited mail originating from your IP"
     " address.", "rate"),
    (550, "7.1", "Our system has detected that this message is likely unsolicited mail.", "spam"),
    (550, "7.1", "The IP you're using to send mail is not authorized to send email directly to our servers.",
     "block_list"),
    (550, "7.25", "The IP address sending this message does not have a PTR record setup", "no_name"),
    (552, "7.0", "This message was blocked because its content presents a potential security issue.",
     "attachment"),
    (552, "2.3", "Your message exceeded Google's message size limits.", "too_large"),
    (450, "2.1", "The user you are trying to contact is receiving mail too quickly.", "rate"),
    # Microsoft
    (550, "4.1", "Recipient address rejected: Access denied. AS(201806281)", "unknown_address"),
    (550, "1.10", "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
     "unknown_address"),
    (550, "7.1", "Service unavailable, Client host [192.0.2.1] blocked using Spamhaus.", "block_list"),
    (550, "7.1", "Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service"
     " provider since part of their network is on our block list (S3140).", "block_list"),
    (550, "7.606", "Access denied, banned sending IP [192.0.2.1].", "block_list"),
    (451, "7.650", "The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.",
     "block_list"),
    (550, "7.509", "Access denied, sending domain example.org does not pass DMARC verification and has a DMARC"
     " policy of reject.", "dmarc"),
    (550, "7.515", "Access denied, sending domain example.org doesn't meet the required authentication level.",
     "unauthenticated"),
    (550, "7.124", "Sender not in allowed-senders list", "list"),
    (550, "7.133", "RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required", "list"),
    (550, "7.129", "RESOLVER.RST.RestrictedToRecipientsPermission; not authorized", "list"),
    (550, "1.8", "Access denied, bad outbound sender", "sender_refused"),
    (451, "7.500", "Server busy. Please try again later from [192.0.2.1]. AS(77713)", "greylisted"),
    (554, "2.2", "mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException.MailboxFull", "full"),
    # Yahoo, AOL
    (553, "7.1", "[BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list",
     "block_list"),
    (421, "7.0", "[TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user"
     " complaints", "rate"),
    (554, "", "delivery error: dd This user doesn't have a yahoo.com account (x@yahoo.com) [0]",
     "unknown_address"),
    (554, "7.9", "Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes",
     "dmarc"),
    # Apple
    (550, "1.1", "<x@icloud.com>: user lookup success but no user record found", "unknown_address"),
    (554, "7.1", "[CS01] Message rejected due to local policy.", "spam"),
    (552, "2.2", "<x@icloud.com>: user is over quota", "full"),
    # GMX, T-Online
    (550, "", "Requested action not taken: mailbox unavailable", "address_refused"),
    (554, "", "gmx.net (mxgmx117) Nemesis ESMTP Service not available\nNo SMTP service\nBad DNS PTR resource"
     " record.", "no_name"),
    (550, "", "Requested action not taken: Reject due to SPF policy", "spf"),
    (552, "", "Requested mail action aborted: exceeded storage allocation", "full"),
    (554, "", "IP=192.0.2.1 - None/bad reputation. Ask your postmaster for help or to contact tosa@rx.t-online.de",
     "block_list"),
    # Orange, La Poste
    (550, "", "5.2.0 Mail rejete. Mail rejected. OFR_506 [506]", "spam"),
    (550, "", "Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416 [416]",
     "unknown_address"),
    (421, "", "Service refuse. Veuillez essayer plus tard. Service refused, please try later. OFR004_104 [104]",
     "block_list"),
    # Mail filters and servers
    (554, "7.0", "Blocked - see https://support.proofpoint.com/dnsbl-lookup.cgi?ip=192.0.2.1", "block_list"),
    (451, "", "Internal resource temporarily unavailable - https://community.mimecast.com/docs/DOC-1369#451",
     "greylisted"),
    (554, "", "Service unavailable; Client host [192.0.2.1] blocked using Barracuda Reputation", "block_list"),
    (554, "", "Your access to this mail system has been rejected due to the sending MTA's poor reputation.",
     "block_list"),
    (550, "1.1", "<x@example.org>: Recipient address rejected: User unknown in virtual mailbox table",
     "unknown_address"),
    (450, "2.0", "<x@example.org>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/",
     "greylisted"),
    (454, "7.1", "<x@example.org>: Relay access denied", "relaying"),
    (550, "", "relay not permitted", "relaying"),
    (450, "1.8", "<a@example.org>: Sender address rejected: Domain not found", "sender_domain_refused"),
    (504, "5.2", "<mail>: Helo command rejected: need fully-qualified hostname", "no_name"),
    (530, "7.0", "Must issue a STARTTLS command first", "wants_tls"),
    (552, "3.4", "Message size exceeds fixed limit", "too_large"),
    (554, "6.0", "Error: too many hops", "circle"),
    (550, "", "unrouteable address", "unknown_address"),
    (550, "", "No such user here", "unknown_address"),
    (553, "", "sorry, that domain isn't in my list of allowed rcpthosts; no valid cert for gatewaying (#5.7.1)",
     "bad_address"),
    (550, "7.1", "Message contains a virus: Eicar-Test-Signature", "virus"),
    (451, "", "antivirus scanner is temporarily unavailable", "put_off"),
    (550, "", "Dieses Postfach ist voll", "full"),
    (550, "", "Empfänger unbekannt", "unknown_address"),
    (550, "", "Utente sconosciuto", "unknown_address"),
    (550, "7.1", "Only members may post to this list", "list"),
    (550, "7.1", "Message rejected as spam by Content Filtering.", "spam"),
    (550, "", "Message content rejected, UBE, id=1", "address_refused"),
    (450, "4.7.1", "too much mail from 192.0.2.1", "rate"),
    # Only an address holds the word.
    (550, "1.1", "<spamhaus-greylist@example.org> unknown to us", "unknown_address"),
    (550, "7.1", "<dmarc-reports@example.org>: go away", "not_permitted"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "status", "said", "expected"), SAID, ids=[f"{c}-{m}-{s[:25]}" for c, _, s, m in SAID]
)
def test_what_servers_say_has_its_meaning(code: int, status: str, said: str, expected: str) -> None:
    assert meaning(Reply(code, status, said)) == expected


def test_of_what_this_server_says_only_the_codes_count() -> None:
    reply = Reply(451, "4.1", "No answer from mx.spamhaus.example")
    assert meaning(reply, is_ours=True) == "no_answer"
    assert meaning(Reply(451, "3.5", "queue.ca_file cannot be used"), is_ours=True) == "setup"
    assert meaning(Reply(451, "3.5", "System incorrectly configured")) == "their_setup"
    assert meaning(Reply(451, "7.8", "Authentication failed"), is_ours=True) == "login"


@given(st.integers(400, 599), st.sampled_from(["", "1.1", "7.1", "9.9", "x", "."]), st.text(max_size=3_000))
def test_every_answer_is_explained_in_every_language(code: int, status: str, said: str) -> None:
    for language in LANGUAGES:
        means, todo = explain(Reply(code, status, said), language)
        assert means and todo


def test_every_status_and_code_leads_to_a_meaning_with_words() -> None:
    for table in (words._BY_STATUS, words._BY_SUBJECT, words._BY_CODE, words._VAGUE_STATUS):
        assert set(table.values()) <= set(words.ADVICE)
    for patterns in (words.SURE, words.LIKELY):
        assert {meaning for meaning, _ in patterns} <= set(words.ADVICE)


@pytest.mark.parametrize("piece", ["user ", "mailbox is ", "address rejected ", "ip a reputation ", "as a "])
def test_a_long_answer_is_read_quickly(piece: str) -> None:
    reply = Reply(550, "7.1", piece * 20_000)
    assert meaning(reply) in words.ADVICE
