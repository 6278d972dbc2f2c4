"""Rules as data, written as Sieve."""

from __future__ import annotations

import dataclasses
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sievelib.parser import Parser

from mailstack import sieve
from mailstack.directory.rules import octets_of
from mailstack.filters.rule_text import BEGIN, CLASS_ITEM, END, script
from mailstack.model.errors import PermanentFailure
from mailstack.model.rules import (
    CLASSES,
    DEEDS,
    HOWS,
    Action,
    Choice,
    Condition,
    Plan,
    Rule,
    check_name,
    check_plan,
)
from mailstack.model.rules import action as to_action
from mailstack.model.rules import condition as to_condition

EXAMPLES = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "150"))
ATTACHMENT = (
    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHallo\r\n--b\r\n"
    'Content-Type: application/pdf; name="Rechnung 7.pdf"\r\nContent-Disposition: attachment\r\n\r\n'
    "xx\r\n--b--\r\n"
)


def rule(conditions: str, *actions: str, number: int = 1, any_of: bool = False, **flags: bool) -> Rule:
    choice = Choice(tuple(to_condition(one) for one in conditions.split(" & ")), any_of)
    plan = Plan(choice, tuple(to_action(one) for one in actions or ("move Found",)), **flags)
    return Rule(number, f"rule {number}", plan)


def run(rules: list[Rule], message: str, *, spam: bool = False, klass: str = "ham") -> sieve.Context:
    compiled = sieve.compile(script(rules, spam=spam))
    assert compiled.script is not None, compiled.errors
    assert not compiled.warnings
    context = sieve.Context(
        sieve.Message.from_bytes(message.encode()),
        sieve.Envelope("s@far.example", "shop.alice@example.test"),
        environment={CLASS_ITEM: klass},
    )
    assert sieve.run(compiled.script, context).ok
    return context


def done(context: sieve.Context) -> list[str]:
    return [_words(action) for action in context.result.actions]


def _words(action: sieve.Action) -> str:
    values = {field.name: getattr(action, field.name) for field in dataclasses.fields(action)}
    return " ".join([action.name, values.get("mailbox") or values.get("address") or ""]).strip()


def test_a_person_can_read_it() -> None:
    rules = [
        rule(
            "subject contains invoice & not from is @spam.example", "move Bills/2026", "mark-read", stop=True
        ),
        Rule(2, "ads", rule("class is promotions", "discard").plan, enabled=False),
        rule("attachment ends .pdf & size over 5M", "copy Large", "flag", number=3, any_of=True),
    ]
    assert (
        script(rules).decode()
        == f"""{BEGIN}
require ["copy", "fileinto", "imap4flags", "mailbox", "mime"];

# 1. rule 1
if allof (
    header :contains "subject" "invoice",
    not address :domain :is "from" "spam.example"
) {{
    addflag "\\\\Seen";
    fileinto :create "Bills/2026";
    stop;
}}

# 2. ads: switched off

# 3. rule 3
if anyof (
    header :mime :anychild :param ["filename", "name"] :matches\
 ["content-disposition", "content-type"] "*.pdf",
    size :over 5M
) {{
    addflag "\\\\Flagged";
    fileinto :copy :create "Large";
}}

{END}
"""
    )


def test_nothing_to_run_is_no_script() -> None:
    assert script([]) == b""
    assert script([Rule(1, "off", rule("size over 1").plan, enabled=False)]) == b""
    assert script([rule("size over 1")], spam=True) == b""


MESSAGE = (
    "From: Shop <News@Shop.example>\r\nTo: a@example.test\r\nCc: c@example.test\r\n"
    "Subject: =?utf-8?q?=C3=84rger_20*?=\r\nList-Id: <x.y>\r\n\r\nHello world\r\n"
)


@pytest.mark.parametrize(
    ("conditions", "matches"),
    [
        ("from is news@shop.example", True),
        ("from is @shop.example", True),
        ("from is @example", False),
        ("from contains SHOP <", True),
        ("from begins shop", True),
        ("from is shop.example", False),
        ("to is a@example.test", True),
        ("to is c@example.test", False),
        ("cc ends c@example.test", True),
        ("recipient is c@example.test", True),
        ("written-to is Shop.Alice@example.test", True),
        ("written-to is a@example.test", False),
        ("subject contains ärger", True),
        ("subject ends 20*", True),
        ("subject ends 2?*", False),
        ("subject is ÄRGER 20*", True),
        ("header List-Id contains x.y", True),
        ("header List-Id exists", True),
        ("header List-Post exists", False),
        ("body contains WORLD", True),
        ("body contains Ärger", False),
        ("size over 50", True),
        ("size under 1K & size over 1K", False),
        ("class is social", True),
        ("class is ham", False),
        ("attachment", False),
        ("not attachment", True),
        ("from is @shop.example & subject contains nothing", False),
    ],
)
def test_what_a_condition_finds(conditions: str, matches: bool) -> None:
    assert done(run([rule(conditions)], MESSAGE, klass="social")) == (["fileinto Found"] if matches else [])


@pytest.mark.parametrize(
    ("conditions", "matches"),
    [
        ("attachment", True),
        ("attachment contains RECHNUNG", True),
        ("attachment ends .pdf", True),
        ("attachment is .pdf", False),
    ],
)
def test_attachments(conditions: str, matches: bool) -> None:
    message = "From: a@b.example\r\n" + ATTACHMENT
    assert done(run([rule(conditions)], message)) == (["fileinto Found"] if matches else [])


