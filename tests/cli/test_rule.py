"""mailstack rule."""

from __future__ import annotations

import contextlib
import time

import pytest

from mailstack.filters.compiled import version_of
from mailstack.filters.rule_text import script
from mailstack.state.memory import Memory
from tests.kit.instance import Instance

ALICE = "alice@example.test"


@pytest.fixture(autouse=True)
def alice(instance: Instance) -> None:
    instance.cli("user", "add", ALICE)


def names(instance: Instance) -> list[str]:
    return [row["name"] for row in instance.cli("rule", "list", ALICE, "--json").json]


def test_a_rule_is_made_listed_and_shown_as_sieve(instance: Instance) -> None:
    made = instance.cli(
        *("rule", "add", ALICE, "Bills", "--if", "subject contains invoice", "--if", "not size over 5M"),
        *("--do", "move Bills", "--do", "mark-read", "--json"),
    )
    assert made.json == {
        "number": 1,
        "name": "Bills",
        "enabled": True,
        "any": False,
        "if": ["subject contains invoice", "not size over 5M"],
        "do": ["move Bills", "mark-read"],
        "stop": True,
        "also_spam": False,
        "template": None,
    }
    assert instance.cli("rule", "list", ALICE, "--json").json == [made.json]
    assert instance.cli("rule", "list", ALICE).out == (
        "1. Bills\n   if subject contains invoice and not size over 5M\n   do move Bills, mark-read, stop\n"
    )
    text = instance.cli("rule", "sieve", ALICE).out
    assert text.startswith("# mailstack rules: begin")
    assert 'fileinto :create "Bills";' in text
    assert "no rules that run" in instance.cli("rule", "sieve", ALICE, "--spam").out


@pytest.mark.parametrize("deed", ["move ../x", "copy a/.b", "move 50%"])
def test_a_folder_no_mailbox_can_have_makes_no_rule(instance: Instance, deed: str) -> None:
    assert instance.cli("rule", "add", ALICE, "good", "--if", "size over 1K", "--do", "move INBOX").code == 0
    for words in (("add", ALICE, "new", "--if", "size over 1K"), ("set", ALICE, "good")):
        refused = instance.cli("rule", *words, "--do", deed)
        assert refused.code == 65 and "cannot be a folder" in refused.err
    assert [rule["do"] for rule in instance.cli("rule", "list", ALICE, "--json").json] == [["move INBOX"]]


def test_rules_are_ordered_switched_changed_and_removed(instance: Instance) -> None:
    for name in ("one", "two", "three"):
        instance.cli("rule", "add", ALICE, name, "--if", "size over 1K", "--do", "flag")
    assert instance.cli("rule", "move", ALICE, "three", "1").out == "1. three\n2. one\n3. two\n"
    assert instance.cli("rule", "off", ALICE, "2").out == "one is off\n"
    assert "# 2. one: switched off" in instance.cli("rule", "sieve", ALICE).out
    assert instance.cli("rule", "on", ALICE, "one").out == "one is on\n"
    changed = instance.cli(
        "rule", "set", ALICE, "one", "--name", "first", "--do", "copy A", "--any", "--also-spam", "--json"
    )
    assert (changed.json["do"], changed.json["any"], changed.json["if"]) == (
        ["copy A"],
        True,
        ["size over 1K"],
    )
    assert (changed.json["stop"], changed.json["also_spam"]) == (False, True)
    assert "fileinto :copy" in instance.cli("rule", "sieve", ALICE, "--spam").out
    assert instance.cli("rule", "set", ALICE, "first", "--stop", "--json").json["stop"] is True
    assert instance.cli("rule", "remove", ALICE, "three").out == "removed three\n"
    assert names(instance) == ["first", "two"]


def test_a_template_gives_the_conditions(instance: Instance) -> None:
    template = ("rule", "template")
    instance.cli(*template, "set", "example.test", "News", "--if", "from is @example.test")
    instance.cli(*template, "set", "example.test", "Trial", "--if", "class is social", "--hidden")
    assert instance.cli(*template, "list", "example.test").out == (
        "News: if from is @example.test\nTrial (hidden): if class is social\n"
    )
    seen = instance.cli(*template, "list", "example.test", "--visible", "--json").json
    assert seen == [{"name": "News", "visible": True, "any": False, "if": ["from is @example.test"]}]
    made = instance.cli("rule", "add", ALICE, "news", "--template", "News", "--do", "move News", "--json")
    assert (made.json["if"], made.json["template"]) == (["from is @example.test"], "News")
    fixed = instance.cli("rule", "set", ALICE, "news", "--if", "size over 1")
    assert (fixed.code, "those of the template" in fixed.err) == (65, True)
    both = instance.cli(
        "rule", "add", ALICE, "x", "--template", "News", "--if", "size over 1", "--do", "flag"
    )
    assert both.code == 64
    assert instance.cli(*template, "hide", "example.test", "News").out.startswith("News (hidden)")
    assert instance.cli(*template, "show", "example.test", "News").code == 0
    assert instance.cli(*template, "remove", "example.test", "News").code == 0
    assert names(instance) == ["news"]


def test_rules_that_failed_are_said_to(instance: Instance) -> None:
    instance.cli("rule", "add", ALICE, "Bills", "--if", "size over 1", "--do", "flag")
    with contextlib.closing(instance.reader()) as directory:
        account = directory.find_account(ALICE)
        assert account is not None
        version = version_of(script(directory.rules(account.id)))
    with contextlib.closing(Memory(instance.config.paths.state_db)) as memory:
        memory.note_failure(
            account.id, "rules", version, "rule 1. Bills: too much", now=time.time(), died=False
        )
    assert "rule 1. Bills: too much (1 messages)" in instance.cli("rule", "list", ALICE).err
    # Another version has not failed yet.
    instance.cli("rule", "set", ALICE, "Bills", "--do", "mark-read")
    assert instance.cli("rule", "list", ALICE).err == ""


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["add", ALICE, "x", "--if", "sender is x", "--do", "flag"], 65, "begins with one of from"),
        (["add", ALICE, "x", "--if", "size over 1"], 65, "1 to 8 actions"),
        (["add", ALICE, "x", "--do", "flag"], 65, "1 to 20 conditions"),
        (["add", "nobody@example.test", "x", "--if", "size over 1", "--do", "flag"], 67, "no address"),
        (["add", ALICE, "x", "--template", "None", "--do", "flag"], 65, "no rule template 'None'"),
        (["off", ALICE, "7"], 65, "no rule '7'; it has 0"),
        (["list", "nobody@example.test"], 67, "no address"),
        (["template", "list", "elsewhere.test"], 67, "not a domain"),
        (["template", "set", "example.test", "x"], 65, "1 to 20 conditions"),
        (["add"], 64, "ADDRESS"),
    ],
)
def test_what_is_refused_says_why(instance: Instance, words: list[str], code: int, why: str) -> None:
    found = instance.cli("rule", *words)
    assert (found.code, why in found.err) == (code, True), found.err
