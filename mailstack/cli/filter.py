"""`mailstack filter`: the filter daemon, as far as its operator has to do with it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailstack.cli import usage
from mailstack.cli.context import Context, fail, group, render, show, talk

if TYPE_CHECKING:
    from mailstack.app.filter_aside import Aside, AsideFolder

app = group("The filter daemon.")
aside = group("Copies of messages that killed a filter worker; the mail itself was delivered.")
app.add_typer(aside, name="aside")

Id = Annotated[str, typer.Argument(metavar="ID", help="As 'filter aside list' shows it.")]
All = Annotated[bool, typer.Option("--all", help="Every copy.")]
#: Characters of a header that are shown.
MOST_SHOWN = 4_000


@aside.command("list")
def list_aside() -> None:
    """Lists the copies, oldest first."""
    rows = [_row(entry) for entry in _folder().entries()]
    show(rows, None if rows else "")
    if not rows:
        talk("no message has killed a filter worker")


@aside.command("show")
def show_aside(id_: Id) -> None:
    """Shows what happened, where the copy lies, and its header."""
    folder = _folder()
    entry = _find(folder, id_)
    message = folder.message(entry.id)
    header = message.partition(b"\r\n\r\n")[0][:MOST_SHOWN].decode("utf-8", "replace")
    row = _row(entry) | {"file": str(folder.path_of(entry.id))}
    show(row | {"header": header}, "{}\n\n{}".format(render(row), header.replace("\r\n", "\n")))


@aside.command("remove")
def remove_aside(
    id_: Annotated[str, typer.Argument(metavar="[ID]", help="As 'filter aside list' shows it.")] = "",
    everything: All = False,
) -> None:
    """Removes copies."""
    if bool(id_) == everything:
        fail(os.EX_USAGE, "name one ID, or say --all")
    folder = _folder()
    gone = folder.entries() if everything else [_find(folder, id_)]
    for entry in gone:
        folder.remove(entry.id)
    show({"removed": [entry.id for entry in gone]}, f"removed {len(gone)}")


def _folder() -> AsideFolder:
    from mailstack.app.filter_aside import AsideFolder

    context = Context.load()
    options = context.config.filter
    return AsideFolder(
        context.paths.filter_aside, messages=options.aside_messages, octets=options.aside_octets
    )


def _find(folder: AsideFolder, id_: str) -> Aside:
    found = folder.find(id_)
    if found is None:
        fail(os.EX_DATAERR, f"there is no {id_}; 'mailstack filter aside list' shows all")
    return found


def _row(entry: Aside) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": usage.stamp(entry.at),
        "why": entry.why,
        "times": entry.deaths,
        "last": usage.stamp(entry.last_at),
        "octets": entry.size_octets,
        "sender": entry.sender or "<>",
        "recipients": list(entry.recipients),
        "client": entry.ip,
        "script": entry.script,
    }
