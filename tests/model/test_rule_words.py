"""The short form of conditions and actions."""

from __future__ import annotations

import pytest

from mailstack.model.errors import PermanentFailure
from mailstack.model.rules import (
    MAX_ACTIONS,
    MAX_CONDITIONS,
    MAX_TEXT,
    Action,
    Choice,
    Condition,
    Plan,
    action,
    check_plan,
    condition,
)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("from is @shop.example", Condition("from", "is", "@shop.example")),
        ("Subject Contains  two  words", Condition("subject", "contains", "two  words")),
        ("not size over 5M", Condition("size", "over", "5M", negated=True)),
        ("attachment", Condition("attachment", "exists")),
        ("attachment ends .pdf", Condition("attachment", "ends", ".pdf")),
        ("header X-Spam: is yes", Condition("header", "is", "yes", "X-Spam")),
        ("header List-Id exists", Condition("header", "exists", header="List-Id")),
        ("class is promotions", Condition("class", "is", "promotions")),
        ("written-to is shop.alice@example.test", Condition("written-to", "is", "shop.alice@example.test")),
        # One character of a word may be written as two (Unicode); searched is its one form.
        ("subject contains Ru\u0308ckruf", Condition("subject", "contains", "Rückruf")),
    ],
)
def test_conditions_in_words(text: str, want: Condition) -> None:
    assert condition(text) == want
    assert condition(str(want)) == want


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "begins with one of from"),
        ("sender is x", "not 'sender'"),
        ("from", "comes one of contains, is"),
        ("from looks-like x", "not 'looks-like'"),
        ("from contains", "needs a value"),
        ("size over big", "300K or 5M"),
        ("size over 99999999999G", "300K or 5M"),
        ("class is advert", "one of ham, spam"),
        ("header List Id exists", "not 'id'"),
        ("header Ü is x", "not the name of a header field"),
        ("body is x", "comes one of contains"),
        ("attachment exists yes", "stands alone"),
        ("subject contains a\r\nb", "control character"),
        ("subject contains " + "x" * (MAX_TEXT + 1), "at most 500"),
        ("subject contains \udcff", "control character"),
    ],
)
def test_conditions_that_cannot_be(text: str, why: str) -> None:
    with pytest.raises(PermanentFailure) as caught:
        condition(text)
    assert why in caught.value.why


def test_a_text_of_the_largest_size_works() -> None:
    assert len(condition("subject contains " + "x" * MAX_TEXT).value) == MAX_TEXT


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("move Lists/Python", Action("move", "Lists/Python")),
        ("mark-read", Action("mark-read")),
        ("label $Work", Action("label", "$Work")),
        ("forward me@example.org", Action("forward", "me@example.org")),
    ],
)
def test_actions_in_words(text: str, want: Action) -> None:
    assert action(text) == want
    assert action(str(want)) == want


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("delete", "not 'delete'"),
        ("move", "'move' needs a value"),
        ("move a//b", "not the name of a folder"),
        ("move " + "x" * 256, "not the name of a folder"),
        ("label two words", "not a label"),
        ("label \\Seen", "not a label"),
        ("forward nobody", "there is no @"),
        ("discard now", "stands alone"),
    ],
)
def test_actions_that_cannot_be(text: str, why: str) -> None:
    with pytest.raises(PermanentFailure) as caught:
        action(text)
    assert why in caught.value.why


def plan(*actions: str, conditions: int = 1, also_spam: bool = False) -> Plan:
    one = condition("subject contains x")
    return Plan(Choice((one,) * conditions), tuple(action(each) for each in actions), also_spam=also_spam)


def test_rules_at_their_limits() -> None:
    check_plan(plan(*(f"copy {n}" for n in range(MAX_ACTIONS)), conditions=MAX_CONDITIONS))
    with pytest.raises(PermanentFailure, match="1 to 20 conditions"):
        check_plan(plan("keep", conditions=MAX_CONDITIONS + 1))
    with pytest.raises(PermanentFailure, match="1 to 20 conditions"):
        check_plan(plan("keep", conditions=0))
    with pytest.raises(PermanentFailure, match="1 to 8 actions"):
        check_plan(plan(*(f"copy {n}" for n in range(MAX_ACTIONS + 1))))
    with pytest.raises(PermanentFailure, match="1 to 8 actions"):
        check_plan(plan())


@pytest.mark.parametrize("actions", [("move A", "move B"), ("move A", "discard"), ("keep", "discard")])
def test_a_rule_sends_a_message_to_one_place(actions: tuple[str, str]) -> None:
    with pytest.raises(PermanentFailure, match="one of move, keep and discard"):
        check_plan(plan(*actions))


def test_spam_is_not_forwarded() -> None:
    # T31
    with pytest.raises(PermanentFailure, match="spam is not sent on"):
        check_plan(plan("forward a@b.example", also_spam=True))


def test_a_rule_for_spam_alone_must_be_marked_for_it() -> None:
    choice = Choice((condition("class is spam"), condition("size over 1")))
    with pytest.raises(PermanentFailure, match="never runs"):
        check_plan(Plan(choice, (action("keep"),)))
    check_plan(Plan(choice, (action("keep"),), also_spam=True))
    check_plan(Plan(Choice((condition("not class is spam"),)), (action("keep"),)))
