"""`mailstack vacation`: automatic answers of people who are away."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import tzinfo
from typing import TYPE_CHECKING, Annotated

import typer

from mailstack.cli import arguments, usage, vacation_template
from mailstack.cli.context import Context, fail, group, show, talk
from mailstack.cli.directory_access import account, known_domain, reader, writer
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
from mailstack.directory import autoresponder, autoresponse_templates, zones
from mailstack.directory.autoresponder import StoredResponse, Wishes
from mailstack.directory.reader import Directory
from mailstack.filters.autoresponder import NAME, end_second, silence
from mailstack.model.autoresponse import Autoresponse
from mailstack.model.directory import Account

if TYPE_CHECKING:
    from mailstack.state.memory import Memory

app = group("Automatic answers of people who are away.")
app.add_typer(vacation_template.app, name="template")

AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="Who is away.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the answer.")]
ChosenArgument = Annotated[
    str, typer.Argument(metavar="[NAME]", help="Name of the answer; not needed when there is one only.")
]


@app.command("set")
def set_response(
    address: AddressArgument,
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="Name of the answer (default: away).")
    ] = "away",
    text: TextOption = None,
    file: FileOption = None,
    subject: SubjectOption = None,
    start: StartOption = None,
    end: EndOption = None,
    days: DaysOption = None,
    sender: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="ADDRESS",
            help="Another From: an alias, or what 'user set --grant' allows; none: the address written to.",
        ),
    ] = None,
    exclude: ExcludeOption = None,
    include: IncludeOption = None,
    template: Annotated[
        str | None, typer.Option(metavar="NAME", help="Begin with this template of the domain.")
    ] = None,
    on: Annotated[bool, typer.Option("--on", help="Switch it on too.")] = False,
) -> None:
    """Prepares an answer, or changes one; what is not named stays as it is.

    An address may have several prepared answers; 'vacation on' lets one of them answer.
    Times are those of its owner's time zone ('user set --time-zone').  Each sender is
    answered once in 7 days; never lists, bulk mail, programs, spam, or whoever is not
    authenticated; and only mail with one of the owner's addresses in To or Cc.  It works
    beside the owner's own Sieve script.
    """
    wishes = Wishes(
        text=text_of(text, file),
        subject=subject,
        starts=start,
        ends=end,
        weekdays=days,
        sender=sender,
        exclude=tuple(exclude or ()),
        include=tuple(include or ()),
    )
    context = Context.load()
    with reader(context) as found, writer(context) as directory, directory.transaction():
        owner = account(found, address)
        zone = _zone(context, found, owner)
        like = None if template is None else _template(found, owner, template)
        stored = directory.autoresponders.set(address, name, wishes, owns=found.may_send_as, like=like)
        if on:
            stored = directory.autoresponders.activate(address, name)
    row = _row(stored, zone)
    hint = "" if stored.is_active else f"; 'mailstack vacation on {owner.address} {name}' lets it answer"
    show({"address": str(owner.address), **row}, f"{owner.address}: {name} is {row['state']}{hint}")
    _warn(stored, zone)


@app.command("show")
def show_responses(address: AddressArgument, name: ChosenArgument = "") -> None:
    """Shows the prepared answers of an address, or one of them with its text."""
    context = Context.load()
    with reader(context) as directory:
        owner = account(directory, address)
        found = autoresponder.stored(directory, owner.id)
        zone = _zone(context, directory, owner)
        visible = autoresponse_templates.templates(directory, owner.address.domain)
    if name:
        one = next((each for each in found if each.response.name == name), None)
        if one is None:
            fail(os.EX_DATAERR, f"{owner.address} has no autoresponder {name!r}")
        row = _row(one, zone)
        show({"address": str(owner.address), **row}, readable(row))
        return
    rows = [_row(each, zone) for each in found]
    names = [each.response.name for each in visible if not each.is_hidden]
    document = {
        "address": str(owner.address),
        "time_zone": str(zone),
        "active": next((one.response.name for one in found if one.is_active), None),
        "answers": rows,
        "templates": names,
    }
    lines = [f"{row['name']}: {row['state']}" for row in rows] or [f"{owner.address} has no autoresponder"]
    if names:
        lines.append(f"templates of {owner.address.domain}: {', '.join(names)}")
    show(document, "\n".join(lines))


@app.command("list")
def list_active(
    domain: Annotated[str, typer.Argument(metavar="[DOMAIN]", help="Only this domain.")] = "",
) -> None:
    """Lists the addresses whose autoresponder is on."""
    context = Context.load()
    rows = []
    with reader(context) as directory:
        domain = domain and known_domain(directory, domain).name
        for owner in directory.accounts(domain):
            for one in autoresponder.stored(directory, owner.id):
                if one.is_active:
                    row = _row(one, _zone(context, directory, owner))
                    kept = {key: row[key] for key in ("name", "state", "start", "end")}
                    rows.append({"address": str(owner.address), **kept})
    show(rows, None if rows else "no autoresponder is on")


@app.command()
def on(
    address: AddressArgument,
    name: ChosenArgument = "",
    reset: Annotated[bool, typer.Option("--reset", help="Also forget who was answered before.")] = False,
) -> None:
    """Lets a prepared answer answer, and no other of this address; counts from the next message on."""
    context = Context.load()
    with reader(context) as found:
        owner = account(found, address)
        zone = _zone(context, found, owner)
        name = name or _only(owner, autoresponder.stored(found, owner.id))
    with writer(context) as directory:
        stored = directory.autoresponders.activate(address, name)
    forgotten = _reset(context, owner) if reset else 0
    row = _row(stored, zone)
    show(
        {"address": str(owner.address), **row, "forgotten": forgotten},
        f"{owner.address}: {name} {row['state']}",
    )
    _warn(stored, zone)


@app.command()
def off(address: AddressArgument) -> None:
    """Lets none answer; what is prepared stays."""
    with writer() as directory:
        name = directory.autoresponders.deactivate(address)
    show({"address": address, "off": name or None}, f"{name} is off" if name else f"none of {address} was on")


@app.command()
def remove(address: AddressArgument, name: NameArgument) -> None:
    """Removes a prepared answer."""
    with writer() as directory:
        was_active = directory.autoresponders.remove(address, name)
    show(
        {"address": address, "removed": name, "was_active": was_active},
        f"removed {name}{', which was on: nobody is answered any more' if was_active else ''}",
    )


@app.command()
def answered(address: AddressArgument) -> None:
    """Lists who got an automatic answer, and until when gets no other."""
    context = Context.load()
    with reader(context) as directory:
        owner = account(directory, address)
    with _memory(context) as memory:
        found = memory.answered(owner.id, now=time.time())
    rows = [
        {
            "sender": one.who,
            "at": usage.stamp(one.at),
            "again_after": usage.stamp(one.until),
            "by": "autoresponder" if one.handle == NAME else "script",
        }
        for one in found
    ]
    show(rows, None if rows else f"{owner.address} has answered nobody lately")


@app.command()
def reset(
    address: AddressArgument,
    sender: Annotated[str, typer.Argument(metavar="[SENDER]", help="Only this one.")] = "",
) -> None:
    """Forgets who was answered: the next message of everybody is answered again."""
    who = sender and str(arguments.address(sender))
    context = Context.load()
    with reader(context) as directory:
        owner = account(directory, address)
    count = _reset(context, owner, who)
    show(
        {"address": str(owner.address), "forgotten": count},
        f"forgot {count} sender{'s' * (count != 1)}" if count else "nobody was remembered",
    )


def _reset(context: Context, owner: Account, sender: str = "") -> int:
    with _memory(context) as memory:
        return memory.reset_answers(owner.id, who=sender)


@contextmanager
def _memory(context: Context) -> Iterator[Memory]:
    from mailstack.state.memory import Memory

    memory = Memory(context.paths.state_db)
    try:
        yield memory
    finally:
        memory.close()


def _template(directory: Directory, owner: Account, name: str) -> Autoresponse:
    found = autoresponse_templates.templates(directory, owner.address.domain)
    one = next((each for each in found if each.response.name == name), None)
    if one is None:
        fail(os.EX_DATAERR, f"{owner.address.domain} has no template {name!r}")
    return autoresponse_templates.personal(one.response, owner)


def _zone(context: Context, directory: Directory, owner: Account) -> tzinfo:
    return zones.load(zones.name_of(directory, owner, context.config.server.time_zone))


def _only(owner: Account, found: tuple[StoredResponse, ...]) -> str:
    names = [one.response.name for one in found]
    if not names:
        fail(os.EX_DATAERR, f"{owner.address} has no autoresponder; 'mailstack vacation set' makes one")
    if len(names) > 1:
        fail(os.EX_USAGE, f"which of them: {', '.join(names)}?")
    return names[0]


def _row(stored: StoredResponse, zone: tzinfo) -> dict[str, object]:
    """One prepared answer, and what it does now."""
    why = silence(stored.response, now=time.time(), zone=zone)
    state = f"on, but {why}" if why else "on"
    return {
        **row_of(stored.response),
        "from": stored.response.sender or None,
        "active": stored.is_active,
        "state": state if stored.is_active else "off",
        "changed": usage.stamp(stored.changed_at),
    }


def _warn(stored: StoredResponse, zone: tzinfo) -> None:
    """Says what its owner may not have meant."""
    ends = stored.response.ends
    if ends and end_second(ends, zone) <= time.time():
        talk(f"warning: its last day or minute, {ends}, is over in {zone}")
