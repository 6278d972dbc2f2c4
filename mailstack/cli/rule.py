"""`mailstack rule`: rules of an address, made of conditions and actions in words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from mailstack.cli import arguments, rule_template
from mailstack.cli.context import Context, fail, group, show, talk
from mailstack.cli.directory_access import account, reader, writer

if TYPE_CHECKING:
    from mailstack.model.rules import Action, Choice, Rule

app = group("Rules of an address: what becomes of which mail, without writing Sieve.")
app.add_typer(rule_template.app, name="template")

AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose rules.")]
RuleArgument = Annotated[str, typer.Argument(metavar="RULE", help="The rule's name, or its number.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="What the rule is called.")]
IfOption = rule_template.IfOption
AnyOption = Annotated[
    bool | None,
    typer.Option("--any/--all", help="One condition is enough, or all must hold (a new rule: all)."),
]
DoOption = Annotated[
    list[str] | None,
    typer.Option(
        "--do",
        metavar="ACTION",
        help="'move FOLDER', 'copy FOLDER', 'mark-read', 'flag', 'label WORD', 'forward ADDRESS',"
        " 'keep' (into INBOX), 'discard'. May be repeated.",
    ),
]
StopOption = Annotated[
    bool | None,
    typer.Option(
        "--stop/--go-on",
        help="Later rules and the owner's script do not run for this mail"
        " (a new rule: stop where it moves or discards).",
    ),
]
SpamOption = Annotated[
    bool | None,
    typer.Option("--also-spam/--not-spam", help="Also for what goes to Spam (a new rule: no)."),
]


@app.command()
def add(
    address: AddressArgument,
    name: NameArgument,
    if_: IfOption = None,
    do: DoOption = None,
    any_: AnyOption = None,
    stop: StopOption = None,
    also_spam: SpamOption = None,
    at: Annotated[int | None, typer.Option(metavar="N", help="Its place in the list.")] = None,
    off: Annotated[bool, typer.Option("--off", help="Made, but not switched on yet.")] = False,
    template: Annotated[
        str, typer.Option(metavar="NAME", help="Take the conditions of this template of the domain.")
    ] = "",
) -> None:
    """Makes a rule, such as: rule add ADDRESS Bills --if 'subject contains invoice' --do 'move Bills'.

    Rules run in their order, before the owner's own Sieve script; not for spam, unless
    they are marked so.  'rule sieve ADDRESS' shows them as Sieve.
    """
    from mailstack.model.rules import Plan

    if template and (if_ or any_ is not None):
        fail(os.EX_USAGE, "the conditions are those of the template: leave --if, --any and --all away")
    choice = _template(address, template) if template else rule_template.choice(if_, any_=bool(any_))
    actions = tuple(_action(one) for one in do or ())
    takes = any(one.deed in ("move", "discard") for one in actions)
    plan = Plan(choice, actions, takes if stop is None else stop, bool(also_spam))
    with writer() as directory:
        made = directory.rules.add(address, name, plan, at=at, enabled=not off, template=template)
    show(_row(made), _lines(made))


@app.command("set")
def set_rule(
    address: AddressArgument,
    rule: RuleArgument,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Another name.")] = None,
    if_: IfOption = None,
    do: DoOption = None,
    any_: AnyOption = None,
    stop: StopOption = None,
    also_spam: SpamOption = None,
) -> None:
    """Changes a rule; what is not given stays.  --if and --do replace all there were."""
    from msgspec.structs import replace

    from mailstack.directory.rules import RuleChange

    with writer() as directory, directory.transaction():
        plan = directory.rules.find(address, rule).plan
        if if_:
            plan = replace(plan, choice=rule_template.choice(if_, any_=plan.choice.any_of))
        if any_ is not None:
            plan = replace(plan, choice=replace(plan.choice, any_of=any_))
        if also_spam is not None:
            plan = replace(plan, also_spam=also_spam)
        if do:
            plan = replace(plan, actions=tuple(_action(one) for one in do))
        if stop is not None:
            plan = replace(plan, stop=stop)
        changed = directory.rules.change(address, rule, RuleChange(name, plan))
    show(_row(changed), _lines(changed))


@app.command("list")
def list_rules(address: AddressArgument) -> None:
    """Lists the rules of an address, in the order they run; on stderr how they failed, if they did."""
    from mailstack.cli.script_failures import failures
    from mailstack.filters.compiled import version_of
    from mailstack.filters.rule_text import script
    from mailstack.filters.scripts import RULES, RULES_FOR_SPAM

    context = Context.load()
    with reader(context) as directory:
        account_id = account(directory, address).id
        rules = directory.rules(account_id)
    failed = failures(context, account_id)
    for spam in (False, True):
        why = failed.get((RULES_FOR_SPAM if spam else RULES, version_of(script(rules, spam=spam))))
        if why is not None:
            talk(f"a message they fail for is kept in the inbox: {why}")
    text = "\n".join(_lines(rule) for rule in rules)
    show([_row(rule) for rule in rules], text or f"{address} has no rules")


@app.command()
def sieve(
    address: AddressArgument,
    spam: Annotated[bool, typer.Option("--spam", help="What runs for mail that goes to Spam.")] = False,
) -> None:
    """Shows the rules as the Sieve script they are run as."""
    from mailstack.filters.rule_text import script

    with reader() as directory:
        source = script(directory.rules(account(directory, address).id), spam=spam).decode()
    show({"source": source}, source or f"{address} has no rules that run", exact=True)


@app.command()
def move(
    address: AddressArgument,
    rule: RuleArgument,
    place: Annotated[int, typer.Argument(metavar="PLACE", help="Its new number.")],
) -> None:
    """Gives a rule another place in the order."""
    with writer() as directory:
        rules = directory.rules.move(address, rule, place)
    show([_row(one) for one in rules], "\n".join(f"{one.number}. {one.name}" for one in rules))


@app.command()
def on(address: AddressArgument, rule: RuleArgument) -> None:
    """Switches a rule on."""
    _switch(address, rule, enabled=True)


@app.command()
def off(address: AddressArgument, rule: RuleArgument) -> None:
    """Switches a rule off; it stays in the list."""
    _switch(address, rule, enabled=False)


@app.command()
def remove(address: AddressArgument, rule: RuleArgument) -> None:
    """Removes a rule."""
    with writer() as directory:
        removed = directory.rules.remove(address, rule)
    show({"address": address, "removed": removed}, f"removed {removed}")


def _switch(address: str, rule: str, *, enabled: bool) -> None:
    from mailstack.directory.rules import RuleChange

    with writer() as directory:
        changed = directory.rules.change(address, rule, RuleChange(enabled=enabled))
    show(_row(changed), f"{changed.name} is {'on' if enabled else 'off'}")


def _template(address: str, name: str) -> Choice:
    from mailstack.model.errors import PermanentFailure

    with reader() as directory:
        domain = account(directory, address).address.domain
        for one in directory.rule_templates(domain, hidden=True):
            if one.name == name:
                return one.choice
    raise PermanentFailure(f"{domain} has no rule template {name!r}")


def _action(text: str) -> Action:
    """What it says; a folder is one that a mailbox can have."""
    from mailstack.model.rules import action

    found = action(text)
    if found.deed in ("move", "copy"):
        arguments.folder(found.value)
    return found


def _row(rule: Rule) -> dict[str, object]:
    plan = rule.plan
    return {
        "number": rule.number,
        "name": rule.name,
        "enabled": rule.enabled,
        "any": plan.choice.any_of,
        "if": [str(one) for one in plan.choice.conditions],
        "do": [str(one) for one in plan.actions],
        "stop": plan.stop,
        "also_spam": plan.also_spam,
        "template": rule.template or None,
    }


def _lines(rule: Rule) -> str:
    plan = rule.plan
    notes = ["off"] * (not rule.enabled) + ["also for spam"] * plan.also_spam
    notes += [f"from the template {rule.template}"] * bool(rule.template)
    head = f"{rule.number}. {rule.name}" + (f" ({', '.join(notes)})" if notes else "")
    do = ", ".join([*(str(one) for one in plan.actions), *["stop"] * plan.stop])
    return f"{head}\n   if {plan.choice}\n   do {do}"
