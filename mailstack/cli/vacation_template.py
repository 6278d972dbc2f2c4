"""`mailstack vacation template`: prepared answers of a domain, for its addresses to begin with."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from mailstack.cli.context import fail, group, show
from mailstack.cli.directory_access import known_domain, reader, writer
from mailstack.cli.vacation_options import (
    DaysOption,
    EndOption,
    ExcludeOption,
    FileOption,
    IncludeOption,
    StartOption,
    SubjectOption,
    TextOption,
    readable,
    row_of,
    text_of,
)
from mailstack.directory.autoresponder import Wishes
from mailstack.directory.autoresponse_templates import Applied, Template, templates

app = group("Prepared answers of a domain, for its addresses to begin with.")

DomainArgument = Annotated[str, typer.Argument(metavar="DOMAIN", help="Whose templates.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the template.")]
_RESULTS = {
    "added": "has it now",
    "replaced": "has it in place of its own",
    "kept": "keeps its own of this name",
    "full": "has too many already",
}


@app.command("set")
def set_template(
    domain: DomainArgument,
    name: NameArgument,
    text: TextOption = None,
    file: FileOption = None,
    subject: SubjectOption = None,
    start: StartOption = None,
    end: EndOption = None,
    days: DaysOption = None,
    exclude: ExcludeOption = None,
    include: IncludeOption = None,
    hidden: Annotated[
        bool | None,
        typer.Option("--hidden/--visible", help="Whether owners of addresses see it (default: they do)."),
    ] = None,
) -> None:
    """Makes a template, or changes one; what is not named stays as it is.

    In subject and text {name} and {address} stand for whoever is given it.  What was made
    of it before stays as it is.
    """
    wishes = Wishes(
        text=text_of(text, file),
        subject=subject,
        starts=start,
        ends=end,
        weekdays=days,
        exclude=tuple(exclude or ()),
        include=tuple(include or ()),
    )
    with writer() as directory:
        made = directory.autoresponse_templates.set(domain, name, wishes, hidden=hidden)
    show(_row(made), f"{domain}: template {name} is {'hidden' if made.is_hidden else 'visible'}")


@app.command("list")
def list_templates(domain: DomainArgument) -> None:
    """Lists the templates of a domain."""
    rows = [_row(one) for one in _known(domain)]
    lines = [f"{row['name']}{' (hidden)' if row['hidden'] else ''}" for row in rows]
    show(rows, "\n".join(lines) or f"{domain} has no templates")


@app.command("show")
def show_template(domain: DomainArgument, name: NameArgument) -> None:
    """Shows a template with its text."""
    found = next((one for one in _known(domain) if one.response.name == name), None)
    if found is None:
        fail(os.EX_DATAERR, f"{domain} has no template {name!r}")
    row = _row(found)
    show(row, readable(row))


@app.command()
def remove(domain: DomainArgument, name: NameArgument) -> None:
    """Removes a template; what was made of it stays."""
    with writer() as directory:
        directory.autoresponse_templates.remove(domain, name)
    show({"domain": domain, "removed": name}, f"removed {name}")


@app.command("apply")
def apply_template(
    domain: DomainArgument,
    name: NameArgument,
    addresses: Annotated[
        list[str] | None, typer.Argument(metavar="[ADDRESS...]", help="Who is given it.")
    ] = None,
    everybody: Annotated[
        bool, typer.Option("--all", help="Give it to every address of the domain that takes mail.")
    ] = False,
    on: Annotated[
        bool, typer.Option("--on", help="Switch it on there, instead of whatever answers now.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also over an answer of the same name.")
    ] = False,
) -> None:
    """Gives a template to addresses, as a prepared answer of their own.

    When one of the addresses is wrong nobody is given it.  An address that has an answer of
    this name keeps it, because it may be personal, unless with --overwrite.
    """
    if bool(addresses) == everybody:
        fail(os.EX_USAGE, "name the addresses, or say --all")
    with writer() as directory:
        done = directory.autoresponse_templates.apply(
            domain, name, None if everybody else addresses, activate=on, overwrite=overwrite
        )
    show([_applied(one) for one in done], "\n".join(_line(one) for one in done) or "nobody takes mail there")


def _known(domain: str) -> tuple[Template, ...]:
    with reader() as directory:
        return templates(directory, known_domain(directory, domain).name)


def _row(one: Template) -> dict[str, object]:
    return {**row_of(one.response), "hidden": one.is_hidden}


def _applied(one: Applied) -> dict[str, object]:
    return {"address": one.address, "result": one.result, "active": one.is_active}


def _line(one: Applied) -> str:
    return f"{one.address} {_RESULTS[one.result]}{'; it is on' if one.is_active else ''}"
