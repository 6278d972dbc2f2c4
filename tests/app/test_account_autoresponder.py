"""An account's autoresponder among its scripts, as the filter worker runs them."""

from __future__ import annotations

import email
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest

from mailstack.app.account_view import AccountView, OperatorScripts
from mailstack.directory import Directory, DirectoryWriter
from mailstack.directory.autoresponder import Wishes
from mailstack.filters.case import Case
from mailstack.filters.edits import View
from mailstack.filters.rules import RuleResult, Rules
from mailstack.filters.sieve_options import SieveOptions
from mailstack.model.directory import Account
from mailstack.model.verdict import (
    Authentication,
    Class,
    DmarcResult,
    FileInto,
    FilterRecipient,
    FilterRequest,
    MessageVerdict,
    SendMail,
    SpfResult,
)
from tests.kit.instance import Instance, new_instance

ALICE, BOB = "alice@example.test", "bob@far.example"
MESSAGE = (
    b"From: Bob <bob@far.example>\r\nTo: alice@example.test\r\nSubject: lunch\r\n"
    b"Message-ID: <1@far.example>\r\n\r\nAre you free?\r\n"
)
NAMED = "Alice Example <alice@example.test>"
NOON = datetime(2026, 12, 24, 12, 0, tzinfo=UTC).timestamp()
PROVEN = Authentication(spf=SpfResult("pass", "far.example"))


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return new_instance(tmp_path)


@pytest.fixture
def writer(instance: Instance) -> Iterator[DirectoryWriter]:
    with instance.writer() as found:
        found.accounts.add(ALICE, name="Alice Example")
        yield found


@pytest.fixture
def reader(instance: Instance, writer: DirectoryWriter) -> Iterator[Directory]:
    found = instance.reader()
    away(writer, found, text="I am away.", subject="Away")
    yield found
    found.close()


def away(writer: DirectoryWriter, reader: Directory, **wishes: object) -> None:
    wanted = Wishes(**wishes)  # type: ignore[arg-type]
    writer.autoresponders.set(ALICE, "away", wanted, owns=reader.may_send_as)
    writer.autoresponders.activate(ALICE, "away")


def run(
    reader: Directory,
    message: bytes = MESSAGE,
    *,
    sender: str = BOB,
    klass: Class = "ham",
    at: float = NOON,
    found: Authentication = PROVEN,
    written_to: str = ALICE,
    catch_all: bool = False,
) -> RuleResult:
    account = reader.find_account(ALICE)
    assert isinstance(account, Account)
    view = AccountView(
        account,
        reader,
        OperatorScripts(SieveOptions()),
        seen=None,
        mail=None,
        time_zone="UTC",
        begin=lambda id_, script, version: None,
    )
    recipient = FilterRecipient(1, account.id, ALICE, written_to, catch_all)
    request = FilterRequest("id", "192.0.2.1", "h.test", sender, (recipient,), at)
    verdict = MessageVerdict(klass=klass, authentication=found)
    case = Case(
        request, recipient, verdict, klass=klass, is_spam=klass == "spam", around=view, author=sender.lower()
    )
    return Rules(hostname="mx.example.test").run(view.steps(), lambda: View(message, b"", len(message)), case)


def answer(result: RuleResult) -> SendMail | None:
    found = [action for action in result.actions if isinstance(action, SendMail)]
    assert len(found) <= 1
    return found[0] if found else None


def read(result: RuleResult) -> EmailMessage:
    one = answer(result)
    assert one is not None, result.notes
    return email.message_from_bytes(one.message, policy=default)


def test_the_sender_gets_an_answer_and_the_message_is_kept(reader: Directory) -> None:
    result = run(reader)
    assert result.implicit_keep
    assert not result.error
    one, letter = answer(result), read(result)
    assert one is not None
    assert (one.envelope_from, one.recipients) == ("", (BOB,))
    # RFC 3834 section 3.1
    assert (letter["To"], letter["From"], letter["Subject"]) == ("Bob <bob@far.example>", NAMED, "Away")
    assert (letter["Auto-Submitted"], letter["In-Reply-To"]) == ("auto-replied (vacation)", "<1@far.example>")
    assert letter.get_content().strip() == "I am away."
    assert one.claim is not None
    assert (one.claim.who, one.claim.handle, one.claim.period_s) == (BOB, "autoresponder", 7 * 86_400)


