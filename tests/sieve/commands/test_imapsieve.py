"""Scripts for IMAP events: RFC 6785, with its examples."""

from __future__ import annotations

import pytest

from mailstack.sieve import (
    Cause,
    Context,
    EventOutcome,
    FileInto,
    ImapEvent,
    Message,
    Notify,
    Redirect,
    Registry,
    run_event,
)
from tests.sieve.kit import MAIL, errors_of, script_of, truth

REGISTRY = Registry.for_imap_events()
APPENDED = ImapEvent(Cause.APPEND, "ActionItems", "joe", "joe@example.com", "owner@example.com", ("\\Seen",))
FLAGGED = ImapEvent(
    Cause.FLAG, "Work", "joe", "joe@example.com", "owner@example.com", ("\\Flagged", "$X"), ("\\Flagged",)
)


def after(source: str, event: ImapEvent = APPENDED) -> EventOutcome:
    context = Context(Message.from_bytes(MAIL), environment={"domain": "example.com", "phase": "during"})
    outcome = run_event(script_of(source, registry=REGISTRY), context, event)
    if outcome.run.ok:
        return outcome
    # An error: nothing changes.
    assert outcome.copies == outcome.others == () and outcome.flags == event.flags and not outcome.is_deleted
    return outcome


EXAMPLE_1 = """require ["copy", "environment", "imapsieve"];
if anyof (environment :is "imap.cause" "APPEND",
          environment :is "imap.cause" "COPY")  {
    if environment :is "imap.mailbox" "ActionItems" {
        redirect :copy "actionitems@example.com";
    }
}"""
# That of the RFC, with a method we have.
EXAMPLE_2 = """require ["enotify", "imap4flags", "variables", "environment", "imapsieve"];
if environment :matches "imap.mailbox" "*" {
    set "mailbox" "${1}";
}
if allof (hasflag "\\\\Flagged",
          environment :contains "imap.changedflags" "\\\\Flagged") {
  notify :message "Important message in ${mailbox}" "mailto:tim@example.com";
}"""


def test_example_1_of_the_rfc() -> None:
    outcome = after(EXAMPLE_1)
    (sent,) = outcome.others
    assert isinstance(sent, Redirect) and sent.address == "actionitems@example.com"
    assert not outcome.is_deleted and outcome.flags == ("\\Seen",)
    assert after(EXAMPLE_1, FLAGGED).others == ()


def test_example_2_of_the_rfc() -> None:
    (told,) = after(EXAMPLE_2, FLAGGED).others
    assert isinstance(told, Notify) and told.message == "Important message in Work"
    assert after(EXAMPLE_2, APPENDED).others == ()
    unchanged = ImapEvent(Cause.FLAG, "Work", "joe", "joe@x", "owner@x", ("\\Flagged", "$X"), ("$X",))
    assert after(EXAMPLE_2, unchanged).others == ()


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("location", "MS"),
        ("phase", "post"),
        ("domain", "example.com"),
        ("imap.user", "joe"),
        ("imap.email", "joe@example.com"),
        ("imap.cause", "FLAG"),
        ("imap.mailbox", "Work"),
        ("imap.changedflags", "\\\\Flagged"),
    ],
)
def test_the_environment_of_an_event(item: str, value: str) -> None:
    # RFC 6785 section 4
    test = f'require ["environment", "imapsieve"]; if environment :is "{item}" "{value}" {{ discard; }}'
    assert after(test, FLAGGED).is_deleted


def test_an_append_changes_no_flags_and_says_so() -> None:
    # RFC 6785 section 4.5
    source = 'require ["environment"]; if environment :is "imap.changedflags" "" { discard; }'
    assert after(source).is_deleted


def test_during_delivery_nobody_did_it() -> None:
    # RFC 6785 section 4.2
    assert truth('environment :is "imap.user" ""', require='"environment"')
    assert truth('environment :is "imap.email" ""', require='"environment"')
    assert not truth('environment :contains "imap.cause" ""', require='"environment"')


@pytest.mark.parametrize(
    ("commands", "copies", "is_deleted"),
    [
        ("", [], False),
        ("keep;", [], False),
        ("discard;", [], True),
        ("discard; keep;", [], False),
        ('fileinto "a";', ["a"], True),
        ('fileinto "a"; keep;', ["a"], False),
        ('fileinto :copy "a";', ["a"], False),
        ('fileinto "INBOX"; keep;', ["INBOX"], False),
        ('keep; fileinto "inbox";', ["INBOX"], False),
        ('redirect "a@b.example";', [], True),
        ('redirect :copy "a@b.example";', [], False),
        ('redirect "a@b.example"; keep;', [], False),
    ],
)
def test_what_becomes_of_the_message(commands: str, copies: list[str], is_deleted: bool) -> None:
    # RFC 6785 sections 3.1 to 3.5
    outcome = after(f'require ["fileinto", "copy", "imapsieve"]; {commands}')
    assert [copy.mailbox for copy in outcome.copies] == copies and outcome.is_deleted == is_deleted


def test_edits_show_in_what_is_filed_elsewhere() -> None:
    # RFC 6785 section 3.7: messages in mailboxes are immutable
    source = 'require ["editheader", "fileinto", "copy"]; addheader "X-A" "1"; fileinto :copy "a"; keep;'
    context = Context(Message.from_bytes(MAIL))
    outcome = run_event(script_of(source, registry=REGISTRY), context, APPENDED)
    (copy,) = outcome.copies
    assert context.message.to_bytes(copy.moment).startswith(b"X-A: 1\r\n")
    assert isinstance(copy, FileInto) and not outcome.is_deleted


def test_flags_are_those_after_the_change_and_may_be_changed_again() -> None:
    # RFC 6785 sections 2.2.3 and 3.8
    require = 'require ["imap4flags", "imapsieve"]; '
    assert after(require + 'addflag "New"; removeflag "$X";', FLAGGED).flags == ("\\Flagged", "New")
    assert after(require + 'keep :flags "Only";', FLAGGED).flags == ("Only",)
    assert after(require + 'if not hasflag "\\\\Flagged" { discard; }', FLAGGED).flags == ("\\Flagged", "$X")


def test_a_redirect_is_sent_by_the_owner() -> None:
    # RFC 6785 section 3.4
    context = Context(Message.from_bytes(MAIL))
    source = 'require "imapsieve"; redirect "a@b.example"; redirect "owner@example.com";'
    outcome = run_event(script_of(source, registry=REGISTRY), context, APPENDED)
    assert context.envelope.from_ == "owner@example.com"
    # Back to the owner would be a circle.
    assert not outcome.run.ok and not outcome.is_deleted


@pytest.mark.parametrize("name", ["reject", "ereject", "vacation", "vacation-seconds"])
def test_what_answers_a_delivery_is_an_error(name: str) -> None:
    # RFC 6785 section 3.11
    (error,) = errors_of(f'require ["imapsieve", "{name}"]; keep;', registry=REGISTRY)
    assert name in error and "IMAP events" in error


def test_the_envelope_is_an_error_when_it_is_looked_at() -> None:
    # RFC 6785 section 4.6
    source = 'require ["imapsieve", "envelope"]; if {} {{ if envelope "from" "a" {{ discard; }} }}'
    assert after(source.format("false")).run.ok
    outcome = after(source.format("true"))
    assert not outcome.run.ok and "no envelope" in outcome.run.errors[0].message


def test_accounts_cannot_ask_for_it() -> None:
    assert "imapsieve" not in Registry.standard() and "imapsieve" in REGISTRY
    assert errors_of('require "imapsieve";')
