"""Examples of RFCs that look at messages: RFC 5173, 5229, 5231, 5233, 5235, 5260, 6134, the regex draft."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

import pytest

from tests.sieve.examples.kit import decided, mail
from tests.sieve.kit import context_of, run_in, truth

KEEP = ["implicit keep"]


# -- RFC 5173 -------------------------------------------------------------------------------

SECRETS = """require ["body", "fileinto"];
if body :content "text" :contains ["missile", "coordinates"] { fileinto "secrets"; }
if body :content "audio/mp3" :contains "" { fileinto "jukebox"; }"""
SCHEDULE = """require ["body", "fileinto"];
if body :text :contains "project schedule" { fileinto "project/schedule"; }"""


def _part(kind: str, text: str) -> bytes:
    return mail("MIME-Version: 1.0", 'Content-Type: multipart/mixed; boundary="b"').replace(
        b"Body.\r\n", f"--b\r\nContent-Type: {kind}\r\n\r\n{text}\r\n--b--\r\n".encode()
    )


@pytest.mark.parametrize(
    ("source", "message", "want"),
    [
        (
            'require "body"; if body :raw :contains "MAKE MONEY FAST" { discard; }',
            mail(body="please make money fast"),
            ["discard"],
        ),
        (
            'require "body"; if body :raw :contains "MAKE MONEY FAST" { discard; }',
            mail("Subject: make money fast"),
            KEEP,
        ),
        (SECRETS, _part("text/html", "the missile"), ["fileinto secrets"]),
        (SECRETS, _part("audio/mp3", "xyz"), ["fileinto jukebox"]),
        (SECRETS, _part("application/x", "the missile"), KEEP),
        (SCHEDULE, _part("text/html", "<b>project</b> schedule"), ["fileinto project/schedule"]),
    ],
)
def test_body(source: str, message: bytes, want: list[str]) -> None:
    assert decided(source, message) == want


# -- RFC 5229 -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("&%${}!", "&%${}!"),
        ("${doh!}", "${doh!}"),
        ("${full}", ""),
        ("${company}", "ACME"),
        ("${BAD${Company}", "${BADACME"),
        ("${President, ${Company} Inc.}", "${President, ACME Inc.}"),
        (r"${compan\y}", "ACME"),
        (r"${compan\\y}", r"${compan\y}"),
        (r"\${company}", "ACME"),
        (r"\\${company}", "\\ACME"),
    ],
)
def test_expansion(text: str, want: str) -> None:
    # RFC 5229 sections 3 and 3.1
    context = context_of()
    assert run_in(f'require "variables"; set "company" "ACME"; set "got" "{text}";', context).ok
    assert context.variables.get("got") == want


def test_quoting_of_a_reference() -> None:
    # RFC 5229 section 3.1
    context = context_of()
    source = 'require "variables"; set "dollar" "$"; set "text" "regarding ${dollar}{beep}";'
    assert run_in(source, context).ok and context.variables.get("text") == "regarding ${beep}"
    source = """require ["encoded-character", "variables"];
        set "name" "Ethelbert";
        if header :contains "Subject" "dear${hex:20 24 7b 4e}ame}" { discard; }"""
    assert decided(source, mail("Subject: dear Ethelbert")) == ["discard"]


def test_lists_by_their_id() -> None:
    # RFC 5229 section 3.2
    source = """require ["fileinto", "variables"];
        if header :matches "List-ID" "*<*@*" { fileinto "INBOX.lists.${2}"; stop; }
        if header :matches "Subject" "[*] *" { fileinto "INBOX.lists.${1}"; }"""
    assert decided(source, mail("List-ID: Acme <acme@x.example>")) == ["fileinto INBOX.lists.acme"]
    subject = "Subject: [acme-users] [fwd] version 1.0 is out"
    assert decided(source, mail(subject)) == ["fileinto INBOX.lists.acme-users"]


def test_a_text_with_variables_in_it() -> None:
    # RFC 5229 section 4
    context = context_of()
    source = """require "variables";
