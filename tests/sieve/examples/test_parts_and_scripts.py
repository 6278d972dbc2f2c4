"""Examples of RFC 5703 (parts), RFC 6609 (scripts in scripts), RFC 5463, RFC 5183, RFC 7352 (duplicates)."""

from __future__ import annotations

import pytest

from tests.sieve.examples.kit import decided, mail
from tests.sieve.kit import context_of, errors_of, run_in

KEEP = ["implicit keep"]
#: A PDF of that name and size, a note, and a program.
LETTER = (
    b"MIME-Version: 1.0\r\nFrom: boss@example.org\r\nSubject: news\r\n"
    b'Content-Type: multipart/mixed; boundary="b"\r\n'
    b"\r\n--b\r\nContent-Type: text/plain\r\nContent-From: tim@example.com\r\n\r\n"
    b"The first text of this message.\r\n"
    b'--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename="important.pdf"\r\n'
    b"Content-MD5: x\r\n\r\nPDF\r\n"
    b'--b\r\nContent-Type: application/exe; name="a.com"\r\n\r\nMZ\r\n--b--\r\n'
)
IMPORTANT = """require ["mime", "foreverypart", "fileinto"];
foreverypart {
    if allof (header :mime :param "filename" :contains "Content-Disposition" "important",
              header :mime :subtype "Content-Type" "pdf",
              size :over 100) {
        fileinto "INBOX.important";
        break;
    }
}"""


@pytest.mark.parametrize(
    ("source", "want"),
    [
        (
            'require ["mime", "fileinto"];'
            ' if header :mime :type "Content-Type" "image" { fileinto "images"; }',
            KEEP,
        ),
        (
            'require ["mime", "fileinto"]; if header :mime :anychild :contenttype "Content-Type"'
            ' "application/pdf" { fileinto "pdf"; }',
            ["fileinto pdf"],
        ),
        (IMPORTANT, ["fileinto INBOX.important"]),
        (
            'require ["mime", "fileinto"]; if address :mime :anychild :is :all "content-from"'
            ' "tim@example.com" { fileinto "part-from-tim"; }',
            ["fileinto part-from-tim"],
        ),
        (
            'require ["mime", "fileinto"]; if exists :mime :anychild "content-md5" { fileinto "md5"; }',
            ["fileinto md5"],
        ),
    ],
)
def test_parts(source: str, want: list[str]) -> None:
    # RFC 5703 section 4
    assert decided(source, LETTER) == want


def test_the_beginning_of_a_message_goes_into_a_notification() -> None:
    # RFC 5703 section 7
    source = """require ["foreverypart", "mime", "extracttext", "variables", "enotify"];
        if header :contains "from" "boss@example.org" {
            if header :matches "Subject" "*" { set "subject" "${1}"; }
            foreverypart {
                if header :mime :type :is "Content-Type" "text" { extracttext :first 9 "msgcontent"; break; }
            }
            if not header :contains "subject" "FYI:" {
                notify :message "${subject}: ${msgcontent}" "mailto:tim@example.com";
            }
        }"""
    assert decided(source, LETTER)[0] == "notify mailto:tim@example.com news: The first"


def test_programs_are_taken_out() -> None:
    # RFC 5703 section 5
    source = """require ["foreverypart", "mime", "replace"];
        foreverypart {
            if anyof (header :mime :contenttype :is "Content-Type" "application/exe",
                      header :mime :param "filename" :matches
                          ["Content-Type", "Content-Disposition"] "*.com") {
                replace "Executable attachment removed by user filter";
            }
        }"""
    context = context_of(LETTER)
    assert run_in(source, context).ok
    *_, last = context.message.root.walk()
    assert (
        last.text == "Executable attachment removed by user filter"
        and b"MZ" not in context.message.to_bytes()
    )


def test_a_warning_is_put_around_a_program() -> None:
    # RFC 5703 section 6
    source = """require ["foreverypart", "mime", "enclose"];
        foreverypart {
            if header :mime :param ["filename", "name"] :matches ["Content-Type", "Content-Disposition"]
                ["*.com", "*.exe", "*.vbs", "*.scr", "*.pif", "*.hta", "*.bat", "*.zip" ] {
                # these attachment types are executable
                enclose :subject "Warning" text:
WARNING! The enclosed message contains executable attachments.
.
;
                break;
            }
        }"""
    context = context_of(LETTER)
    assert run_in(source, context).ok
    assert context.message.header_values("subject") == ["Warning"]
    words, enclosed = context.message.root.children
    assert words.text.startswith("WARNING!") and enclosed.children[0].header.header_values("subject") == [
        "news"
    ]
    assert LETTER in context.message.to_bytes()


# -- RFC 6609 -------------------------------------------------------------------------------

