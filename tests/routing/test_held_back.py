"""Targets that are paused or not confirmed: what leaves, what stays, who is refused."""

from __future__ import annotations

import pytest

from mailstack.delivery.decide import Decision, decide
from mailstack.model.address import Address
from mailstack.model.directory import Account, Redirection
from mailstack.model.envelope import Recipient
from mailstack.model.verdict import (
    AccountAction,
    AccountVerdict,
    DiscardMail,
    FileInto,
    Keep,
    MessageVerdict,
    Redirect,
    RejectMail,
)
from mailstack.routing.expand import Expansion, Plan
from mailstack.routing.options import RoutingOptions
from mailstack.routing.route import Facts, Standing
from tests.kit.memory_directory import MemoryDirectory

FRIEND, OTHER = "friend@far.example", "other@far.example"


@pytest.fixture
def directory() -> MemoryDirectory:
    made = MemoryDirectory()
    made.add_domain("us.example")
    made.add_account("bob@us.example")
    made.add_redirection("gone@us.example", FRIEND)
    made.add_redirection("two@us.example", FRIEND, OTHER)
    made.add_alias("out@us.example", FRIEND)
    made.add_alias("team@us.example", FRIEND, OTHER, "bob@us.example")
    return made


def expansion(directory: MemoryDirectory, standing: Standing = "paused") -> Expansion:
    """Whoever forwards to FRIEND finds it in that standing."""

    def look(owner: Address, target: Address) -> Standing:
        assert owner.domain == "us.example"
        return standing if str(target) == FRIEND else "open"

    facts = Facts(sender=Address.parse("x@else.example"), now=0.0, standing=look)
    return Expansion(directory, facts, RoutingOptions())


def plan(directory: MemoryDirectory, *texts: str, standing: Standing = "paused") -> Plan:
    rcpts = [Recipient(Address.parse(text), n) for n, text in enumerate(texts, 1)]
    return expansion(directory, standing).add(rcpts)


def decided(
    plan: Plan, *actions: AccountAction, verdict: MessageVerdict | None = None, klass: str = "ham"
) -> Decision:
    said = {1: AccountVerdict(1, klass, 0.0, actions)} if actions else {}  # type: ignore[arg-type]
    return decide(plan, verdict or MessageVerdict(), said, is_login=False)


def sent_to(decision: Decision) -> list[str]:
    return [str(remote.address) for remote in decision.forwards]


def test_what_a_paused_target_does_not_get_stays_in_the_mailbox(directory: MemoryDirectory) -> None:
    # Q26
    decision = decided(plan(directory, "gone@us.example"), Keep("Promotions", implicit=True))
    assert sent_to(decision) == []
    (store,) = decision.stores
    assert [action.mailbox for action in store.actions] == ["Promotions"]
    assert store.note == f"not sent on: {FRIEND} keeps refusing, so it is paused"


def test_beside_a_target_that_takes_it_a_copy_stays_too(directory: MemoryDirectory) -> None:
    decision = decided(plan(directory, "two@us.example"))
    assert sent_to(decision) == [OTHER]
    assert len(decision.stores) == 1


def test_a_test_message_leaves_and_stays(directory: MemoryDirectory) -> None:
    found = plan(directory, "gone@us.example", standing="probe")
    assert [remote.is_probe for remote in found.remotes] == [True]
    decision = decided(found)
    assert sent_to(decision) == [FRIEND]
    assert "to see whether it still refuses" in decision.stores[0].note


def test_a_rules_redirect_to_a_paused_target_keeps_the_message(directory: MemoryDirectory) -> None:
    way = expansion(directory)
    way.add([Recipient(Address.parse("bob@us.example"), 1)])
    found = way.redirect(plan(directory, "bob@us.example").locals[0], [FRIEND])
    decision = decided(found, Redirect(FRIEND))
    assert sent_to(decision) == []
    assert [action.mailbox for action in decision.stores[0].actions] == ["INBOX"]