set "honorific"  "Mr";
set "first_name" "Wile";
set "last_name"  "Coyote";
set "vacation" text:
Dear ${HONORIFIC} ${last_name},
I'm out, please leave a message after the meep.
.
;
"""
    assert run_in(source, context).ok
    want = "Dear Mr Coyote,\nI'm out, please leave a message after the meep.\n"
    assert context.variables.get("vacation").replace("\r\n", "\n") == want


# -- RFC 5231 -------------------------------------------------------------------------------

COUNTED = mail(
    "Received: a",
    "Received: b",
    "From: foo@example.com",
    "To: one@example.com, two@example.com",
    "Cc: three@example.com",
    "Subject: x",
)
NUMERIC = ':count "ge" :comparator "i;ascii-numeric"'
RELATIONAL = '"relational", "comparator-i;ascii-numeric"'


@pytest.mark.parametrize(
    ("test", "holds"),
    [
        (f'address {NUMERIC} ["to", "cc"] ["3"]', True),
        (f'anyof (address {NUMERIC} ["to"] ["3"], address {NUMERIC} ["cc"] ["3"])', False),
        (f'header {NUMERIC} ["received"] ["3"]', False),
        (f'header {NUMERIC} ["received", "subject"] ["3"]', True),
        (f'header {NUMERIC} ["to", "cc"] ["3"]', False),
    ],
)
def test_counts(test: str, holds: bool) -> None:
    # RFC 5231 section 5
    assert truth(test, COUNTED, require=RELATIONAL) is holds


EXTENDED = """require ["relational", "comparator-i;ascii-numeric", "fileinto"];
if header :value "lt" :comparator "i;ascii-numeric" ["x-priority"] ["3"] {
    fileinto "Priority";
} elsif address :count "gt" :comparator "i;ascii-numeric" ["to"] ["5"] {
    fileinto "SPAM";
} elsif address :value "gt" :all :comparator "i;ascii-casemap" ["from"] ["M"] {
    fileinto "From N-Z";
} else {
    fileinto "From A-M";
}
if allof (address :count "eq" :comparator "i;ascii-numeric" ["to", "cc"] ["1"],
          address :all :comparator "i;ascii-casemap" ["to", "cc"] ["me@foo.example.com"]) {
    fileinto "Only me";
}"""


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        (["X-Priority: 1", "From: a@x.example", "To: b@x.example"], ["Priority"]),
        (["X-Priority: 5", "From: a@x.example", "To: b@x.example"], ["From A-M"]),
        (["From: zoe@x.example", "To: ME@foo.example.com"], ["From N-Z", "Only me"]),
        (["From: a@x.example", "To: " + ", ".join(f"u{n}@x.example" for n in range(6))], ["SPAM"]),
    ],
)
def test_the_extended_example(fields: list[str], want: list[str]) -> None:
    # RFC 5231 section 7
    assert decided(EXTENDED, mail(*fields)) == [f"fileinto {mailbox}" for mailbox in want]


# -- RFC 5233 -------------------------------------------------------------------------------

DETAILS = """require ["envelope", "subaddress", "fileinto"];
if envelope :user "to" "postmaster" { fileinto "inbox.postmaster"; stop; }
if envelope :detail "to" "mta-filters" { fileinto "inbox.ietf-mta-filters"; }
if envelope :detail "to" "foo" { redirect "ken@example.net"; }"""


@pytest.mark.parametrize(
    ("to", "want"),
    [
        ("postmaster+foo@example.com", ["fileinto inbox.postmaster"]),
        ("ken+mta-filters@example.com", ["fileinto inbox.ietf-mta-filters"]),
        ("ken+foo@example.com", ["redirect ken@example.net"]),
        ("ken@example.com", KEEP),
    ],
)
def test_subaddresses(to: str, want: list[str]) -> None:
    assert decided(DETAILS, mail(), to=to) == want


# -- RFC 5235 -------------------------------------------------------------------------------

SPAM = """require ["spamtest", "fileinto", "relational", "comparator-i;ascii-numeric"];
if spamtest :value "eq" :comparator "i;ascii-numeric" "0" { fileinto "INBOX.unclassified"; }
elsif spamtest :value "ge" :comparator "i;ascii-numeric" "3" { fileinto "INBOX.spam-trap"; }"""
PERCENT = """require ["spamtestplus", "fileinto", "relational", "comparator-i;ascii-numeric"];
if spamtest {} "eq" :comparator "i;ascii-numeric" "0" {{ fileinto "INBOX.unclassified"; }}
elsif spamtest :percent :value "eq" :comparator "i;ascii-numeric" "0" {{ fileinto "INBOX.not-spam"; }}
elsif spamtest :percent :value "lt" :comparator "i;ascii-numeric" "37" {{ fileinto "INBOX.spam-trap"; }}
else {{ discard; }}"""
VIRUS = """require ["virustest", "fileinto", "relational", "comparator-i;ascii-numeric"];
if virustest :value "eq" :comparator "i;ascii-numeric" "0" { fileinto "INBOX.unclassified"; }
if virustest :value "eq" :comparator "i;ascii-numeric" "4" { fileinto "INBOX.quarantine"; }
elsif virustest :value "eq" :comparator "i;ascii-numeric" "5" { discard; }"""


@pytest.mark.parametrize(
    ("source", "sure", "want"),
    [
        (SPAM, None, ["fileinto INBOX.unclassified"]),
        (SPAM, 0.0, KEEP),
        (SPAM, 0.5, ["fileinto INBOX.spam-trap"]),
        *[
            (PERCENT.format(how), sure, want)
            for how in (":value", ":percent :count")
            for sure, want in [
                (None, ["fileinto INBOX.unclassified"]),
                (0.0, ["fileinto INBOX.not-spam"]),
                (0.2, ["fileinto INBOX.spam-trap"]),
                (0.37, ["discard"]),
                (1.0, ["discard"]),
            ]
        ],
        (VIRUS, None, ["fileinto INBOX.unclassified"]),
        (VIRUS, 0.0, KEEP),
        (VIRUS, 0.75, ["fileinto INBOX.quarantine"]),
        (VIRUS, 1.0, ["discard"]),
    ],
)
def test_spam_and_viruses(source: str, sure: float | None, want: list[str]) -> None:
    assert decided(source, mail(), spam=sure, virus=sure) == want


# -- RFC 5260 -------------------------------------------------------------------------------


def _at(*moment: int) -> float:
    return datetime(*moment, tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]


URGENT = """require ["date", "relational", "fileinto"];
if allof (header :is "from" "boss@example.com",
          date :value "ge" :originalzone "date" "hour" "09",
          date :value "lt" :originalzone "date" "hour" "17")
{ fileinto "urgent"; }"""
WEEKEND = """require ["date", "relational", "fileinto"];
if anyof (date :is "received" "weekday" "0", date :is "received" "weekday" "6") { fileinto "weekend"; }"""
PAGER = """require ["date", "relational"];
if anyof (currentdate :is "weekday" "0", currentdate :is "weekday" "6",
          currentdate :value "lt" "hour" "09", currentdate :value "ge" "hour" "17")
{ redirect "pager@example.com"; }"""
AWAY = """require ["date", "relational", "vacation"];
if allof (currentdate :value "ge" "date" "2007-06-30", currentdate :value "le" "date" "2007-07-07")
{ vacation :days 7  "I'm away during the first week in July."; }"""
MONTHLY = """require ["date", "variables", "fileinto"];
if currentdate :matches "month" "*" { set "month" "${1}"; }
if currentdate :matches "year"  "*" { set "year"  "${1}"; }
fileinto "${month}-${year}";"""
CUTOFF = """require ["date", "relational", "index"];
if date :value "gt" :index 2 :zone "-0500" "received" "iso8601" "2007-02-26T09:00:00-05:00"
{ redirect "aftercutoff@example.org"; }"""


@pytest.mark.parametrize(
    ("source", "fields", "now", "want"),
    [
        (
            URGENT,
            ["From: boss@example.com", "Date: Mon, 1 Jan 2024 16:59:59 -0800"],
            0.0,
            ["fileinto urgent"],
        ),
        (URGENT, ["From: boss@example.com", "Date: Mon, 1 Jan 2024 17:00:00 -0800"], 0.0, KEEP),
        (WEEKEND, ["Received: from a by b; Sun, 7 Jan 2024 12:00:00 +0000"], 0.0, ["fileinto weekend"]),
        (WEEKEND, ["Received: from a by b; Mon, 8 Jan 2024 12:00:00 +0000"], 0.0, KEEP),
        (PAGER, [], _at(2024, 1, 6, 12), ["redirect pager@example.com"]),
        (PAGER, [], _at(2024, 1, 8, 12), KEEP),
        (PAGER, [], _at(2024, 1, 8, 17), ["redirect pager@example.com"]),
        (AWAY, [], _at(2007, 7, 7, 23), ["vacation I'm away during the first week in July.", *KEEP]),
        (AWAY, [], _at(2007, 7, 8, 0), KEEP),
        (MONTHLY, [], _at(2007, 7, 8, 0), ["fileinto 07-2007"]),
        (
            CUTOFF,
            ["Received: x; Mon, 26 Feb 2007 08:00:00 -0500", "Received: y; Mon, 26 Feb 2007 16:00:00 +0000"],
            0.0,
            ["redirect aftercutoff@example.org"],
        ),
        (CUTOFF, ["Received: x; Mon, 26 Feb 2007 16:00:00 +0000"], 0.0, KEEP),
    ],
)
def test_dates(source: str, fields: list[str], now: float, want: list[str]) -> None:
    assert decided(source, mail(*fields), now=now) == want


def test_a_date_goes_into_a_field() -> None:
    # RFC 5260 section 5.1
    context = context_of(now=_at(2024, 1, 8, 17))
    source = """require ["variables", "date", "editheader"];
        if currentdate :matches "std11" "*" {addheader "Processing-date" "${0}";}"""
    assert run_in(source, context).ok
    assert context.message.header_values("processing-date") == ["Mon, 08 Jan 2024 17:00:00 +0000"]


# -- RFC 6134 -------------------------------------------------------------------------------


class Lists:
    """The lists of the examples."""

    known: ClassVar = {
        "urn:ietf:params:sieve:addrbook:default": ["friend@example.org"],
        "tag:example.com,2011-01-01:localHolidays": ["2011-12-25"],
        "tag:example.com,2010-05-28:mylist": ["a@example.com", "b@example.com"],
    }

    def lookup(self, list_: str, value: str) -> bool:
        return value.lower() in self.known.get(list_, ())

    def members(self, list_: str) -> list[str] | None:
        return self.known.get(list_)


SCORES = """require ["envelope", "extlists", "fileinto", "spamtest", "relational",
         "comparator-i;ascii-numeric"];
