"""What scripts send: vacation, notify, redirect (RFC 5230, 5435, 5436, 6009, 6131, 8580)."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage

import pytest

from mailstack.sieve import Context, Envelope, ExecOutcome, ExecuteOptions, Letterhead, Message, execute
from tests.sieve.kit import context_of, errors_of, run_in, script_of

NOW = 1_795_000_000.0
MAIL = b"""\
From: "Stephan Bosch" <stephan@example.org>\r
To: nico@frop.example\r
Subject: Lunch?\r
Message-ID: <1@example.org>\r
References: <0@example.org>\r
\r
Now?\r
"""


class Mailboxes:
    """Where messages stay, and where they leave."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, bytes, tuple[str, ...]]] = []
        self.sent: list[tuple[str, list[str], bytes]] = []

    def deliver(self, mailbox: str, message: bytes, flags: tuple[str, ...], create: bool) -> None:
        self.kept.append((mailbox, message, flags))

    def send(self, sender: str, recipients: list[str], message: bytes) -> None:
        self.sent.append((sender, recipients, message))


class Memory:
    """Ids with the time they were marked."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}

    def seen(self, id_: str, ttl_s: int) -> bool:
        return id_ in self.ids

    def mark(self, id_: str, ttl_s: int) -> None:
        self.ids[id_] = ttl_s


def carried_out(
    source: str,
    mail: bytes = MAIL,
    *,
    from_: str | None = "stephan@example.org",
    to: str = "nico@frop.example",
    settings: dict[str, object] | None = None,
    memory: Memory | None = None,
) -> tuple[Mailboxes, ExecOutcome]:
    """Runs a script and does what it decided."""
    context = Context(Message.from_bytes(mail), Envelope(from_, to, to), settings=settings or {}, now=NOW)
    outcome = run_in(source, context)
    assert outcome.ok, outcome.errors
    places = Mailboxes()
    options = ExecuteOptions(head=Letterhead("mx.example", NOW), duplicates=memory)
    done = execute(context.result, context.message, context.envelope, places, places, options=options)
    return places, done


def answer_to(source: str, mail: bytes = MAIL, **options: object) -> EmailMessage:
    """The only message that was sent, read by another program's eyes."""
    places, _ = carried_out(source, mail, **options)  # type: ignore[arg-type]
    ((_, _, octets),) = places.sent
    assert b"\n" not in octets.replace(b"\r\n", b"") and octets.isascii()
    assert all(len(line) <= 998 for line in octets.split(b"\r\n"))
    return email.message_from_bytes(octets, policy=email.policy.default)  # type: ignore[return-value]


AWAY = 'require "vacation"; vacation '


def test_an_answer_has_all_it_needs() -> None:
    # RFC 5230 section 5, RFC 3834 section 3
    places, done = carried_out(AWAY + '"I am away.";')
    ((sender, recipients, _),) = places.sent
    assert (sender, recipients) == ("", ["stephan@example.org"]) and done.kept
    answer = answer_to(AWAY + '"I am away.";')
    assert answer["To"] == "Stephan Bosch <stephan@example.org>" and answer["From"] == "nico@frop.example"
    assert answer["Subject"] == "Auto: Lunch?" and answer["In-Reply-To"] == "<1@example.org>"
    assert answer["References"] == "<0@example.org> <1@example.org>"
    assert answer["Auto-Submitted"].startswith("auto-replied") and answer["Message-ID"] and answer["Date"]
    assert answer.get_content() == "I am away.\r\n"


@pytest.mark.parametrize(
    "field",
    [
        "List-Id: <x.example>",
        "List-Unsubscribe: <mailto:x@example.org>",
        "Precedence: bulk",
        "Precedence: list",
        "Auto-Submitted: auto-generated",
        "Auto-Submitted: auto-replied (vacation)",
        "X-Auto-Response-Suppress: DR, OOF",
    ],
)
def test_lists_bulk_mail_and_programs_get_none(field: str) -> None:
    # V6
    places, done = carried_out(AWAY + '"away";', field.encode() + b"\r\n" + MAIL)
    assert places.sent == [] and done.kept and done.skipped


