"""`mailstack list`: senders an address blocks or allows."""

from __future__ import annotations

from typing import Annotated

import typer

from mailstack.cli.context import group, show
from mailstack.cli.directory_access import account, reader, writer

app = group("Senders an address blocks or allows.")

AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose list.")]
PatternArgument = Annotated[
    str,
    typer.Argument(
        metavar="PATTERN", help="A sender's address, or a whole domain (example.org, *@example.org)."
    ),
]


@app.command()
def block(address: AddressArgument, pattern: PatternArgument) -> None:
    """Files the mail of a sender into the spam folder, whatever it is."""
    _add(address, pattern, "block")


@app.command()
def allow(address: AddressArgument, pattern: PatternArgument) -> None:
    """Lets a sender past the spam filter, when it is proven to be that sender.

    The message must be authenticated for the sender's domain (DMARC, or aligned SPF or
    DKIM); otherwise anybody could use the name.
    """
    _add(address, pattern, "allow")


@app.command("show")
def show_lists(address: AddressArgument) -> None:
    """Shows both lists of an address."""
    with reader() as directory:
        found = account(directory, address)
        lists = directory.sender_lists(found.id)
    block, allow = sorted(lists.blocked), sorted(lists.allowed)
    lines = [f"block  {pattern}" for pattern in block] + [f"allow  {pattern}" for pattern in allow]
    show({"address": str(found.address), "block": block, "allow": allow}, "\n".join(lines))


@app.command()
def remove(address: AddressArgument, pattern: PatternArgument) -> None:
    """Takes a sender from the list it is in."""
    with writer() as directory:
        stored = directory.settings.unlist_sender(address, pattern)
    show({"address": address, "removed": stored}, f"removed {stored}")


def _add(address: str, pattern: str, kind: str) -> None:
    with writer() as directory:
        listed = directory.settings.list_sender(address, pattern, kind=kind)
    moved = f" (no longer in the {listed.moved_from} list)" if listed.moved_from else ""
    show(
        {
            "address": address,
            "list": kind,
            "pattern": listed.pattern,
            "moved_from": listed.moved_from or None,
        },
        f"{kind}: {listed.pattern}{moved}",
    )