def test_other_words_are_no_other_answer_to_the_same_sender(
    writer: DirectoryWriter, reader: Directory
) -> None:
    # Product page, section 4: one answer per sender per 7 days; reset forgets.
    first = answer(run(reader))
    away(writer, reader, text="Still away.")
    second = answer(run(reader, sender="BOB@far.example"))
    assert first is not None
    assert second is not None
    assert first.claim is not None
    assert second.claim is not None
    assert first.claim.id == second.claim.id


def test_marks_of_the_day_make_nobody_a_new_sender(reader: Directory) -> None:
    today, tomorrow = "prvs=1111111111=bob@far.example", "prvs=2222222222=bob@far.example"
    first, second, plain = (answer(run(reader, sender=sender)) for sender in (today, tomorrow, BOB))
    assert first is not None and first.claim is not None
    assert second is not None and second.claim is not None
    assert plain is not None and plain.claim is not None
    assert first.claim.id == second.claim.id == plain.claim.id
    # The answer goes where the message says it came from: the mark lets it in there.
    assert (first.recipients, first.claim.who) == ((today,), BOB)


def _with(*fields: str) -> bytes:
    return "".join(f"{field}\r\n" for field in fields).encode() + MESSAGE


# V6; RFC 3834 section 2, RFC 5230 section 4.6
@pytest.mark.parametrize(
    ("message", "changes"),
    [
        (_with("List-Id: <a.b>"), {}),
        (_with("List-Unsubscribe: <mailto:x@y.test>"), {}),
        (_with("Precedence: bulk"), {}),
        (_with("Precedence: LIST"), {}),
        (_with("Auto-Submitted: auto-generated"), {}),
        (_with("X-Auto-Response-Suppress: OOF"), {}),
        (MESSAGE, {"sender": ""}),
        (MESSAGE, {"sender": ALICE}),
        (MESSAGE, {"sender": "mailer-daemon@far.example"}),
        (MESSAGE, {"sender": "no-reply@far.example"}),
        (MESSAGE, {"klass": "spam"}),
        (MESSAGE, {"klass": "promotions"}),
        (MESSAGE, {"klass": "social"}),
        (MESSAGE, {"found": Authentication(dmarc=DmarcResult("fail", "far.example", "none"))}),
        (MESSAGE, {"found": Authentication(spf=SpfResult("fail", "far.example"))}),
        (MESSAGE, {"written_to": "nobody@example.test", "catch_all": True}),
        (MESSAGE.replace(b"To: alice@", b"To: others@"), {}),
    ],
)
def test_no_answer_where_nobody_waits_for_one(
    reader: Directory, message: bytes, changes: dict[str, object]
) -> None:
    result = run(reader, message, **changes)  # type: ignore[arg-type]
    assert answer(result) is None
    assert result.implicit_keep
    assert not result.error


def test_an_alias_is_the_owners_address_of_itself(writer: DirectoryWriter, reader: Directory) -> None:
    writer.aliases.add("sales@example.test", [ALICE])
    to_sales = MESSAGE.replace(b"To: alice@", b"Cc: sales@")
    assert (
        read(run(reader, to_sales, written_to="sales@example.test"))["From"]
        == "Alice Example <sales@example.test>"
    )


def test_a_group_is_not_its_members_address(writer: DirectoryWriter, reader: Directory) -> None:
    writer.accounts.add("bob@example.test")
    writer.aliases.add("team@example.test", [ALICE, "bob@example.test"])
    to_team = MESSAGE.replace(b"To: alice@", b"To: team@")
    result = run(reader, to_team, written_to="team@example.test")
    assert "vacation: no answer: none of the owner's addresses is in To or Cc" in result.notes
    # Written to both, it is the owner's mail.
    both = to_team.replace(b"team@example.test", b"team@example.test, alice@example.test")
    assert read(run(reader, both, written_to="team@example.test"))["From"] == NAMED