def test_one_condition_of_several_is_enough_where_any_is_asked() -> None:
    assert done(run([rule("size over 1G & size over 1", any_of=True)], MESSAGE))


def test_flags_are_on_every_copy() -> None:
    context = run([rule("size over 1", "copy A", "mark-read", "label $Work")], MESSAGE)
    (copy,) = context.result.actions
    assert isinstance(copy, sieve.FileInto)
    assert copy.flags == ("\\Seen", "$Work")
    assert copy.copy
    assert context.result.implicit_keep
    assert context.flags == ["\\Seen", "$Work"]


def test_what_is_forwarded_is_kept_unless_it_shall_go() -> None:
    context = run([rule("size over 1", "forward a@b.example")], MESSAGE)
    assert done(context) == ["redirect a@b.example"]
    assert context.result.implicit_keep
    context = run([rule("size over 1", "forward a@b.example", "forward c@b.example", "discard")], MESSAGE)
    # No discard beside it: where it cannot be sent on, it stays.
    assert done(context) == ["redirect a@b.example", "redirect c@b.example"]
    assert not context.result.implicit_keep


def test_a_rule_that_stops_ends_the_later_ones() -> None:
    first = rule("size over 1", "copy A", stop=True)
    second = rule("size over 1", "copy B", number=2)
    assert done(run([first, second], MESSAGE)) == ["fileinto A"]
    assert done(run([rule("size over 1", "copy A"), second], MESSAGE)) == ["fileinto A", "fileinto B"]


def test_only_marked_rules_run_for_spam() -> None:
    rules = [rule("size over 1", "copy A"), rule("size over 1", "copy B", number=2, also_spam=True)]
    assert done(run(rules, MESSAGE, spam=True)) == ["fileinto B"]
    assert done(run(rules, MESSAGE)) == ["fileinto A", "fileinto B"]


@pytest.mark.parametrize("text", ['"; discard; #', '\\"; discard; "', "${from}", "*/ discard; /*", "\\", "*"])
def test_a_value_stays_a_value(text: str) -> None:
    for how in ("contains", "begins", "ends", "is"):
        message = f"Subject: {text}\r\n\r\nx\r\n"
        context = run([rule(f"subject {how} {text}", f"move {text}", "label $a")], message)
        (found,) = context.result.actions
        assert isinstance(found, sieve.FileInto)
        assert found.mailbox == text


@pytest.mark.parametrize(
    ("conditions", "actions"),
    [
        ("subject contains x", ["move A"]),
        ('subject begins "x\\*', ["move A", "mark-read", "flag"]),
        ("from is a@b.example & not size under 1K", ["copy A", "label $a"]),
        ("recipient is @b.example", ["forward a@b.example"]),
        ("size over 5M & header X exists", ["discard"]),
        ("body contains x & class is social", ["keep"]),
        ("written-to is a@b.example", ["forward a@b.example", "discard"]),
    ],
)
def test_another_reader_of_sieve_takes_it_too(conditions: str, actions: list[str]) -> None:
    # Attachments and letters beyond ASCII need extensions sievelib does not know.
    parser = Parser()
    assert parser.parse(script([rule(conditions, *actions)])), parser.error


VALUES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["5M", "a@b.example", "@b.example", "ham", '"', "\\", "*?", "Ä", "0", "INBOX", "x/y", "\n"]
    ),
)
CONDITIONS = st.builds(
    Condition,
    st.sampled_from(sorted(HOWS)),
    st.sampled_from(["is", "contains", "begins", "ends", "over", "under", "exists"]),
    VALUES,
    st.one_of(st.just(""), st.sampled_from(["List-Id", "X", "Ü", "a:b", '"']), VALUES),
    st.booleans(),
)
PLANS = st.builds(
    Plan,
    st.builds(Choice, st.lists(CONDITIONS, min_size=1, max_size=3).map(tuple), st.booleans()),
    st.lists(st.builds(Action, st.sampled_from(sorted(DEEDS)), VALUES), min_size=1, max_size=3).map(tuple),
    st.booleans(),
    st.booleans(),
)


@settings(derandomize=True, max_examples=EXAMPLES, deadline=None)
@given(PLANS, st.text(min_size=1, max_size=20), st.sampled_from(CLASSES))
def test_whatever_is_accepted_is_a_script_that_runs(plan: Plan, name: str, klass: str) -> None:
    try:
        check_plan(plan)
        name = check_name(name)
    except PermanentFailure:
        return
    rule = Rule(1, name, plan, template=name)
    run([rule], MESSAGE, klass=klass)
    # What directory/rules.py counts on.
    assert len(script([rule])) <= 4 * octets_of(rule) + 1_024


@pytest.mark.parametrize("value", ["\\", "*", '"', "ä", "x"])
@pytest.mark.parametrize("words", ["attachment ends", "not recipient begins", "header X is", "cc is @"])
def test_the_longest_text_of_the_shortest_data(words: str, value: str) -> None:
    conditions = " & ".join([f"{words} {value * 50}"] * 20)
    found = rule(conditions.replace("@ ", "@"), *(f"copy {value}{n}" for n in range(7)))
    assert len(script([found])) <= 4 * octets_of(found) + 1_024