@pytest.mark.parametrize(
    "sender",
    [
        "",
        None,
        "nico@frop.example",
        "x-request@lists.example",
        "owner-x@lists.example",
        "MAILER-DAEMON@a.example",
        "x-bounces+nico=frop.example@lists.example",
        "noreply@shop.example",
    ],
)
def test_senders_that_are_nobody_get_none(sender: str | None) -> None:
    # V6; RFC 5230 section 4.6
    places, _ = carried_out(AWAY + '"away";', from_=sender)
    assert places.sent == []


def test_mail_that_is_not_addressed_to_the_owner_gets_none() -> None:
    # RFC 5230 section 4.5
    places, _ = carried_out(AWAY + '"away";', to="other@frop.example")
    assert places.sent == []
    places, _ = carried_out(AWAY + ':addresses "nico@frop.example" "away";', to="other@frop.example")
    assert len(places.sent) == 1


def test_each_sender_is_answered_once_in_the_period() -> None:
    # RFC 5230 section 4.2
    memory = Memory()
    for source, sent in (
        ('"away";', 1),
        ('"away";', 0),
        ('"another text";', 1),
        (':handle "h" "a";', 1),
        (':handle "h" "b";', 0),
    ):
        places, _ = carried_out(AWAY + source, memory=memory)
        assert len(places.sent) == sent, source
    assert set(memory.ids.values()) == {7 * 86_400}


@pytest.mark.parametrize(
    ("arguments", "settings", "period_s"),
    [
        (":days 3", {}, 3 * 86_400),
        (":days 0", {}, 86_400),
        (":days 400", {}, 60 * 86_400),
        (":seconds 60", {}, 86_400),
        (":seconds 60", {"sieve_vacation_min_period": "10s"}, 60),
        ("", {"sieve_vacation_default_period": "2d"}, 2 * 86_400),
    ],
)
def test_periods_stay_between_their_bounds(
    arguments: str, settings: dict[str, object], period_s: int
) -> None:
    # RFC 5230 section 4.1, RFC 6131 section 2
    memory = Memory()
    carried_out(f'require "vacation-seconds"; vacation {arguments} "away";', settings=settings, memory=memory)
    assert list(memory.ids.values()) == [period_s]


def test_a_subject_cannot_smuggle_a_field_in() -> None:
    # V8
    mail = MAIL.replace(b"Lunch?", b"=?utf-8?q?Hi=0D=0ABcc=3A_victim=40example.org?=")
    answer = answer_to(AWAY + '"away";', mail)
    assert answer["Bcc"] is None and "Bcc: victim@example.org" in answer["Subject"]
    answer = answer_to(AWAY + ':subject "a\r\nBcc: victim@example.org" "away";')
    assert answer["Bcc"] is None


def test_the_owner_writes_in_any_script() -> None:
    answer = answer_to(AWAY + ':subject "Weg: Grüße" :from "Günther <g@frop.example>" "Bin weg – 日本";')
    assert answer["Subject"] == "Weg: Grüße" and answer["From"] == "Günther <g@frop.example>"
    assert answer.get_content().strip() == "Bin weg – 日本"


def test_a_mime_entity_of_the_owner_keeps_only_fields_about_content() -> None:
    # RFC 5230 section 4.4
    text = "Content-Type: text/html\r\nBcc: victim@example.org\r\n\r\n<b>away</b>\r\n"
    answer = answer_to(f'{AWAY} :mime "{text}";')
    assert answer.get_content_type() == "text/html" and answer["Bcc"] is None
    assert "<b>away</b>" in answer.get_content()


def test_a_copy_of_what_is_sent_is_kept() -> None:
    # RFC 8580 section 3
    source = r"""require ["vacation", "fcc", "mailbox", "imap4flags"];
        vacation :fcc "Sent" :create :flags ["\\Seen"] "away";"""
    places, _ = carried_out(source)
    assert [(name, flags) for name, _, flags in places.kept] == [("Sent", ("\\Seen",)), ("INBOX", ())]
    assert places.kept[0][1] == places.sent[0][2]
    assert errors_of('require ["vacation", "mailbox"]; vacation :create "away";')


