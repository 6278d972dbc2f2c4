"""Nothing ends nowhere: routing's plan and the filter's word become one decision."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.delivery.decide import Decision, decide
from mailstack.model.address import Address
from mailstack.model.envelope import Recipient
from mailstack.model.verdict import (
    AccountAction,
    AccountVerdict,
    Authentication,
    DiscardMail,
    DmarcResult,
    FileInto,
    Keep,
    MessageVerdict,
    Redirect,
    RejectMail,
    VirusScan,
)
from mailstack.routing.expand import Expansion, Plan
from mailstack.routing.options import RoutingOptions
from mailstack.routing.route import Facts, Standing
from tests.kit.memory_directory import MemoryDirectory

HAM = MessageVerdict()
JUNK = MessageVerdict(klass="spam", score=0.99, action="junk")


@pytest.fixture
def directory() -> MemoryDirectory:
    made = MemoryDirectory()
    made.add_domain("us.example")
    for name in ("alice", "bob", "carol"):
        made.add_account(f"{name}@us.example")
    return made


def plan(directory: MemoryDirectory, *recipients: str, options: RoutingOptions | None = None) -> Plan:
    facts = Facts(sender=Address.parse("x@far.example"), now=0.0)
    return expansion(directory, facts, options).add(rcpts(recipients))


def expansion(directory: MemoryDirectory, facts: Facts, options: RoutingOptions | None = None) -> Expansion:
    return Expansion(directory, facts, options or RoutingOptions())


def rcpts(texts: Sequence[str]) -> list[Recipient]:
    return [Recipient(Address.parse(text), n) for n, text in enumerate(texts, 1)]


def said(number: int, *actions: AccountAction, klass: str = "ham") -> AccountVerdict:
    return AccountVerdict(number, klass, 0.0, actions)  # type: ignore[arg-type]


def stored(decision: Decision) -> dict[str, list[str]]:
    return {s.target.account.address.local: [a.mailbox for a in s.actions] for s in decision.stores}


def sent_to(decision: Decision) -> list[str]:
    return [str(remote.address) for remote in decision.forwards]


def test_a_silent_filter_means_the_implicit_keep(directory: MemoryDirectory) -> None:
    decision = decide(plan(directory, "alice@us.example"), HAM, {}, is_login=False)
    assert stored(decision) == {"alice": ["INBOX"]}


def test_each_account_gets_one_copy_however_many_ways_lead_there(directory: MemoryDirectory) -> None:
    directory.add_alias("everyone@us.example", "alice@us.example", "bob@us.example", "everyone@us.example")
    found = plan(directory, "everyone@us.example", "alice@us.example", "alice+x@us.example")
    assert stored(decide(found, HAM, {}, is_login=False)) == {"alice": ["INBOX"], "bob": ["INBOX"]}


def test_a_redirection_without_copy_leaves_nothing_at_home(directory: MemoryDirectory) -> None:
    directory.add_redirection("gone@us.example", "friend@far.example")
    decision = decide(plan(directory, "gone@us.example"), HAM, {}, is_login=False)
    assert stored(decision) == {}
    assert sent_to(decision) == ["friend@far.example"]
    assert decision.forwards[0].kind == "forward"
    assert str(decision.forwards[0].owner) == "gone@us.example"


def test_spam_is_not_forwarded_but_kept_in_the_redirecting_mailbox(directory: MemoryDirectory) -> None:
    directory.add_redirection("gone@us.example", "friend@far.example")
    accounts = {1: said(1, FileInto("Spam"), klass="spam")}
    decision = decide(plan(directory, "gone@us.example"), JUNK, accounts, is_login=False)
    assert stored(decision) == {"gone": ["Spam"]}
    assert sent_to(decision) == []


def test_the_account_says_whether_it_is_spam_unless_its_domain_does(directory: MemoryDirectory) -> None:
    directory.add_redirection("gone@us.example", "friend@far.example")
    wanted = {1: said(1, Keep(implicit=True))}
    assert sent_to(decide(plan(directory, "gone@us.example"), JUNK, wanted, is_login=False))
    policy = MessageVerdict(
        action="junk", authentication=Authentication(dmarc=DmarcResult("fail", disposition="quarantine"))
    )
    decision = decide(plan(directory, "gone@us.example"), policy, wanted, is_login=False)
    assert (sent_to(decision), stored(decision)) == ([], {"gone": ["INBOX"]})
    # Without its word it is what it is for everybody.
    assert not sent_to(decide(plan(directory, "gone@us.example"), JUNK, {}, is_login=False))


def test_an_alias_without_a_mailbox_refuses_spam(directory: MemoryDirectory) -> None:
    directory.add_alias("out@us.example", "friend@far.example")
    decision = decide(plan(directory, "out@us.example"), JUNK, {}, is_login=False)
    assert sent_to(decision) == []
    assert [r.reply.code for r in decision.rejections] == [550]


def test_an_explicit_rule_keeps_a_copy_although_the_redirection_does_not(directory: MemoryDirectory) -> None:
    directory.add_redirection("gone@us.example", "friend@far.example")
    accounts = {1: said(1, FileInto("Bills"))}
    decision = decide(plan(directory, "gone@us.example"), HAM, accounts, is_login=False)
    assert stored(decision) == {"gone": ["Bills"]}
    assert sent_to(decision) == ["friend@far.example"]


def test_two_mailboxes_that_redirect_to_each_other_keep_one_copy(directory: MemoryDirectory) -> None:
    # faults V4
    directory.add_redirection("a@us.example", "b@us.example")
    directory.add_redirection("b@us.example", "a@us.example")
    decision = decide(plan(directory, "a@us.example"), HAM, {}, is_login=False)
    assert stored(decision) == {"a": ["INBOX"]}


def test_crossed_circles_keep_at_least_one_copy(directory: MemoryDirectory) -> None:
    for one, other in (("a", "b"), ("b", "c"), ("c", "d"), ("d", "a")):
        directory.add_redirection(f"{one}@us.example", f"{other}@us.example")
    decision = decide(plan(directory, "a@us.example", "c@us.example"), HAM, {}, is_login=False)
    assert len(decision.stores) == 1


def test_a_redirection_to_nobody_is_kept(directory: MemoryDirectory) -> None:
    directory.add_redirection("a@us.example", "nobody@us.example", "not an address")
    decision = decide(plan(directory, "a@us.example"), HAM, {}, is_login=False)
    assert stored(decision) == {"a": ["INBOX"]}
    assert decision.stores[0].note


def test_a_rejection_carries_the_owners_words_on_one_line(directory: MemoryDirectory) -> None:
    accounts = {1: said(1, RejectMail("go\r\n250 away"))}
    decision = decide(plan(directory, "alice@us.example"), HAM, accounts, is_login=False)
    assert not decision.stores
    assert decision.rejections[0].reply.text == "go 250 away"


def test_a_refusal_that_one_of_two_needs_not_hear_costs_the_other_nothing(
    directory: MemoryDirectory,
) -> None:
    # erin has a copy, so bob's no is nothing the sender must hear of; dave has nothing else.
    directory.add_redirection("dave@us.example", "bob@us.example")
    directory.add_redirection("erin@us.example", "bob@us.example", keep=True)
    for order in (("dave", "erin"), ("erin", "dave")):
        found = plan(directory, *(f"{name}@us.example" for name in order))
        bob = next(t.number for t in found.locals if t.account.address.local == "bob")
        decision = decide(found, HAM, {bob: said(bob, RejectMail("no"))}, is_login=False)
        assert stored(decision) == {"dave": ["INBOX"], "erin": ["INBOX"]}
        assert not decision.rejections


def test_the_owners_discard_is_an_end_and_is_reported(directory: MemoryDirectory) -> None:
    decision = decide(plan(directory, "alice@us.example"), HAM, {1: said(1, DiscardMail())}, is_login=False)
    assert not decision.stores
    assert [t.account.address.local for t in decision.discards] == ["alice"]


def test_rules_redirects_join_the_plan(directory: MemoryDirectory) -> None:
    following = expansion(directory, Facts(sender=None, now=0.0))
    first = following.add(rcpts(["alice@us.example"]))
    second = following.redirect(first.locals[0], ["bob@us.example", "out@far.example"])
    from mailstack.model.verdict import Redirect

    accounts = {1: said(1, Redirect("bob@us.example"), Redirect("out@far.example"))}
    decision = decide(second, HAM, accounts, is_login=False)
    assert stored(decision) == {"bob": ["INBOX"]}
    assert sent_to(decision) == ["out@far.example"]


def test_expansion_is_bounded(directory: MemoryDirectory) -> None:
    for n in range(30):
        directory.add_alias(f"l{n}@us.example", f"l{n + 1}@us.example")
    found = plan(directory, "l0@us.example")
    assert not found.locals
    assert "too many" in found.refused[0][1].text


def test_a_group_at_the_limit_expands_and_one_over_does_not(directory: MemoryDirectory) -> None:
    options = RoutingOptions(max_members=3)
    names = ["alice@us.example", "bob@us.example", "carol@us.example"]
    directory.add_alias("three@us.example", *names)
    directory.add_alias("four@us.example", *names, "x@far.example")
    assert len(plan(directory, "three@us.example", options=options).locals) == 3
    assert not plan(directory, "four@us.example", options=options).locals


NAMES = "abcdef"
ACTIONS = st.sampled_from(
    [(), (Keep(implicit=True),), (Keep(),), (FileInto("X"),), (DiscardMail(),), (RejectMail("no"),)]
)


@settings(derandomize=True, max_examples=300)
@given(
    edges=st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES + "xyz")), max_size=14),
    keeps=st.sets(st.sampled_from(NAMES)),
    wanted=st.sets(st.sampled_from(NAMES), min_size=1),
    actions=st.dictionaries(st.integers(1, 6), ACTIONS),
    junk=st.booleans(),
    standings=st.dictionaries(st.sampled_from("xyz"), st.sampled_from(["paused", "probe"])),
)
def test_every_addressed_account_ends_somewhere(
    edges: set[tuple[str, str]],
    keeps: set[str],
    wanted: set[str],
    actions: dict[int, tuple[AccountAction, ...]],
    junk: bool,
    standings: dict[str, Standing],
) -> None:
    directory = MemoryDirectory()
    directory.add_domain("us.example")
    for name in NAMES:
        targets = [
            f"{t}@us.example" if t in NAMES else f"{t}@far.example" for f, t in sorted(edges) if f == name
        ]
        if targets:
            directory.add_redirection(f"{name}@us.example", *targets, keep=name in keeps)
        else:
            directory.add_account(f"{name}@us.example")
    facts = Facts(sender=None, now=0.0, standing=lambda owner, target: standings.get(target.local, "open"))
    found = expansion(directory, facts).add(rcpts(sorted(f"{name}@us.example" for name in wanted)))
    klass = "spam" if junk else "ham"
    accounts = {number: said(number, *acts, klass=klass) for number, acts in actions.items()}
    decision = decide(found, JUNK if junk else HAM, accounts, is_login=False)
    ends = bool(decision.stores or decision.forwards or decision.rejections or decision.discards)
    assert ends
    ids = [s.target.account.id for s in decision.stores]
    assert len(ids) == len(set(ids))
    has = {*ids, *(target.account.id for target in decision.discards)}
    has |= {r.target.account.id for r in decision.rejections if r.target is not None}
    left = {remote.address.key for remote in decision.forwards}
    has |= {remote.via for remote in found.remotes if remote.address.key in left}
    while more := {source for source, target in found.edges if target in has} - has:
        has |= more
    assert {target.account.id for target in found.locals if target.is_addressed} <= has
    if junk:
        assert not decision.forwards
    assert all(standings.get(remote.address.local) != "paused" for remote in decision.forwards)
    # What a target does not get, or only gets to see whether it takes it, is kept by who forwards to it.
    reached = {t.account.id for t in found.locals if t.is_addressed}
    staying = {held.remote.via for held in found.held_back} & reached
    staying |= {remote.via for remote in decision.forwards if remote.is_probe}
    refusing = {r.target.account.id for r in decision.rejections if r.target is not None}
    refusing |= {
        t.account.id
        for t in found.locals
        if any(isinstance(a, RejectMail) for a in accounts.get(t.number, said(0)).actions)
    }
    assert junk or staying - refusing <= set(ids)


def test_spam_to_a_group_stays_with_its_members_here(directory: MemoryDirectory) -> None:
    directory.add_alias("team@us.example", "alice@us.example", "member@far.example")
    decision = decide(
        plan(directory, "team@us.example"), JUNK, {1: said(1, FileInto("Spam"), klass="spam")}, is_login=False
    )
    assert stored(decision) == {"alice": ["Spam"]}
    assert sent_to(decision) == []
    # Nobody has to hear that the member outside does not get it.
    assert decision.rejections == ()


@pytest.mark.parametrize(("target", "verdict"), [("friend@far.example", JUNK), ("alice@us.example", HAM)])
def test_what_a_rule_sends_on_and_cannot_leave_stays_whatever_else_is_thrown_away(
    directory: MemoryDirectory, target: str, verdict: MessageVerdict
) -> None:
    following = expansion(directory, Facts(sender=Address.parse("x@far.example"), now=0.0))
    found = following.add(rcpts(["alice@us.example"]))
    found = following.redirect(found.locals[0], [target])
    accounts = {1: said(1, Redirect(target), DiscardMail(), klass=verdict.klass)}
    decision = decide(found, verdict, accounts, is_login=False)
    assert stored(decision) == {"alice": ["INBOX"]}


def test_junk_thrown_away_beside_a_redirection_is_thrown_away(directory: MemoryDirectory) -> None:
    directory.add_redirection("gone@us.example", "friend@far.example")
    accounts = {1: said(1, DiscardMail(), klass="spam")}
    decision = decide(plan(directory, "gone@us.example"), JUNK, accounts, is_login=False)
    assert (decision.stores, decision.forwards) == ((), ())
    assert len(decision.discards) == 1


@pytest.mark.parametrize("action", ["junk", "reject"])  # "reject": for a postmaster, or behind a relay
def test_a_virus_without_a_verdict_is_filed_as_spam_and_goes_nowhere(
    directory: MemoryDirectory, action: str
) -> None:
    # M12: the scanner has seen it, the pipeline died of it
    directory.add_redirection("gone@us.example", "friend@far.example")
    found = VirusScan("found", "Eicar", is_unwelcome=True)
    verdict = MessageVerdict(unfiltered="filter crashed", virus=found, action=action)  # type: ignore[arg-type]
    wanted = plan(directory, "gone@us.example", "bob@us.example")
    for said_of in ({}, {1: said(1, Keep(implicit=True))}):
        decided = decide(wanted, verdict, said_of, is_login=False)
        assert [store.actions for store in decided.stores] == [(FileInto("Spam", create=True),)] * 2
        assert (decided.forwards, decided.rejections) == ((), ())


def test_spam_nobody_judged_for_an_account_goes_to_its_spam(directory: MemoryDirectory) -> None:
    # The filter went away between the first recipients and those a rule added.
    wanted = plan(directory, "alice@us.example", "bob@us.example")
    decided = decide(wanted, JUNK, {1: said(1, FileInto("Spam", create=True), klass="spam")}, is_login=False)
    assert [store.actions for store in decided.stores] == [(FileInto("Spam", create=True),)] * 2