SPAM_TESTS = """require ["reject"];
if anyof (header :contains "Subject" "$$", header :contains "Subject" "Make money")
{ reject "No thank you."; }"""
SCRIPTS = {
    ("personal", "always_allow"): """if address :is "from" "boss@example.com" { keep; }
        elsif address :is "from" "ceo@example.com" { keep; }""",
    ("personal", "spam_tests"): """require ["reject"];
        if header :contains "Subject" "XXXX" { reject "Subject XXXX is unacceptable."; }
        elsif address :is "from" "money@example.com" { reject "Mail from this sender is unwelcome."; }""",
    ("personal", "mailing_lists"): """require ["fileinto"];
        if header :is "List-ID" "sieve.ietf.org" { fileinto "lists.sieve"; }
        elsif header :is "List-ID" "ietf-imapext.imc.org" { fileinto "lists.imapext"; }""",
    ("global", "spam_tests"): SPAM_TESTS,
    ("personal", "subject_tests"): """require ["include", "variables"];
        global ["test", "test_mailbox"];
        if header :contains "Subject" "${test}" { set "test_mailbox" "spam-${test}"; }""",
    ("personal", "look"): """require ["include", "fileinto", "variables"];
        if header :is "content-type" "application/pdf" { fileinto "found"; return; }
        if header :contains "subject" "" { fileinto "whole"; }""",
    ("personal", "mark"): 'require "editheader"; addheader "X-Mark" "1";',
}


class Storage:
    """The scripts of the examples."""

    def get_script(self, name: str, location: str) -> bytes | None:
        source = SCRIPTS.get((location, name))
        return None if source is None else source.encode()


DEFAULT = """require ["include"];
include :personal "always_allow";
include :global "spam_tests";
include :personal "spam_tests";
include :personal "mailing_lists";"""


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        (["From: boss@example.com"], ["keep"]),
        (["Subject: Make money"], ["reject No thank you."]),
        (["Subject: XXXX"], ["reject Subject XXXX is unacceptable."]),
        (["From: money@example.com"], ["reject Mail from this sender is unwelcome."]),
        (["List-ID: sieve.ietf.org"], ["fileinto lists.sieve"]),
        (["List-ID: other"], KEEP),
    ],
)
def test_scripts_in_a_script(fields: list[str], want: list[str]) -> None:
    # RFC 6609 section 3.2
    assert decided(DEFAULT, mail(*fields), storage=Storage()) == want


def test_global_variables_carry_what_a_subroutine_finds() -> None:
    # RFC 6609 section 3.4.1
    source = """require ["fileinto", "include", "variables", "relational"];
        global "test";
        global "test_mailbox";
        set "test" "$$";
        include "subject_tests";
        set "test" "Make money";
        include "subject_tests";
        if string :count "eq" "${test_mailbox}" "1" { fileinto "${test_mailbox}"; stop; }"""
    got = [
        decided(source, mail(f"Subject: {text}"), storage=Storage())
        for text in ("a $$ b", "make money", "hello")
    ]
    assert got == [["fileinto spam-$$"], ["fileinto spam-Make money"], KEEP]


def test_the_namespace_and_the_declaration_are_the_same_variable() -> None:
    # RFC 6609 section 3.4.2
    source = """require ["variables", "include", "vacation"];
        global "i_am_on_vacation";
        set "global.i_am_on_vacation" "1";
        if string :is "${i_am_on_vacation}" "1" { vacation "It's true, I am on vacation."; }"""
    assert decided(source, mail()) == ["vacation It's true, I am on vacation.", *KEEP]
    for wrong in ("global.data.from", "global.12"):
        assert errors_of(f'require ["variables", "include"]; set "{wrong}" "me@example.com";')
    assert errors_of('require "variables"; set "global.x" "1";')


def test_an_included_script_has_the_part_for_the_message() -> None:
    # RFC 6609 section 3.5; what it files is the message all the same
    source = 'require ["foreverypart", "include"]; foreverypart { include "look"; }'
    context = context_of(LETTER, storage=Storage())
    assert run_in(source, context, storage=Storage()).ok
    places = [action.mailbox for action in context.result.actions]  # type: ignore[attr-defined]
    assert places == ["whole", "found"]
    assert all(
        context.message.to_bytes(action.moment) == LETTER  # type: ignore[attr-defined]
        for action in context.result.actions
    )


def test_what_an_included_script_does_to_a_part_is_done_to_the_message() -> None:
    # RFC 6609 section 3.5
    source = """require ["foreverypart", "mime", "include", "fileinto"];
        foreverypart { if header :mime :subtype "content-type" "pdf" { include "mark"; } }
        fileinto "x";"""
    context = context_of(LETTER, storage=Storage())
    assert run_in(source, context, storage=Storage()).ok
    after = context.message
    assert not after.exists("x-mark") and after.to_bytes() == LETTER.replace(
        b"Content-Type: application/pdf", b"X-Mark: 1\r\nContent-Type: application/pdf"
    )