NOTIFY = 'require "enotify"; notify '


def test_a_notification_says_who_wrote() -> None:
    # RFC 5436 section 2.7
    places, done = carried_out(NOTIFY + ':importance "1" "mailto:pager@example.net?subject=New%20mail";')
    ((sender, recipients, octets),) = places.sent
    assert (sender, recipients) == ("postmaster@mx.example", ["pager@example.net"]) and done.kept
    notice = email.message_from_bytes(octets, policy=email.policy.default)
    assert notice["Subject"] == "New mail" and notice["Importance"] == "High"
    assert notice["Auto-Submitted"].startswith("auto-notified; owner-email=")
    assert "Stephan Bosch" in notice.get_content()  # type: ignore[attr-defined]


def test_a_message_without_sender_notifies_without_one() -> None:
    # RFC 5436 section 2.7: against loops
    places, _ = carried_out(NOTIFY + ':from "nico@frop.example" "mailto:pager@example.net";', from_="")
    assert places.sent[0][0] == ""


def test_programs_notify_nobody_and_nobody_is_notified_twice() -> None:
    places, _ = carried_out(NOTIFY + '"mailto:p@example.net";', b"Auto-Submitted: auto-generated\r\n" + MAIL)
    assert places.sent == []
    first, second = "mailto:p@example.net", "mailto:P@example.net?cc=q@example.net"
    twice = f'{NOTIFY} "{first}"; notify :message "x" "{second}";'
    places, _ = carried_out(twice)
    assert [recipients for _, recipients, _ in places.sent] == [["p@example.net"], ["q@example.net"]]


@pytest.mark.parametrize(
    "uri",
    [
        "mailto:",
        "mailto:a",
        "mailto:a@b.example;c@d.example",
        "mailto:a@b.example?x<=y",
        "mailto:a@b.example?x:=y",
        "tel:+14085551212",
        "mailto:" + "%2c".join(f"a{n}@b.example" for n in range(11)),
    ],
)
def test_what_cannot_be_notified_is_a_mistake(uri: str) -> None:
    assert errors_of(f'{NOTIFY} "{uri}";')
    test = f'require "enotify"; if valid_notify_method "{uri}" {{ discard; }}'
    assert [action["action"] for action in _run(test).result.as_json()] == ["keep"]


def _run(source: str) -> Context:
    context = context_of()
    assert run_in(source, context).ok
    return context


def test_unsafe_fields_of_a_uri_are_ignored() -> None:
    # RFC 5436 section 2.7
    unsafe = "from=x@example.org&bcc=victim@example.org&date=now&x-tag=a%0D%0ABcc:%20v@example.org"
    uri = f"mailto:p@example.net?{unsafe}"
    places, _ = carried_out(f'{NOTIFY} "{uri}";')
    ((_, recipients, octets),) = places.sent
    notice = email.message_from_bytes(octets, policy=email.policy.default)
    assert recipients == ["p@example.net"] and notice["Bcc"] is None and notice["From"] != "x@example.org"
    assert notice["X-tag"] == "a Bcc: v@example.org"


def test_a_redirect_carries_wishes_for_reports() -> None:
    # RFC 6009 sections 3 and 4
    source = 'require "redirect-dsn"; redirect :notify "failure,delay" :ret "hdrs" "a@b.example";'
    (action,) = _run(source).result.as_json()
    assert (action["notify"], action["ret"]) == ("FAILURE,DELAY", "HDRS")
    for wrong in (':notify "NEVER,SUCCESS"', ':notify "x"', ':ret "ALL"'):
        assert errors_of(f'require "redirect-dsn"; redirect {wrong} "a@b.example";')


def test_the_envelope_has_wishes_for_reports() -> None:
    # RFC 6009 section 2
    script = script_of('require "envelope-dsn"; if envelope "notify" "NEVER" { discard; }')
    context = Context(Message.from_bytes(MAIL), Envelope("a@b.example", "c@d.example", notify="NEVER"))
    from mailstack.sieve import run

    assert run(script, context).ok and not context.result.implicit_keep
