"""An account's page-made rules among its scripts, as the filter worker runs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.app.account_view import AccountView
from mailstack.directory import Directory, DirectoryWriter
from mailstack.directory.rules import RuleChange
from mailstack.filters.case import Case
from mailstack.filters.compiled import version_of
from mailstack.filters.edits import View
from mailstack.filters.rules import RuleResult, Rules
from mailstack.model.directory import Account
from mailstack.model.rules import Choice, Plan, action, condition
from mailstack.model.verdict import (
    Class,
    FileInto,
    FilterRecipient,
    FilterRequest,
    Keep,
    MessageVerdict,
    Redirect,
)
from mailstack.state.memory import Memory
from tests.kit.account_views import view_of
from tests.kit.instance import Instance, new_instance

ALICE = "alice@example.test"
MESSAGE = b"From: shop@far.example\r\nSubject: invoice 7\r\n\r\nPay.\r\n"


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


def plan(conditions: str, *actions: str, stop: bool = False, also_spam: bool = False) -> Plan:
    return Plan(Choice((condition(conditions),)), tuple(map(action, actions)), stop, also_spam)


def run(reader: Directory, *, klass: Class = "ham") -> RuleResult:
    account = reader.find_account(ALICE)
    assert isinstance(account, Account)
    view = view_of(AccountView, account, reader)
    recipient = FilterRecipient(1, account.id, ALICE, ALICE)
    request = FilterRequest("id", "192.0.2.1", "h.test", "shop@far.example", (recipient,), 1_800_000_000.0)
    case = Case(
        request, recipient, MessageVerdict(klass=klass), klass=klass, is_spam=klass == "spam", around=view
    )
    return Rules().run(view.steps(), lambda: View(MESSAGE, b"", len(MESSAGE)), case)


def test_rules_run_before_the_owners_script_and_stop_ends_both(
    writer: DirectoryWriter, reader: Directory
) -> None:
    writer.scripts.put(ALICE, "main", b'require "fileinto"; fileinto "Script";')
    writer.scripts.activate(ALICE, "main")
    writer.rules.add(ALICE, "bills", plan("subject contains invoice", "copy Bills", "mark-read"))
    result = run(reader)
    assert result.actions == (FileInto("Bills", ("\\Seen",), create=True), FileInto("Script", ("\\Seen",)))
    assert not result.implicit_keep
    # What is changed counts for the next message.
    writer.rules.change(ALICE, "bills", RuleChange(plan=plan("size over 1", "mark-read", stop=True)))
    result = run(reader)
    assert (result.actions, result.implicit_keep, result.flags) == ((), True, ("\\Seen",))
    writer.rules.change(ALICE, "bills", RuleChange(enabled=False))
    assert run(reader).actions == (FileInto("Script"),)


def test_only_marked_rules_run_for_spam(writer: DirectoryWriter, reader: Directory) -> None:
    writer.scripts.put(ALICE, "main", b'redirect "elsewhere@far.example";')
    writer.scripts.activate(ALICE, "main")
    writer.rules.add(ALICE, "send on", plan("size over 1", "forward me@far.example"))
    assert run(reader, klass="spam") == RuleResult()
    writer.rules.add(ALICE, "known", plan("class is spam", "keep", also_spam=True))
    assert run(reader, klass="spam").actions == (Keep("INBOX"),)
    assert [type(one) for one in run(reader).actions] == [Redirect, Redirect]


def test_a_rule_asks_for_the_class(writer: DirectoryWriter, reader: Directory) -> None:
    writer.rules.add(ALICE, "ads", plan("class is promotions", "discard"))
    assert run(reader).actions == ()
    assert not run(reader, klass="promotions").implicit_keep


def test_a_rule_that_fails_keeps_the_mail(writer: DirectoryWriter, reader: Directory) -> None:
    # V3: five redirects are one too many.
    for n in range(5):
        writer.rules.add(ALICE, f"rule {n}", plan("size over 1", f"forward a{n}@far.example"))
    result = run(reader)
    assert result.implicit_keep
    assert result.error.startswith("rules: rule 5. rule 4: the number of redirect actions")


def test_failures_of_the_rules_and_of_those_for_spam_are_told_apart(
    instance: Instance, writer: DirectoryWriter, reader: Directory
) -> None:
    # V14: each is told once, and neither makes forget how often the filter died in the other
    writer.rules.add(ALICE, "one", plan("size over 1", "move A"))
    writer.rules.add(ALICE, "two", plan("size over 1", "move B", also_spam=True))
    account = reader.find_account(ALICE)
    assert isinstance(account, Account)
    steps = view_of(AccountView, account, reader).steps()
    memory = Memory(instance.config.paths.state_db)
    for n in range(2):
        for step in steps:
            version = version_of(step.source)
            is_new = memory.note_failure(account.id, step.name, version, "no", now=float(n), died=True)
            assert is_new == (n == 0)
    assert [one.deaths for one in memory.failures(account.id)] == [2, 2]
    memory.close()
