"""Rules and script run over mail that is in a folder already."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailstack.app.apply_rules import SLICE, Application, StoredView
from mailstack.app.stored_changes import Report
from mailstack.directory import Directory, DirectoryWriter
from mailstack.filters.rules import Rules
from mailstack.mailbox.store import Account as Mailbox
from mailstack.mailbox.store import MailStore
from mailstack.model.directory import Account
from mailstack.model.mailbox import FLAG_NAMES, Flags, MailboxError, NewMessage
from mailstack.model.quota import Limits
from mailstack.model.rules import Choice, Plan, action, condition
from tests.kit.account_views import view_of
from tests.kit.instance import Instance, new_instance
from tests.kit.mailboxes import uids

ALICE = "alice@example.test"
MAIL = (
    b"Return-Path: <shop@far.example>\r\nDelivered-To: alice@example.test\r\n"
    b"X-Original-To: sales@example.test\r\n"
)


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return new_instance(tmp_path)


@pytest.fixture
def writer(instance: Instance) -> Iterator[DirectoryWriter]:
    with instance.writer() as found:
        found.accounts.add(ALICE)
        yield found


@pytest.fixture
def reader(instance: Instance, writer: DirectoryWriter) -> Iterator[Directory]:
    found = instance.reader()
    yield found
    found.close()


@pytest.fixture
def mailbox(instance: Instance, reader: Directory) -> Iterator[Mailbox]:
    store = MailStore(instance.config.paths.mail, now=time.time, random_bytes=os.urandom)
    yield store.of(owner(reader))
    store.close()


def owner(reader: Directory) -> Account:
    found = reader.find_account(ALICE)
    assert found is not None
    return found


def rule(writer: DirectoryWriter, name: str, conditions: str, *actions: str, also_spam: bool = False) -> None:
    plan = Plan(Choice((condition(conditions),)), tuple(map(action, actions)), also_spam=also_spam)
    writer.rules.add(ALICE, name, plan)


def script(writer: DirectoryWriter, source: str) -> None:
    writer.scripts.put(ALICE, "main", source.encode())
    writer.scripts.activate(ALICE, "main")


def fill(mailbox: Mailbox, *subjects: str, folder: str = "INBOX", flags: Flags = Flags.NONE) -> None:
    messages = [NewMessage(MAIL + f"Subject: {one}\r\n\r\nHi\r\n".encode(), flags=flags) for one in subjects]
    mailbox.append(folder, messages)


def apply(reader: Directory, mailbox: Mailbox, folder: str = "INBOX", *, dry_run: bool = False) -> Report:
    view = view_of(StoredView, owner(reader), reader)
    application = Application(owner(reader), mailbox, view, Rules(), folder, now=time.time())
    return application.run(lambda: None, dry_run=dry_run)


def subjects(mailbox: Mailbox, folder: str = "INBOX") -> list[str]:
    status = mailbox.status(folder)
    found = mailbox.fields(status.id, uids(mailbox, folder))
    return sorted(one.subject for one in found.values())


def flags(mailbox: Mailbox, folder: str = "INBOX") -> list[tuple[str, ...]]:
    return [
        (*(name for flag, name in FLAG_NAMES if row.flags & flag), *row.keywords)
        for row in mailbox.rows(mailbox.status(folder).id)
    ]


def test_messages_are_filed_copied_and_flagged(
    writer: DirectoryWriter, reader: Directory, mailbox: Mailbox
) -> None:
    fill(mailbox, "invoice 1", "news", "invoice 2", "photo")
    rule(writer, "bills", "subject contains invoice", "move Bills", "mark-read", "label $Money")
    rule(writer, "photos", "subject is photo", "copy Photos", "flag")
    script(writer, 'require "fileinto"; if header :is "subject" "news" { fileinto "Archive"; }')
    dry = apply(reader, mailbox, dry_run=True)
    assert subjects(mailbox) == ["invoice 1", "invoice 2", "news", "photo"]
    report = apply(reader, mailbox)
    assert report == dry
    assert (report.messages, report.flagged, report.failed) == (4, 3, 0)
    assert (report.moved, report.copied) == ({"Bills": 2, "Archive": 1}, {"Photos": 1})
    assert subjects(mailbox) == subjects(mailbox, "Photos") == ["photo"]
    assert subjects(mailbox, "Bills") == ["invoice 1", "invoice 2"]
    assert flags(mailbox, "Bills") == [("\\Seen", "$Money")] * 2
    assert flags(mailbox) == flags(mailbox, "Photos") == [("\\Flagged",)]
    assert "Bills" in [entry.name for entry in mailbox.folders() if entry.subscribed]
    # Once more: nothing is left to do, and no copy is doubled.
    again = apply(reader, mailbox)
    assert (again.messages, again.changes) == (1, [])
    assert subjects(mailbox, "Photos") == ["photo"]


def test_a_message_for_two_folders_is_in_both(
    writer: DirectoryWriter, reader: Directory, mailbox: Mailbox
) -> None:
    fill(mailbox, "both")
    script(writer, 'require ["fileinto", "mailbox"]; fileinto :create "A"; fileinto :create "B";')
    report = apply(reader, mailbox)
    assert (report.copied, report.moved) == ({"A": 1}, {"B": 1})
    assert (subjects(mailbox), subjects(mailbox, "A"), subjects(mailbox, "B")) == ([], ["both"], ["both"])


def test_what_was_stopped_between_copy_and_move_is_finished(
    writer: DirectoryWriter, reader: Directory, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(mailbox, "both")
    script(writer, 'require ["fileinto", "mailbox"]; fileinto :create "A"; fileinto :create "B";')

    def die(folder_id: int, uids: object, target: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(mailbox, "move", die)
        apply(reader, mailbox)
    assert (subjects(mailbox), subjects(mailbox, "A")) == (["both"], ["both"])
    assert apply(reader, mailbox).moved == {"B": 1}
    assert (subjects(mailbox), subjects(mailbox, "A"), subjects(mailbox, "B")) == ([], ["both"], ["both"])


def test_what_is_thrown_away_goes_to_trash(
    writer: DirectoryWriter, reader: Directory, mailbox: Mailbox
) -> None:
    fill(mailbox, "ad")
    mailbox.rename("Trash", "Papierkorb")
    rule(writer, "ads", "size over 1", "discard")
    assert apply(reader, mailbox).moved == {"Papierkorb": 1}
    assert subjects(mailbox, "Papierkorb") == ["ad"]
    assert apply(reader, mailbox, "Papierkorb").changes == []


def test_nothing_leaves(writer: DirectoryWriter, reader: Directory, mailbox: Mailbox) -> None:
    fill(mailbox, "one", "two")
    rule(writer, "on", "subject is one", "forward me@far.example", "discard")
    script(
        writer,
        'require ["vacation", "enotify", "editheader", "reject"]; if header :is "subject" "two" {'
        ' addheader "X-A" "b"; vacation :addresses "sales@example.test" "away";'
        ' notify "mailto:me@far.example"; discard; }',
    )
    report = apply(reader, mailbox)
    assert subjects(mailbox) == ["one", "two"]
    assert report.left_out["redirect"] == 1
    assert report.left_out["notify"] == 1
    assert report.changes == []


def test_flags_a_message_has_are_seen_and_may_go(
    writer: DirectoryWriter, reader: Directory, mailbox: Mailbox
) -> None:
    fill(mailbox, "read", flags=Flags.SEEN | Flags.ANSWERED)
    fill(mailbox, "unread")
    script(
        writer,
        'require "imap4flags"; if hasflag "\\\\Seen" { removeflag "\\\\Seen"; addflag "\\\\Flagged"; }',
    )
    assert apply(reader, mailbox).flagged == 1
    assert flags(mailbox) == [("\\Answered", "\\Flagged"), ()]


def test_flags_of_a_copy_are_not_those_of_what_stays(
    writer: DirectoryWriter, reader: Directory, mailbox: Mailbox
) -> None:
    fill(mailbox, "read", flags=Flags.SEEN | Flags.ANSWERED)
    script(
        writer,
        'require ["fileinto", "copy", "mailbox", "imap4flags"];'
        ' fileinto :copy :create :flags "\\\\Flagged" "A"; keep; fileinto :create :flags "$B" "B";',
    )
    assert apply(reader, mailbox).flagged == 0
    assert flags(mailbox) == [("\\Seen", "\\Answered")]


def test_the_envelope_and_the_class_are_those_of_the_delivery(
    writer: DirectoryWriter, reader: Directory, mailbox: Mailbox
) -> None:
    fill(mailbox, "ad\r\nX-Mailstack-Verdict: class=promotions; score=0.120; action=accept", "letter")
    rule(writer, "alias", "written-to is sales@example.test", "label $Sales")
    rule(writer, "class", "class is promotions", "move Ads")
    script(
        writer,
        'require ["envelope", "imap4flags"]; if envelope "from" "shop@far.example" { addflag "$Shop"; }',
    )
    apply(reader, mailbox)
    assert flags(mailbox) == [("$Sales", "$Shop")]
    # As for new mail: what a later script adds is not on a copy filed before it.
    assert flags(mailbox, "Ads") == [("$Sales",)]


def test_only_marked_rules_run_over_spam(
    writer: DirectoryWriter, reader: Directory, mailbox: Mailbox
) -> None:
    fill(mailbox, "win", folder="Spam")
    script(writer, "discard;")
    rule(writer, "plain", "size over 1", "move A")
    assert apply(reader, mailbox, "Spam").changes == []
    rule(writer, "marked", "class is spam", "move B", also_spam=True)
    assert apply(reader, mailbox, "Spam").moved == {"B": 1}


def test_a_script_that_fails_leaves_the_message_alone(
    writer: DirectoryWriter, reader: Directory, mailbox: Mailbox
) -> None:
    fill(mailbox, "one", "two")
    script(
        writer,
        'require ["include", "fileinto"]; if header :is "subject" "one" { fileinto "Archive"; error; }',
    )
    report = apply(reader, mailbox)
    assert (report.failed, subjects(mailbox)) == (2, ["one", "two"])
    assert report.problems[0].startswith("message 1: script main: line 1")


def test_a_folder_that_is_not_there_or_refused_leaves_the_message_where_it_is(
    writer: DirectoryWriter, reader: Directory, mailbox: Mailbox
) -> None:
    fill(mailbox, "one", "two")
    script(
        writer,
        'require ["fileinto", "mailbox"]; if header :is "subject" "one" { fileinto "Nowhere"; }'
        ' else { fileinto :create "a//b"; }',
    )
    report = apply(reader, mailbox)
    assert subjects(mailbox) == ["one", "two"]
    assert report.failed == 2
    assert "message 1: there is no folder Nowhere" in report.problems
    with pytest.raises(MailboxError):
        apply(reader, mailbox, "Nowhere")


def test_a_full_mailbox_leaves_the_message_where_it_is(
    writer: DirectoryWriter, reader: Directory, mailbox: Mailbox
) -> None:
    fill(mailbox, "one")
    script(writer, 'require ["fileinto", "mailbox"]; fileinto :create "A"; fileinto :create "B";')
    small = Mailbox(mailbox.core, Limits(octets=10))
    report = apply(reader, small)
    assert (report.failed, report.changes, subjects(mailbox)) == (1, [], ["one"])


def test_what_is_marked_for_removal_and_what_comes_later_is_left_alone(
    writer: DirectoryWriter, reader: Directory, mailbox: Mailbox
) -> None:
    fill(mailbox, "gone", flags=Flags.DELETED)
    fill(mailbox, *(f"number {n}" for n in range(SLICE + 1)))
    rule(writer, "all", "size over 1", "move A")
    assert apply(reader, mailbox).moved == {"A": SLICE + 1}
    assert subjects(mailbox) == ["gone"]


def test_duplicate_throws_nothing_away(writer: DirectoryWriter, reader: Directory, mailbox: Mailbox) -> None:
    fill(mailbox, "x\r\nMessage-ID: <1@far.example>", "y\r\nMessage-ID: <1@far.example>")
    script(writer, 'require "duplicate"; if duplicate { discard; }')
    assert apply(reader, mailbox).changes == []


def test_a_folder_is_the_same_however_it_is_written(
    writer: DirectoryWriter, reader: Directory, mailbox: Mailbox
) -> None:
    mailbox.create("INBOX/Gr\u00fcn")
    fill(mailbox, "one", folder="INBOX/Gr\u00fcn")
    script(writer, 'require ["fileinto", "mailbox"]; fileinto :create "Inbox/Gru\u0308n/";')
    assert apply(reader, mailbox, "INBOX/Gr\u00fcn").changes == []
    fill(mailbox, "two")
    assert apply(reader, mailbox).moved == {"INBOX/Gr\u00fcn": 1}


class Stopped(BaseException):
    """As if the process had been killed."""


RULES = st.lists(
    st.tuples(
        st.sampled_from(
            ["size over 1", "subject contains a", "subject contains b", "not subject contains a"]
        ),
        st.sets(
            st.sampled_from(
                ["copy A", "copy B", "copy Source", "mark-read", "label x", "forward a@far.example"]
            ),
            max_size=3,
        ),
        st.sampled_from(["", "move A", "move B", "move Source", "keep", "discard"]),
        st.booleans(),
    ).filter(lambda one: bool(one[1] or one[2])),
    min_size=1,
    max_size=4,
)


@settings(
    derandomize=True,
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(RULES, st.lists(st.sampled_from(["a", "b", "ab", "c"]), min_size=1, max_size=4), st.integers(0, 6))
def test_whatever_runs_and_whenever_it_is_stopped_no_message_is_lost(
    writer: DirectoryWriter,
    reader: Directory,
    mailbox: Mailbox,
    rules: list[tuple[str, set[str], str, bool]],
    messages: list[str],
    stop_at: int,
) -> None:
    for name in existing(mailbox) & {"Source", "A", "B"}:
        mailbox.delete(name)
    for one in reader.rules(owner(reader).id):
        writer.rules.remove(ALICE, one.name)
    for number, (conditions, deeds, home, stop) in enumerate(rules):
        actions = tuple(action(deed) for deed in [*sorted(deeds), home] if deed)
        choice = Choice((condition(conditions),))
        writer.rules.add(ALICE, f"rule {number}", Plan(choice, actions, stop))
    mailbox.create("Source")
    serial = uuid.uuid4().hex
    wanted = [f"{one} {serial} {number}" for number, one in enumerate(messages)]
    fill(mailbox, *wanted, folder="Source")
    calls = iter(range(1_000))

    def fragile(method: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **names: object) -> object:
            if next(calls) == stop_at:
                raise Stopped
            return method(*args, **names)

        return call

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Stopped):
        for name in ("change_flags", "copy", "move", "create"):
            patch.setattr(mailbox, name, fragile(getattr(mailbox, name)))
        apply(reader, mailbox, "Source")
    found = everywhere(mailbox)
    assert all(one in found for one in wanted)
    assert apply(reader, mailbox, "Source").failed == 0
    found = everywhere(mailbox)
    assert all(one in found for one in wanted)
    before = mailbox.highest_modseq(mailbox.status("Source").id)
    assert apply(reader, mailbox, "Source").changes == []
    assert mailbox.highest_modseq(mailbox.status("Source").id) == before
    # No folder has a message twice.
    for name in existing(mailbox):
        there = [one for one in subjects(mailbox, name) if serial in one]
        assert len(there) == len(set(there)), name


def everywhere(mailbox: Mailbox) -> list[str]:
    return [one for name in existing(mailbox) for one in subjects(mailbox, name)]


def existing(mailbox: Mailbox) -> set[str]:
    return {entry.name for entry in mailbox.folders() if entry.exists}