# -- RFC 5463, RFC 5183 ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "want"),
    [
        ('if ihave ["fileinto", "frob"] { fileinto "x"; } else { discard; }', ["discard"]),
        ('if ihave "fileinto" { fileinto "x"; }', ["fileinto x"]),
        ('if not ihave "frob" { discard; } else { frob; }', ["discard"]),
        ('if allof (ihave "frob", frob "x") { frob; } else { discard; }', ["discard"]),
        ('if ihave ["variables", "encoded-character"] { discard; }', KEEP),
    ],
)
def test_ihave(source: str, want: list[str]) -> None:
    # RFC 5463 section 4
    assert decided(f'require "ihave"; {source}', mail()) == want


def test_an_error_of_the_script_itself() -> None:
    # RFC 5463 section 5
    context = context_of()
    outcome = run_in('require "ihave"; discard; error "no fileinto here";', context)
    assert not outcome.ok and outcome.implicit_keep and outcome.errors[0].message == "no fileinto here"


@pytest.mark.parametrize(
    ("item", "value"),
    [("domain", "imap.example.com"), ("remote-ip", "127.0.0.1"), ("location", "MS"), ("version", "1.0")],
)
def test_the_environment(item: str, value: str) -> None:
    # RFC 5183 section 4.1
    source = f'require "environment"; if environment :matches "{item}" "{value}" {{ discard; }}'
    assert decided(source, mail(), environment={item: value}) == ["discard"]
    assert decided(source, mail(), environment={}) == KEEP


# -- RFC 7352 -------------------------------------------------------------------------------


class Memory:
    """Ids with the time they were marked."""

    def __init__(self) -> None:
        self.now = 0
        self.ids: dict[str, int] = {}

    def seen(self, id_: str, ttl_s: int) -> bool:
        return id_ in self.ids and self.now - self.ids[id_] < ttl_s

    def mark(self, id_: str, ttl_s: int) -> None:
        self.ids[id_] = self.now


EQUIVALENT = [
    'require "duplicate"; if duplicate { discard; }',
    'require "duplicate"; if duplicate :header "message-id" { discard; }',
    """require ["duplicate", "variables"];
    if header :matches "message-id" "*" { if duplicate :uniqueid "${0}" { discard; } }""",
]


@pytest.mark.parametrize("first", EQUIVALENT)
@pytest.mark.parametrize("second", EQUIVALENT)
def test_three_ways_to_name_the_same_entry(first: str, second: str) -> None:
    # RFC 7352 section 3.1
    memory, message = Memory(), mail("Message-ID: <1@example.org>")
    assert decided(first, message, duplicates=memory) == KEEP
    assert decided(second, message, duplicates=memory) == ["discard"]


def test_alerts_of_one_event_are_marked_as_seen() -> None:
    # RFC 7352 section 5.2
    source = r"""require ["duplicate", "variables", "imap4flags", "fileinto"];
        if header :matches "subject" "ALERT: *" {
            if duplicate :seconds 60 :uniqueid "${1}" { setflag "\\seen"; }
            fileinto "Alerts";
        }"""
    memory, message = Memory(), mail("Subject: ALERT: fire")
    assert decided(source, message, duplicates=memory) == ["fileinto Alerts"]
    memory.now = 59
    assert decided(source, message, duplicates=memory) == [r"fileinto Alerts [\seen]"]
    memory.now = 60
    assert decided(source, message, duplicates=memory) == ["fileinto Alerts"]


def test_notifications_of_one_person_come_now_and_then() -> None:
    # RFC 7352 section 5.3
    source = """require ["variables", "envelope", "enotify", "duplicate"];
        if envelope :matches "from" "*" { set "sender" "${1}"; }
        if header :matches "subject" "*" { set "subject" "${1}"; }
        # account for 'Re:' prefix
        if string :comparator "i;ascii-casemap" :matches "${subject}" "Re:*" { set "subject" "${1}"; }
        if not duplicate :seconds 1800 :uniqueid "${sender} ${subject}" {
            notify :message "[SIEVE] ${sender}: ${subject}" "mailto:user@im.example.com";
        }"""
    memory = Memory()
    told = [
        decided(source, mail(f"Subject: {subject}"), duplicates=memory)[0].startswith("notify")
        for subject in ("one", "one", "re:one", "two")
    ]
    # "re:one" leaves "one"; "Re: one" would leave a space before it.
    assert told == [True, False, False, True]


def test_handles_keep_ids_apart() -> None:
    # RFC 7352 section 5.4
    source = r"""require ["duplicate", "imap4flags"];
        if duplicate :header "X-Event-ID" :handle "notifier" { discard; }
        if allof (duplicate :header "X-Ticket-ID" :handle "support", address "to" "support@example.com",
                  header :contains "subject" "fileserver") {
            setflag "\\seen";
        }"""
    memory = Memory()
    event = mail("X-Event-ID: 1")
    ticket = mail("X-Ticket-ID: 1", "To: support@example.com", "Subject: fileserver")
    assert decided(source, event, duplicates=memory) == KEEP
    assert decided(source, ticket, duplicates=memory) == KEEP
    assert decided(source, ticket, duplicates=memory) == [r"implicit keep [\seen]"]
    assert decided(source, event, duplicates=memory) == ["discard"]
