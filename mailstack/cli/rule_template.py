"""`mailstack rule template`: conditions a domain offers; its users pick the action."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mailstack.cli.context import group, show
from mailstack.cli.directory_access import known_domain, reader, writer

if TYPE_CHECKING:
    from mailstack.model.rules import Choice, Template

app = group("Rule templates of a domain: conditions for which users pick the action.")

DomainArgument = Annotated[str, typer.Argument(metavar="DOMAIN", help="Whose templates.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="What the template is called.")]
IfOption = Annotated[
    list[str] | None,
    typer.Option(
        "--if",
        metavar="CONDITION",
        help="'from|to|cc|recipient|subject is|contains|begins|ends TEXT' ('from is @example.org': that"
        " domain), 'header NAME exists|contains ... TEXT', 'body contains TEXT', 'size over|under 5M',"
        " 'attachment', 'attachment ends .pdf', 'class is promotions|social', 'written-to is ADDRESS';"
        " with 'not' before it the contrary. May be repeated.",
    ),
]


def choice(conditions: list[str] | None, *, any_: bool) -> Choice:
    """Conditions as the command line gives them."""
    from mailstack.model.rules import Choice, condition

    return Choice(tuple(condition(one) for one in conditions or ()), any_)


@app.command("set")
def set_template(
    domain: DomainArgument,
    name: NameArgument,
    if_: IfOption = None,
    any_: Annotated[
        bool, typer.Option("--any/--all", help="One condition is enough, or all must hold (default: all).")
    ] = False,
    hidden: Annotated[
        bool, typer.Option("--hidden", help="Not shown to users, only to who administers the domain.")
    ] = False,
) -> None:
    """Makes or replaces a template.  Rules already made from it stay as they are.

    A template is never applied to many addresses: what somebody's mail does is theirs.
    """
    with writer() as directory:
        made = directory.rules.put_template(domain, name, choice(if_, any_=any_), visible=not hidden)
    show(_row(made), _line(made))


@app.command("list")
def list_templates(
    domain: DomainArgument,
    visible: Annotated[bool, typer.Option("--visible", help="Only what users see.")] = False,
) -> None:
    """Lists the templates of a domain."""
    with reader() as directory:
        name = known_domain(directory, domain).name
        found = directory.rule_templates(name, hidden=not visible)
    show([_row(one) for one in found], "\n".join(map(_line, found)) or f"{domain} has no rule templates")


@app.command("show")
def show_template(domain: DomainArgument, name: NameArgument) -> None:
    """Shows a template to users."""
    _switch(domain, name, visible=True)


@app.command("hide")
def hide_template(domain: DomainArgument, name: NameArgument) -> None:
    """Hides a template from users; rules they made from it stay."""
    _switch(domain, name, visible=False)


@app.command("remove")
def remove_template(domain: DomainArgument, name: NameArgument) -> None:
    """Removes a template; rules made from it stay."""
    with writer() as directory:
        directory.rules.remove_template(domain, name)
    show({"domain": domain, "removed": name}, f"removed {name}")


def _switch(domain: str, name: str, *, visible: bool) -> None:
    with writer() as directory:
        changed = directory.rules.show_template(domain, name, visible=visible)
    show(_row(changed), _line(changed))


def _row(one: Template) -> dict[str, object]:
    return {
        "name": one.name,
        "visible": one.visible,
        "any": one.choice.any_of,
        "if": [str(each) for each in one.choice.conditions],
    }


def _line(one: Template) -> str:
    return f"{one.name}{'' if one.visible else ' (hidden)'}: if {one.choice}"
