"""Rules of accounts and templates of domains."""

from __future__ import annotations

import pytest

from mailstack.directory import Directory, DirectoryWriter
from mailstack.directory.rules import MAX_RULES, RuleChange
from mailstack.directory.verify import verify
from mailstack.model.directory import Account
from mailstack.model.errors import PermanentFailure, TemporaryFailure
from mailstack.model.rules import Choice, Plan, action, condition
from tests.kit.instance import Instance

ALICE = "alice@example.test"


@pytest.fixture
def alice(writer: DirectoryWriter) -> Account:
    return writer.accounts.add(ALICE)


def plan(conditions: str = "subject contains x", *actions: str) -> Plan:
    return Plan(Choice((condition(conditions),)), tuple(action(one) for one in actions or ("mark-read",)))


def names(reader: Directory, account: Account) -> list[str]:
    return [rule.name for rule in reader.rules(account.id)]


def test_rules_are_kept_in_their_order(writer: DirectoryWriter, reader: Directory, alice: Account) -> None:
    assert reader.rules(alice.id) == ()
    writer.rules.add(ALICE, "one", plan("from is a@b.example", "move Lists"))
    writer.rules.add(ALICE, "two", plan())
    writer.rules.add(ALICE, "zero", plan(), at=1, enabled=False)
    assert names(reader, alice) == ["zero", "one", "two"]
    found = reader.rules(alice.id)
    assert [rule.number for rule in found] == [1, 2, 3]
    assert found[1].plan == plan("from is a@b.example", "move Lists")
    assert [rule.enabled for rule in found] == [False, True, True]
    writer.rules.move(ALICE, "zero", 3)
    assert names(reader, alice) == ["one", "two", "zero"]
    writer.rules.move(ALICE, "2", 1)
    assert names(reader, alice) == ["two", "one", "zero"]
    assert writer.rules.remove(ALICE, "1") == "two"
    assert names(reader, alice) == ["one", "zero"]
    with pytest.raises(PermanentFailure, match="1 to 2"):
        writer.rules.move(ALICE, "one", 3)


def test_what_is_not_said_stays(writer: DirectoryWriter, reader: Directory, alice: Account) -> None:
    writer.rules.add(ALICE, "one", plan())
    writer.rules.add(ALICE, "two", plan())
    changed = writer.rules.change(ALICE, "one", RuleChange(enabled=False))
    assert (changed.name, changed.plan, changed.enabled) == ("one", plan(), False)
    writer.rules.change(ALICE, "1", RuleChange(name="first", plan=plan("size over 5M", "discard")))
    assert reader.rules(alice.id)[0].plan == plan("size over 5M", "discard")
    assert names(reader, alice) == ["first", "two"]
    with pytest.raises(PermanentFailure, match="'two' already"):
        writer.rules.change(ALICE, "first", RuleChange(name="two"))
    with pytest.raises(PermanentFailure, match="no rule 'three'"):
        writer.rules.change(ALICE, "three", RuleChange(enabled=True))


def test_so_many_rules_and_no_more(writer: DirectoryWriter, reader: Directory) -> None:
    account = writer.accounts.add("carol@example.test", plan="free")
    for number in range(MAX_RULES["free"]):
        writer.rules.add("carol@example.test", f"rule {number}", plan())
    with pytest.raises(PermanentFailure, match="20 rules already"):
        writer.rules.add("carol@example.test", "one more", plan())
    assert len(reader.rules(account.id)) == MAX_RULES["free"]


@pytest.mark.parametrize("name", ["", "  ", "7", "a\nb", "x" * 101])
def test_names_that_cannot_be(writer: DirectoryWriter, alice: Account, name: str) -> None:
    with pytest.raises(PermanentFailure):
        writer.rules.add(ALICE, name, plan())


def test_a_name_is_given_once_whatever_its_case(writer: DirectoryWriter, alice: Account) -> None:
    writer.rules.add(ALICE, "Bills", plan())
    with pytest.raises(PermanentFailure, match="already"):
        writer.rules.add(ALICE, "bills", plan())


def test_a_device_has_no_rules(writer: DirectoryWriter) -> None:
    writer.accounts.add("printer@example.test", kind="device")
    with pytest.raises(PermanentFailure, match="receives no mail"):
        writer.rules.add("printer@example.test", "one", plan())


