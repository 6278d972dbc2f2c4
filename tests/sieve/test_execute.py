from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage

import pytest

from mailstack.sieve import (
    Discard,
    Envelope,
    ExecOutcome,
    ExecuteOptions,
    FileInto,
    Keep,
    Letterhead,
    Limits,
    Message,
    Redirect,
    Reject,
    Result,
    execute,
)
from mailstack.sieve.actions import Action

MAIL = b"Received: x\r\nMessage-ID: <1@a.example>\r\nFrom: s@a.example\r\nSubject: Hi\r\n\r\nBody \xff\r\n"
OPTIONS = ExecuteOptions(head=Letterhead("mx.example.org", 1_700_000_000.0))


class Store:
    def __init__(self, *refuses: str) -> None:
        self.refuses = refuses
        self.kept: list[tuple[str, bytes, tuple[str, ...], bool]] = []

    def deliver(self, mailbox: str, message: bytes, flags: tuple[str, ...], create: bool) -> None:
        if mailbox in self.refuses:
            raise OSError("no such mailbox")
        self.kept.append((mailbox, message, flags, create))


class Sender:
    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.sent: list[tuple[str, list[str], bytes]] = []

    def send(self, envelope_from: str, recipients: list[str], message: bytes) -> None:
        if self.broken:
            raise ConnectionError("queue is full")
        self.sent.append((envelope_from, recipients, message))


class Seen:
    def __init__(self) -> None:
        self.ids: set[str] = set()

    def seen(self, id_: str, ttl_s: int) -> bool:
        return id_ in self.ids

    def mark(self, id_: str, ttl_s: int) -> None:
        self.ids.add(id_)


def do(
    *actions: Action,
    mail: bytes = MAIL,
    envelope: Envelope | None = None,
    store: Store | None = None,
    sender: Sender | None = None,
    options: ExecuteOptions = OPTIONS,
) -> tuple[ExecOutcome, Store, Sender]:
    result = Result()
    for action in actions:
        result.add(action, Limits())
    store, sender = store or Store(), sender or Sender()
    envelope = envelope or Envelope("s@a.example", "me@b.example")
    return execute(result, Message.from_bytes(mail), envelope, store, sender, options=options), store, sender


def mailboxes(store: Store) -> list[str]:
    return [kept[0] for kept in store.kept]


def test_nothing_decided_is_kept() -> None:
    outcome, store, _ = do()
    assert store.kept == [("INBOX", MAIL, (), True)] and outcome.kept and outcome.ok


def test_discard_is_silent() -> None:
    outcome, store, sender = do(Discard())
    assert (store.kept, sender.sent, outcome.kept, outcome.ok) == ([], [], False, True)


def test_actions_are_carried_out_as_decided() -> None:
    outcome, store, sender = do(
        FileInto("A", ("\\Seen",), create=True), Keep(("x",)), Redirect("r@c.example", copy=True)
    )
    assert store.kept == [("A", MAIL, ("\\Seen",), True), ("INBOX", MAIL, ("x",), False)]
    assert [sent[:2] for sent in sender.sent] == [("s@a.example", ["r@c.example"])]
    assert not outcome.kept and [sent.action for sent in outcome.sent] == ["redirect"]


def test_a_redirected_message_is_as_it_was_with_one_field_more() -> None:
    # RFC 5228 section 4.2: no changes to the body or existing header fields.
    _, store, sender = do(Redirect("r@c.example"))
    assert sender.sent[0][2] == b"X-Sieve-Redirected-From: me@b.example\r\n" + MAIL and store.kept == []


@pytest.mark.parametrize(
    ("action", "from_", "sender"),
    [
        (Redirect("r@c.example"), "s@a.example", "s@a.example"),
        (Redirect("r@c.example"), "", ""),
        (Redirect("r@c.example"), None, ""),
        (Redirect("r@c.example", envelope_from="me@b.example"), "s@a.example", "me@b.example"),
        (Redirect("r@c.example", envelope_from=""), "s@a.example", ""),
    ],
)
def test_a_redirect_has_the_envelope_sender_it_recorded(
    action: Redirect, from_: str | None, sender: str
) -> None:
    assert do(action, envelope=Envelope(from_, "me@b.example"))[2].sent[0][0] == sender


@pytest.mark.parametrize("owner", ["me@b.example", "ME@B.example", "<me@b.example>"])
def test_a_redirect_loop_is_stopped_and_one_copy_stays(owner: str) -> None:
    # V4; RFC 5228 section 4.2: loop control is a MUST.
    mail = (
        b"X-Sieve-Redirected-From: other@b.example\r\nX-Sieve-Redirected-From: "
        + owner.encode()
        + b"\r\n"
        + MAIL
    )
    outcome, store, sender = do(Redirect("r@c.example"), mail=mail)
    assert sender.sent == [] and mailboxes(store) == ["INBOX"] and "mail loop" in outcome.skipped[0][1]


def test_a_message_with_too_many_received_fields_is_not_redirected() -> None:
    for count, sent in ((49, 1), (50, 0)):
        mail = b"Received: x\r\n" * count + b"\r\n"
        _, store, sender = do(Redirect("r@c.example"), mail=mail)
        assert len(sender.sent) == sent and len(store.kept) == 1 - sent


def test_the_same_message_is_redirected_once() -> None:
    options = ExecuteOptions(head=OPTIONS.head, duplicates=Seen())
    first, second = do(Redirect("r@c.example"), options=options), do(Redirect("r@c.example"), options=options)
    assert len(first[2].sent) == 1 and second[2].sent == [] and mailboxes(second[1]) == ["INBOX"]
    assert len(do(Redirect("other@c.example"), options=options)[2].sent) == 1


