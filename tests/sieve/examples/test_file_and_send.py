"""Examples of RFCs that act.

RFC 3894, 5230, 5232, 5293, 5429, 5435, 5436, 5490, 6009, 6131, 8579, 8580, 9042.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mailstack.sieve import Envelope, Vacation
from mailstack.sieve.replies import memory_id
from tests.sieve.examples.kit import decided, mail
from tests.sieve.kit import context_of, errors_of, run_in, truth

KEEP = ["implicit keep"]


def test_copy() -> None:
    # RFC 3894 section 3
    source = 'require ["copy", "fileinto"]; fileinto :copy "incoming";'
    assert decided(source, mail()) == ["fileinto incoming copy", *KEEP]


# -- RFC 5230, RFC 6131 ---------------------------------------------------------------------


def answer(source: str, message: bytes) -> Vacation:
    context = context_of(message)
    assert run_in(source, context).ok
    (action,) = context.result.actions
    assert isinstance(action, Vacation)
    return action


def ids(source: str, *subjects: str) -> set[str]:
    """What is remembered of the answers to messages of these subjects."""
    sender = Envelope("coyote@desert.example.org", "roadrunner@acme.example.com")
    return {memory_id(answer(source, mail(f"Subject: {subject}")), sender) for subject in subjects}


def test_different_answers_are_remembered_apart() -> None:
    # RFC 5230 section 4.2
    source = """require "vacation";
        if header :contains "subject" "cyrus" {
            vacation "I'm out -- send mail to cyrus-bugs";
        } else {
            vacation "I'm out -- call me at +1 304 555 0123";
        }"""
    assert len(ids(source, "cyrus bug", "come over for dinner")) == 2


def test_variables_in_an_answer_do_not_make_it_another() -> None:
    # RFC 5230 section 4.2: no expansion prior to response tracking
    source = """require ["vacation", "variables"];
        if header :matches "subject" "*" {
            vacation :subject "Automatic response to: ${1}" "I'm away -- send mail to foo in my absence";
        }"""
    assert len(ids(source, "one", "two")) == 1


def test_a_handle_makes_two_answers_one() -> None:
    # RFC 5230 section 4.2
    source = """require "vacation";
        if header :contains "subject" "lunch" {
            vacation :handle "ran-away" "I'm out and can't meet for lunch";
        } else {
            vacation :handle "ran-away" "I'm out";
        }"""
    assert len(ids(source, "lunch?", "dinner?")) == 1


LANGUAGE = """require "vacation";
if header :contains ["accept-language", "content-language"] "en" { vacation "I am away this week."; }
else { vacation "Estoy ausente esta semana."; }"""
BOSS = """require "vacation";
if header :contains "from" "boss@example.edu" { redirect "pleeb@isp.example.org"; }
else { vacation "Sorry, I'm away, I'll read your
message when I get around to it."; }"""


@pytest.mark.parametrize(
    ("source", "fields", "want"),
    [
        (LANGUAGE, ["Accept-Language: en-GB"], ["vacation I am away this week.", *KEEP]),
        (LANGUAGE, ["Accept-Language: es"], ["vacation Estoy ausente esta semana.", *KEEP]),
        (BOSS, ["From: boss@example.edu"], ["redirect pleeb@isp.example.org"]),
        (
            BOSS,
            ["From: a@example.edu"],
            ["vacation Sorry, I'm away, I'll read your\nmessage when I get around to it.", *KEEP],
        ),
    ],
)
def test_vacation_among_other_rules(source: str, fields: list[str], want: list[str]) -> None:
    assert decided(source, mail(*fields)) == want


def test_days_seconds_and_addresses() -> None:
    # RFC 5230 section 4.8, RFC 6131 section 3
    own = ("tjs@example.edu", "ts4z@landru.example.edu")
    addresses = f':addresses ["{own[0]}",\r\n"{own[1]}"]'
    simple = answer(
        f'require "vacation"; vacation :days 23 {addresses} "I\'m away until October 19.";', mail()
    )
    assert (simple.days, simple.addresses, simple.policy.period_s) == (23, own, 23 * 86_400)
    limits = {"sieve_vacation_min_period": "0"}
    context = context_of(settings=limits)
    source = f'require "vacation-seconds"; vacation {addresses} :seconds 1800 "I am in a meeting.";'
    assert run_in(source, context).ok
    (meeting,) = context.result.actions
    assert isinstance(meeting, Vacation) and meeting.policy.period_s == 1_800
    context = context_of(settings=limits)
    assert run_in(
        'require "vacation-seconds"; vacation :handle "auto-resp" :seconds 0 "Received.";', context
    ).ok
    (receipt,) = context.result.actions
    assert isinstance(receipt, Vacation) and receipt.policy.period_s == 0


# -- RFC 5232 -------------------------------------------------------------------------------

MYVAR = "NonJunk Junk gnus-forward $Forwarded NotJunk JunkRecorded $Junk $NotJunk"


@pytest.mark.parametrize(
    ("test", "holds"),
    [
        ('hasflag :is "b A"', True),
        ('hasflag ["b","A"]', True),
        ('hasflag :contains "MyVar" "Junk"', True),
        ('hasflag :contains "MyVar" "forward"', True),
        ('hasflag :contains "MyVar" ["label", "forward"]', True),
        ('hasflag :contains "MyVar" ["junk", "forward"]', True),
        ('hasflag :contains "MyVar" "junk forward"', True),
        ('hasflag :contains "MyVar" "forward junk"', True),
        ('hasflag :contains "MyVar" "label"', False),
        ('hasflag :contains "MyVar" ["label1", "label2"]', False),
        ('hasflag :count "ge" :comparator "i;ascii-numeric" "MyFlags" "2"', True),
    ],
)
def test_hasflag(test: str, holds: bool) -> None:
    # RFC 5232 section 4
    source = f"""require ["imap4flags", "variables", "relational", "comparator-i;ascii-numeric"];
        setflag "A B"; setflag "MyFlags" "A B"; set "MyVar" "{MYVAR}";
        if {test} {{ discard; }}"""
    assert (decided(source, mail()) == ["discard"]) is holds


BIG = r"""require ["fileinto", "imap4flags", "variables"];
if size :over 1M {
    addflag "MyFlags" "Big";
    if header :is "From" "boss@company.example.com" { addflag "MyFlags" "\\Flagged"; }
    fileinto :flags "${MyFlags}" "Big messages";
}
if header :is "From" "grandma@example.net" {
    addflag "MyFlags" ["\\Answered", "$MDNSent"];
    fileinto :flags "${MyFlags}" "GrandMa";
}
if header :contains ["Subject"] "flag it" { setflag "\\Flagged"; fileinto "flagged"; }"""
BOTH = [r"fileinto Big messages [Big]", r"fileinto GrandMa [Big \Answered $MDNSent]"]


@pytest.mark.parametrize(
    ("message", "want"),
    [
        (
            mail("From: boss@company.example.com", body="x" * 1_100_000),
            [r"fileinto Big messages [Big \Flagged]"],
        ),
        (mail("From: grandma@example.net", body="x" * 1_100_000), BOTH),
        (mail("From: grandma@example.net"), [r"fileinto GrandMa [\Answered $MDNSent]"]),
        (mail("Subject: flag it"), [r"fileinto flagged [\Flagged]"]),
    ],
)
def test_the_example_filter_of_flags(message: bytes, want: list[str]) -> None:
    # RFC 5232 section 7
    assert decided(BIG, message) == want


# -- RFC 5293, RFC 5429 ---------------------------------------------------------------------


def test_a_mark_against_redirecting_twice() -> None:
    # RFC 5293 section 4
    source = """require "editheader";
        /* Don't redirect if we already redirected */
        if not header :contains "X-Sieve-Filtered" ["<kim@job.example.com>", "<kim@home.example.com>"] {
            addheader "X-Sieve-Filtered" "<kim@job.example.com>";
            redirect "kim@home.example.com";
        }"""
    context = context_of(mail())
    assert run_in(source, context).ok
    (sent,) = context.result.actions
    octets = context.message.to_bytes(sent.moment)  # type: ignore[attr-defined]
    assert octets.startswith(b"X-Sieve-Filtered: <kim@job.example.com>\r\n")
    assert decided(source, octets) == KEEP


ANTISPAM = """require ["ereject", "spamtest", "fileinto", "relational", "comparator-i;ascii-numeric"];
if spamtest :value "ge" :comparator "i;ascii-numeric" "6" {
    ereject text:
AntiSpam engine thinks your message is spam.
It is therefore being refused.
Please call 1-900-PAY-US if you want to reach us.
.
;
} elsif spamtest :value "ge" :comparator "i;ascii-numeric" "4" { fileinto "Suspect"; }"""


def test_refusals() -> None:
    # RFC 5429 sections 2.1 and 2.5
    source = """require ["ereject"];
        if address "from" "someone@example.com" { ereject "I no longer accept mail from this address"; }"""
    want = ["ereject I no longer accept mail from this address"]
    assert decided(source, mail("From: someone@example.com")) == want
    (refused,) = decided(ANTISPAM, mail(), spam=0.8)
    assert refused.startswith("ereject AntiSpam engine thinks") and "1-900-PAY-US" in refused
    assert decided(ANTISPAM, mail(), spam=0.4) == ["fileinto Suspect"]


@pytest.mark.parametrize("other", ['fileinto "x";', "keep;", 'redirect "a@b.example";', 'reject "no";'])
def test_a_refusal_stands_alone(other: str) -> None:
    # RFC 5429 section 2.4
    context = context_of()
    outcome = run_in(f'require ["reject", "fileinto"]; reject "no"; {other}', context)
    assert not outcome.ok and outcome.implicit_keep
    context = context_of()
    assert run_in('require "reject"; discard; reject "no";', context).ok


# -- RFC 5435, RFC 5436 ---------------------------------------------------------------------

IMPORTANT = """require ["enotify", "fileinto", "variables"];
if header :contains "from" "boss@example.org" {
    notify :importance "1" :message "This is probably very important" "mailto:alm@example.com";
    # Don't send any further notifications
    stop;
}
if header :contains "to" "sievemailinglist@example.org" {
    if header :matches "Subject" "*" { set "subject" "${1}"; }
    if header :matches "From" "*" { set "from" "${1}"; }
    notify :importance "3" :message "[SIEVE] ${from}: ${subject}" "mailto:alm@example.com";
    fileinto "INBOX.sieve";
}"""
REALLY = """require ["enotify", "fileinto", "variables", "envelope"];
if header :matches "from" "*@*.example.org" {
    if envelope :all :matches "from" "*" { set "env_from" " [really: ${1}]"; }
    if header :matches "Subject" "*" { set "subject" "${1}"; }
    if address :matches :all "from" "*" { set "from_addr" "${1}"; }
    notify :message "${from_addr}${env_from}: ${subject}" "mailto:alm@example.com";
}"""
SAFE = """require ["enotify", "variables"];
set :encodeurl "body_param" "Safe body&evil=evilbody";
notify "mailto:tim@example.com?body=${body_param}";"""


@pytest.mark.parametrize(
    ("source", "fields", "want"),
    [
        (
            IMPORTANT,
            ["From: boss@example.org", "To: sievemailinglist@example.org"],
            ["notify mailto:alm@example.com This is probably very important", *KEEP],
        ),
        (
            IMPORTANT,
            ["From: a@example.org", "To: sievemailinglist@example.org", "Subject: x"],
            ["notify mailto:alm@example.com [SIEVE] a@example.org: x", "fileinto INBOX.sieve"],
        ),
        (
            REALLY,
            ["From: a@x.example.org", "Subject: x"],
            ["notify mailto:alm@example.com a@x.example.org [really: sender@example.org]: x", *KEEP],
        ),
        (SAFE, [], ["notify mailto:tim@example.com?body=Safe%20body%26evil%3Devilbody", *KEEP]),
    ],
)
def test_notifications(source: str, fields: list[str], want: list[str]) -> None:
    assert decided(source, mail(*fields)) == want


def test_methods_are_asked_for() -> None:
    # RFC 5435 sections 4 and 5
    wrong = 'not valid_notify_method ["mailto:", "http://gw.example.net/notify?test"]'
    assert truth(wrong, require='"enotify"')
    xmpp = '"xmpp:tim@example.com?message;subject=SIEVE"'
    assert not truth(f'notify_method_capability {xmpp} "Online" "yes"', require='"enotify"')
    (error,) = errors_of(f'require "enotify"; notify {xmpp};')
    assert "only mailto:" in error


# -- RFC 5490, RFC 8579, RFC 9042 -----------------------------------------------------------


class Mailboxes:
    """Partners, Junk (\\Junk) and one known by its id."""

    def exists(self, name: str) -> bool:
        return name in ("INBOX", "Partners", "Junk")

    def create(self, name: str) -> bool:
        return True

    def special_use(self, name: str) -> Sequence[str]:
        return ["\\Junk"] if name in ("", "Junk") else []

    def get_metadata(self, name: str, entry: str) -> str | None:
        notices = {("INBOX", "auto-replies"): "on", ("", "notification-uri"): "mailto:alm@example.com"}
        return notices.get((name, entry.rpartition("/")[2]))

    def by_id(self, id_: str) -> str | None:
        return "Coyote" if id_ == "F6352ae03-b7f5-463c-896f-d8b48ee3" else None


ISODE = "/private/vendor/vendor.isode"
HOLIDAY = f"""require ["mboxmetadata", "vacation"];
if metadata :is "INBOX" "{ISODE}/auto-replies" "on" {{
    vacation text:
I'm away on holidays till March 2009.
Expect a delay.
.
;
}}"""
NOTIFICATION = f"""require ["enotify", "servermetadata", "variables"];
if servermetadata :matches "{ISODE}/notification-uri" "*" {{ set "notif_uri" "${{0}}"; }}
if not string :is "${{notif_uri}}" "none" {{ notify :message "new" "${{notif_uri}}"; }}"""
COYOTE = """require ["fileinto", "mailboxid"];
if header :contains ["from"] "coyote" {{ fileinto :mailboxid "{}" "INBOX.harassment"; }}"""


@pytest.mark.parametrize(
    ("source", "want"),
    [
        (
            'require ["fileinto", "reject", "mailbox"]; if mailboxexists "Partners" { fileinto "Partners"; }'
            ' else { reject "This message was not accepted by the Mailstore"; }',
            ["fileinto Partners"],
        ),
        (
            'require ["fileinto", "mailbox"]; if not mailboxexists ["Partners", "Rivals"]'
            ' { fileinto :create "Rivals"; }',
            ["fileinto Rivals create"],
        ),
        (HOLIDAY, ["vacation I'm away on holidays till March 2009.\nExpect a delay.\n", *KEEP]),
        (NOTIFICATION, ["notify mailto:alm@example.com new", *KEEP]),
        (
            'require ["special-use", "fileinto"]; if specialuse_exists "\\\\Junk"'
            ' { fileinto :specialuse "\\\\Junk" "Spam"; }',
            ["fileinto Spam \\Junk"],
        ),
        (
            'require ["special-use", "fileinto", "mailbox"];'
            ' fileinto :specialuse "\\\\Archive" :create "Archive";',
            ["fileinto Archive create \\Archive"],
        ),
        (
            'require "special-use"; if anyof (specialuse_exists "\\\\Sent",'
            ' specialuse_exists "INBOX" "\\\\Junk") { discard; }',
            KEEP,
        ),
        (COYOTE.format("F6352ae03-b7f5-463c-896f-d8b48ee3"), ["fileinto Coyote"]),
        (COYOTE.format("Fnosuch"), ["fileinto INBOX.harassment"]),
        ('require "mailboxid"; if mailboxidexists ["Fnosuch"] { discard; }', KEEP),
    ],
)
def test_mailboxes(source: str, want: list[str]) -> None:
    assert decided(source, mail("From: coyote@desert.example.org"), mailbox=Mailboxes()) == want


# -- RFC 6009, RFC 8580 ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("commands", "want"),
    [
        ('if envelope "notify" "NEVER" { discard; }', KEEP),
        # Whether SUCCESS was asked for, whatever else was.
        ('if envelope "notify" "SUCCESS" { discard; }', ["discard"]),
        # Whether only FAILURE was asked for.
        (
            'if allof (envelope "notify" "FAILURE", envelope :comparator "i;ascii-numeric" :count "eq"'
            ' "notify" "1") { discard; }',
            KEEP,
        ),
        ('if envelope :comparator "i;ascii-numeric" :count "eq" "notify" "2" { discard; }', ["discard"]),
        ('if envelope :matches "orcpt" "rfc822;*@example.net" { discard; }', ["discard"]),
        ('if envelope :count "eq" :comparator "i;ascii-numeric" "envid" "0" { discard; }', ["discard"]),
        ('if envelope "ret" "HDRS" { discard; }', ["discard"]),
        ('if envelope "orcpt" "rfc822;me@example.net" { discard; }', ["discard"]),
        (
            'redirect :copy :notify "NEVER" "elsewhere@example.com";',
            ["redirect elsewhere@example.com copy NEVER", *KEEP],
        ),
        (
            'redirect :notify "FAILURE,DELAY" :ret "full" "elsewhere@example.com";',
            ["redirect elsewhere@example.com FAILURE,DELAY FULL"],
        ),
    ],
)
def test_delivery_reports(commands: str, want: list[str]) -> None:
    wishes = {"notify": "SUCCESS,FAILURE", "ret": "HDRS", "orcpt": "rfc822;me@example.net"}
    names = '"envelope-dsn", "redirect-dsn", "copy", "relational", "comparator-i;ascii-numeric"'
    source = f"require [{names}]; {commands}"
    assert decided(source, mail(), envelope=wishes) == want


def test_copies_of_what_is_sent() -> None:
    # RFC 8580 section 4
    source = """require ["vacation", "enotify", "fcc", "mailbox", "imap4flags", "special-use"];
        vacation :days 7 :from "hemingway@example.com" :fcc "INBOX.Sent" :create "Gone Fishin'";
        notify :fcc "INBOX.Sent" :flags ["\\\\Seen"] :specialuse "\\\\Sent" :message "You got mail!"
            "mailto:ken@example.com";"""
    context = context_of()
    assert run_in(source, context).ok
    first, second = (action.fcc for action in context.result.actions)  # type: ignore[attr-defined]
    assert (first.mailbox, first.create, first.flags) == ("INBOX.Sent", True, None)
    assert (second.create, second.flags, second.special_use) == (False, ("\\Seen",), "\\Sent")