def test_conditions_of_a_template_are_fixed(
    writer: DirectoryWriter, reader: Directory, alice: Account
) -> None:
    choice = Choice((condition("from is @corp.example"),))
    writer.rules.put_template("example.test", "Company news", choice)
    given = Plan(choice, (action("move News"),))
    with pytest.raises(PermanentFailure, match=r"from is @corp\.example"):
        writer.rules.add(ALICE, "news", plan(), template="Company news")
    with pytest.raises(PermanentFailure, match="no rule template 'Other'"):
        writer.rules.add(ALICE, "news", given, template="Other")
    assert writer.rules.add(ALICE, "news", given, template="Company news").template == "Company news"
    # The action is the user's to pick, the conditions are not.
    writer.rules.change(ALICE, "news", RuleChange(plan=Plan(choice, (action("mark-read"),))))
    with pytest.raises(PermanentFailure, match="those of the template"):
        writer.rules.change(ALICE, "news", RuleChange(plan=plan()))
    # What the domain changes afterwards does nothing to anybody's mail.
    writer.rules.put_template("example.test", "Company news", Choice((condition("size over 0"),)))
    writer.rules.remove_template("example.test", "Company news")
    assert reader.rules(alice.id)[0].plan.choice == choice


def test_hidden_templates_are_not_shown_to_users(writer: DirectoryWriter, reader: Directory) -> None:
    choice = Choice((condition("class is promotions"),))
    writer.rules.put_template("example.test", "ads", choice)
    writer.rules.put_template("example.test", "trial", choice, visible=False)
    assert [one.name for one in reader.rule_templates("example.test")] == ["ads"]
    assert [one.name for one in reader.rule_templates("example.test", hidden=True)] == ["ads", "trial"]
    writer.rules.show_template("example.test", "trial", visible=True)
    assert [one.name for one in reader.rule_templates("example.test")] == ["ads", "trial"]
    with pytest.raises(PermanentFailure, match="not a domain of this server"):
        writer.rules.put_template("elsewhere.test", "ads", choice)


@pytest.mark.parametrize(
    ("targets", "why"),
    [
        (["alice@example.test"], "itself"),
        (["Alice+x@example.test"], "itself"),
        (["nobody@example.test"], "does not exist"),
        ([f"a{n}@far.example" for n in range(5)], "at most 4"),
    ],
)
def test_forwarding_that_would_always_fail_is_refused(
    writer: DirectoryWriter, alice: Account, targets: list[str], why: str
) -> None:
    with pytest.raises(PermanentFailure, match=why):
        writer.rules.add(ALICE, "on", plan("size over 1", *(f"forward {one}" for one in targets)))


def test_the_free_plan_forwards_to_one_address(writer: DirectoryWriter) -> None:
    writer.accounts.add("carol@example.test", plan="free")
    writer.rules.add("carol@example.test", "on", plan("size over 1", "forward a@far.example"))
    with pytest.raises(PermanentFailure, match="at most 1"):
        writer.rules.change(
            "carol@example.test",
            "on",
            RuleChange(plan=plan("size over 1", "forward a@far.example", "forward b@far.example")),
        )


def test_all_rules_together_fit_a_script(writer: DirectoryWriter, reader: Directory) -> None:
    account = writer.accounts.add("carol@example.test", plan="free")
    long = Plan(Choice((condition("subject contains " + "ü" * 500),) * 10), (action("flag"),))
    writer.rules.add("carol@example.test", "one", long)
    with pytest.raises(PermanentFailure, match=r"at most 16128 work"):
        writer.rules.add("carol@example.test", "two", long)
    writer.rules.add("carol@example.test", "short", plan())
    with pytest.raises(PermanentFailure, match=r"at most 16128 work"):
        writer.rules.change("carol@example.test", "short", RuleChange(plan=long))
    # What grew too large in another way (a smaller plan) can still be switched off.
    assert not writer.rules.change("carol@example.test", "one", RuleChange(enabled=False)).enabled
    assert len(reader.rules(account.id)) == 2


def test_a_damaged_rule_is_named_and_can_be_removed(
    instance: Instance, writer: DirectoryWriter, reader: Directory, alice: Account
) -> None:
    writer.rules.add(ALICE, "good", plan())
    writer.rules.add(ALICE, "bad", plan())
    writer.rules.put_template("example.test", "ads", plan().choice)
    with writer.transaction() as cursor:
        cursor.execute("UPDATE rule SET plan = '{\"choice\": 7}' WHERE name = 'bad'")
        cursor.execute("UPDATE rule_template SET choice = 'x'")
    with pytest.raises(TemporaryFailure, match="the rule 'bad' cannot be read"):
        reader.rules(alice.id)
    found = verify(instance.config.paths)
    assert [text.partition(" cannot")[0] for text in found] == [
        f"the rule bad of {ALICE}",
        "the rule template ads of example.test",
    ]
    writer.rules.remove(ALICE, "bad")
    writer.rules.remove_template("example.test", "ads")
    assert names(reader, alice) == ["good"]
    assert verify(instance.config.paths) == []