@pytest.mark.parametrize("address", ["alice+news@example.test", "alice@mirror.test", "Alice+x@mirror.test"])
def test_every_way_to_write_the_owners_address_is_it(
    writer: DirectoryWriter, reader: Directory, address: str
) -> None:
    writer.domains.add_alias("mirror.test", "example.test")
    message = MESSAGE.replace(b"To: alice@example.test", f"To: {address}".encode())
    assert read(run(reader, message, written_to=address))["From"] == f"Alice Example <{address}>"


def test_another_from_while_it_is_the_owners(writer: DirectoryWriter, reader: Directory) -> None:
    writer.accounts.grant(ALICE, "office@example.test")
    away(writer, reader, sender="office@example.test")
    assert read(run(reader))["From"] == "Alice Example <office@example.test>"
    writer.accounts.revoke(ALICE, "office@example.test")
    result = run(reader)
    assert read(result)["From"] == NAMED
    assert "office@example.test is not an address of alice@example.test" in result.notes


def test_only_in_its_time_of_the_owners_clock_and_never_to_the_excluded(
    writer: DirectoryWriter, reader: Directory
) -> None:
    writer.accounts.set_time_zone(ALICE, "Pacific/Auckland")  # 13 hours before UTC in December
    away(writer, reader, starts="2026-12-25", ends="2026-12-25T09:00", weekdays="fri")
    assert answer(run(reader, at=NOON)) is not None  # 01:00 on the 25th there
    early = run(reader, at=NOON - 3_600 - 1)
    assert answer(early) is None
    assert "autoresponder: no answer: it does not answer before 2026-12-25" in early.notes
    late = run(reader, at=NOON + 8 * 3_600 + 60)
    assert "autoresponder: no answer: it answered until 2026-12-25 09:00" in late.notes
    away(writer, reader, exclude=("far.example",))
    assert "autoresponder: no answer: it never answers far.example" in run(reader).notes


@pytest.mark.parametrize(
    ("script", "answers"),
    [
        ("stop;", True),
        ('require "fileinto"; fileinto "Work"; stop;', True),
        ('redirect "friend@far.example";', True),
        ("discard;", False),
        ('require "reject"; reject "no";', False),
        ('require "vacation"; vacation "Mine.";', False),
        ("nonsense", True),
    ],
)
def test_it_lives_beside_the_owners_script_without_touching_it(
    writer: DirectoryWriter, reader: Directory, script: str, answers: bool
) -> None:
    writer.scripts.put(ALICE, "main", script.encode())
    writer.scripts.activate(ALICE, "main")
    with_it = run(reader)
    writer.autoresponders.deactivate(ALICE)
    without = run(reader)
    written = [a.message for a in with_it.actions if isinstance(a, SendMail)]
    assert any(b"I am away." in one for one in written) is answers
    # What becomes of the message is what the script says, with and without.
    kept = tuple(a for a in with_it.actions if not isinstance(a, SendMail))
    assert kept == tuple(a for a in without.actions if not isinstance(a, SendMail))
    assert (with_it.implicit_keep, with_it.error) == (without.implicit_keep, without.error)


def test_a_script_that_used_up_its_actions_takes_nothing_from_it(
    writer: DirectoryWriter, reader: Directory
) -> None:
    most = "".join(f'fileinto "F{number}";' for number in range(32))
    writer.scripts.put(ALICE, "main", f'require "fileinto"; {most}'.encode())
    writer.scripts.activate(ALICE, "main")
    result = run(reader)
    assert answer(result) is not None
    assert sum(isinstance(action, FileInto) for action in result.actions) == 32
    assert not result.implicit_keep


def test_letters_of_the_text_are_what_they_look_like(writer: DirectoryWriter, reader: Directory) -> None:
    text = 'Grüße: "${subject}" \\ {name} ${hex:41}\n.\n#end'
    away(writer, reader, text=text, subject="Re: =?x?= ${1}")
    letter = read(run(reader))
    assert letter.get_content().replace("\r\n", "\n").rstrip("\n") == text
    assert letter["Subject"] == "Re: =?x?= ${1}"