@pytest.mark.parametrize(
    ("actions", "folders"),
    [
        ((FileInto("Archive"),), ["Archive"]),
        # What the owner throws away at home would have reached the target.
        ((DiscardMail(),), ["INBOX"]),
    ],
)
def test_what_rules_file_is_copy_enough(
    actions: tuple[AccountAction, ...], folders: list[str], directory: MemoryDirectory
) -> None:
    decision = decided(plan(directory, "gone@us.example"), *actions)
    assert [action.mailbox for action in decision.stores[0].actions] == folders
    assert not decision.discards


def test_spam_is_filed_as_ever_and_a_rules_refusal_refuses(directory: MemoryDirectory) -> None:
    found = plan(directory, "gone@us.example")
    spam = decided(found, FileInto("Spam"), verdict=MessageVerdict(klass="spam", action="junk"), klass="spam")
    assert spam.stores[0].note == ""
    assert [r.reply.check for r in decided(found, RejectMail("no")).rejections] == ["rejected"]


def test_an_alias_whose_target_is_paused_is_put_off(directory: MemoryDirectory) -> None:
    found = plan(directory, "out@us.example")
    assert not found.reached
    ((_, reply),) = found.refused
    assert (reply.code, reply.check) == (450, "forward_paused")
    assert FRIEND not in reply.text
    assert decided(found).stores == ()


def test_a_groups_other_members_get_it(directory: MemoryDirectory) -> None:
    found = plan(directory, "team@us.example")
    assert found.reached == {1}
    decision = decided(found)
    assert sent_to(decision) == [OTHER]
    assert [store.target.account.address.local for store in decision.stores] == ["bob"]


def test_a_target_that_was_not_confirmed_gets_nothing(directory: MemoryDirectory) -> None:
    pending = Redirection((FRIEND, OTHER), pending=frozenset({FRIEND}))
    directory.add_account("asked@us.example", redirection=pending)
    directory.add_alias("ask@us.example", FRIEND, pending=frozenset({FRIEND}))
    decision = decided(plan(directory, "asked@us.example", standing="open"))
    assert sent_to(decision) == [OTHER]
    assert "has not said yet" in decision.stores[0].note
    ((_, reply),) = plan(directory, "ask@us.example", standing="open").refused
    assert (reply.code, reply.check) == (550, "forward_pending")


def test_what_a_login_sends_itself_is_asked_of_nobody(directory: MemoryDirectory) -> None:
    def look(owner: Address, target: Address) -> Standing:
        raise AssertionError

    bob = directory.names["bob@us.example"]
    assert isinstance(bob, Account)
    facts = Facts(sender=bob.address, now=0.0, login=bob, standing=look)
    found = Expansion(directory, facts, RoutingOptions()).add([Recipient(Address.parse(FRIEND), 1)])
    assert [remote.kind for remote in found.remotes] == ["submission"]


def test_of_two_names_for_one_paused_target_each_is_put_off(directory: MemoryDirectory) -> None:
    directory.add_alias("also@us.example", "out@us.example")
    found = plan(directory, "out@us.example", "also@us.example", "bob@us.example")
    assert found.reached == {3}
    assert [(recipient.number, reply.code) for recipient, reply in found.refused] == [(1, 450), (2, 450)]


def test_aliases_that_lead_to_each_other_only_are_refused(directory: MemoryDirectory) -> None:
    # They were not at RCPT, or it would have said so; the others' mail must not hide them.
    directory.add_alias("ping@us.example", "pong@us.example")
    directory.add_alias("pong@us.example", "ping@us.example")
    found = plan(directory, "bob@us.example", "ping@us.example", "pong@us.example", standing="open")
    assert found.reached == {1}
    assert [(recipient.number, reply.check) for recipient, reply in found.refused] == [
        (2, "nowhere"),
        (3, "nowhere"),
    ]