def test_a_redirect_that_cannot_be_sent_is_kept() -> None:
    # V5
    outcome, store, _ = do(Redirect("r@c.example"), sender=Sender(broken=True))
    assert mailboxes(store) == ["INBOX"] and outcome.ok and "queue is full" in outcome.skipped[0][1]


def test_a_copy_that_cannot_be_sent_is_no_second_keep() -> None:
    outcome, store, _ = do(Redirect("r@c.example", copy=True), FileInto("A"), sender=Sender(broken=True))
    assert mailboxes(store) == ["A"] and not outcome.kept


def test_a_mailbox_that_refuses_ends_in_the_inbox() -> None:
    # V10
    outcome, store, _ = do(FileInto("../x"), store=Store("../x"))
    assert mailboxes(store) == ["INBOX"] and outcome.kept and outcome.ok
    outcome, store, _ = do(FileInto("../x"), FileInto("A"), store=Store("../x"))
    assert mailboxes(store) == ["A"] and len(outcome.skipped) == 1


def test_when_nothing_works_the_outcome_says_so() -> None:
    outcome, _, _ = do(FileInto("A"), store=Store("A", "INBOX"))
    assert not outcome.ok and outcome.filed == []
    assert not do(store=Store("INBOX"))[0].ok


def test_a_failed_result_is_kept_and_nothing_else() -> None:
    result = Result()
    result.add(Redirect("r@c.example"), Limits())
    result.failed = True
    store, sender = Store(), Sender()
    execute(result, Message.from_bytes(MAIL), Envelope("s@a.example"), store, sender)
    assert mailboxes(store) == ["INBOX"] and sender.sent == []


def test_edits_of_the_header_are_stored() -> None:
    message = Message.from_bytes(MAIL)
    message.add_header("X-A", "b")
    store = Store()
    execute(Result(), message, Envelope(), store, Sender())
    assert store.kept[0][1] == b"X-A: b\r\n" + MAIL


def test_actions_of_other_kinds_are_left_to_the_embedder() -> None:
    class Page(Action):
        name = "page"

    outcome, store, _ = do(Page())
    assert [action.name for action in outcome.unhandled] == ["page"] and mailboxes(store) == ["INBOX"]


def refused(action: Reject, mail: bytes = MAIL) -> EmailMessage:
    _, store, sender = do(
        action, mail=mail, envelope=Envelope("s@a.example", "me@b.example", "alias@b.example")
    )
    assert store.kept == [] and sender.sent[0][:2] == ("", ["s@a.example"])
    octets = sender.sent[0][2]
    assert b"\n" not in octets.replace(b"\r\n", b"")
    return email.message_from_bytes(octets, policy=email.policy.default)  # type: ignore[return-value]


def test_reject_answers_with_a_disposition_notification() -> None:
    # RFC 5429 section 2.2.1
    mdn = refused(Reject("I do not want\r\nyour birdseed."))
    assert (
        mdn.get_content_type() == "multipart/report"
        and mdn.get_param("report-type") == "disposition-notification"
    )
    assert (mdn["from"], mdn["to"]) == ("me@b.example", "s@a.example")
    assert mdn["date"].datetime.timestamp() == 1_700_000_000 and mdn["auto-submitted"].startswith(
        "auto-replied"
    )
    assert mdn["in-reply-to"] == "<1@a.example>" and not mdn.defects
    text, machine, header = mdn.iter_parts()  # type: ignore[attr-defined]
    assert "I do not want\nyour birdseed." in text.get_content().replace("\r\n", "\n")
    fields = machine.get_payload(0)
    assert fields["disposition"] == "automatic-action/MDN-sent-automatically; deleted"
    assert fields["final-recipient"] == "rfc822;me@b.example"
    assert fields["original-recipient"] == "rfc822;alias@b.example"
    assert fields["original-message-id"] == "<1@a.example>"
    assert header.get_content_type() == "text/rfc822-headers" and "Subject: Hi" in header.get_payload()


def test_ereject_answers_with_a_delivery_report() -> None:
    # RFC 5429 section 2.1.2
    dsn = refused(Reject("Geh weg, Grüße 東京", ereject=True))
    assert dsn.get_param("report-type") == "delivery-status" and dsn["from"] == "postmaster@mx.example.org"
    text, machine, _ = dsn.iter_parts()  # type: ignore[attr-defined]
    assert "Geh weg, Grüße 東京" in text.get_content()
    assert machine.get_payload(0)["reporting-mta"] == "dns;mx.example.org"
    assert (machine.get_payload(1)["action"], machine.get_payload(1)["status"]) == ("failed", "5.7.1")


@pytest.mark.parametrize("from_", ["", None, "<>", "nonsense", "a@b.example\r\nBcc: x@y.example"])
def test_nobody_is_answered_who_cannot_be(from_: str | None) -> None:
    # RFC 5429 section 2.2.1: never to a null sender; the message is kept instead.
    outcome, store, sender = do(Reject("no"), envelope=Envelope(from_, "me@b.example"))
    assert sender.sent == [] and mailboxes(store) == ["INBOX"] and outcome.ok


def test_nothing_from_outside_reaches_the_header_of_an_answer() -> None:
    mail = b"Message-ID: <1@a>\r\n\tBcc: x@y.example\r\nSubject: a\nBcc: z@y.example\n\r\n"
    mdn = refused(Reject("x\r\n.\r\nBcc: evil@y.example\r\n--\r\n"), mail)
    assert mdn["bcc"] is None and mdn["subject"] == "Automatically rejected mail"


def test_a_reject_that_cannot_be_sent_is_kept() -> None:
    assert mailboxes(do(Reject("no"), sender=Sender(broken=True))[1]) == ["INBOX"]