if envelope :list "from" ":addrbook:default" {
    if spamtest :value "ge" :comparator "i;ascii-numeric" "8" { fileinto "spam"; }
} elsif spamtest :value "ge" :comparator "i;ascii-numeric" "3" { fileinto "spam"; }"""
HOLIDAYS = """require ["extlists", "date", "enotify"];
if currentdate :list "date" "tag:example.com,2011-01-01:localHolidays" {
    notify "mailto:romeo@example.com";
}"""
MYLIST = """require ["envelope", "extlists", "subaddress"];
if allof (envelope :detail "to" "mylist", address :list "from" "tag:example.com,2010-05-28:mylist") {
    redirect :list "tag:example.com,2010-05-28:mylist";
}"""


@pytest.mark.parametrize(
    ("source", "options", "want"),
    [
        (SCORES, {"from_": "friend@example.org", "spam": 0.5}, KEEP),
        (SCORES, {"from_": "friend@example.org", "spam": 0.9}, ["fileinto spam"]),
        (SCORES, {"from_": "else@example.org", "spam": 0.5}, ["fileinto spam"]),
        (HOLIDAYS, {"now": _at(2011, 12, 25)}, ["notify mailto:romeo@example.com", *KEEP]),
        (HOLIDAYS, {"now": _at(2011, 12, 26)}, KEEP),
        (MYLIST, {"to": "me+mylist@example.net"}, ["redirect a@example.com", "redirect b@example.com"]),
        (MYLIST, {"to": "me+other@example.net"}, KEEP),
    ],
)
def test_external_lists(source: str, options: dict[str, object], want: list[str]) -> None:
    assert decided(source, mail("From: a@example.com"), ext_lists=Lists(), **options) == want


# -- the regex draft ------------------------------------------------------------------------

UNSOLICITED = r"""require "regex";
if anyof (
    not address :regex ["to", "cc", "bcc"] "me(\\+.*)?@company\\.com",
    header :regex :comparator "i;octet" "subject" "^[^[:lower:]]+$" ) {
  discard;
}"""


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        (["To: me+x@company.com", "Subject: Hello"], KEEP),
        (["To: me@company.com", "Subject: BUY NOW"], ["discard"]),
        (["To: you@company.com", "Subject: Hello"], ["discard"]),
        (["To: me@companyxcom", "Subject: Hello"], ["discard"]),
    ],
)
def test_regex(fields: list[str], want: list[str]) -> None:
    assert decided(UNSOLICITED, mail(*fields)) == want
