"""`mailstack forward`: redirect an address to others."""

from __future__ import annotations

from typing import Annotated

import typer

from mailstack.cli.context import group, show, talk
from mailstack.cli.directory_access import account, reader, writer
from mailstack.model.address import Address
from mailstack.model.directory import Account

app = group("Redirects the mail of an address to others.")

AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="The address that forwards.")]


@app.command("set")
def set_forward(
    address: AddressArgument,
    targets: Annotated[list[str], typer.Argument(metavar="TARGET...", help="Where to; may be outside.")],
    keep: Annotated[
        bool, typer.Option("--keep/--no-keep", help="Also keep a copy in the mailbox (default: no).")
    ] = False,
) -> None:
    """Forwards the mail of an address; replaces the redirection it had.

    Mail that leaves gets a rewritten sender in this address's domain (SRS), so that the
    next server accepts it and bounces find their way.  Spam is not forwarded; it goes to
    the address's own Spam folder.  Targets set here need no confirmation.
    """
    with writer() as directory:
        changed = directory.settings.set_redirection(address, targets, keep=keep)
    show(_row(changed), f"{changed.address} forwards to {', '.join(targets)}")
    with reader() as found:
        outside = [target for target in targets if found.domain(Address.parse(target).domain) is None]
    if changed.kind == "catchall" and outside:
        talk("warning: a catch-all that forwards outside passes spam on; other servers will trust you less")


@app.command("show")
def show_forward(address: AddressArgument) -> None:
    """Shows where an address forwards to."""
    with reader() as directory:
        found = account(directory, address)
    text = None if found.redirection else f"{found.address} does not forward"
    show(_row(found), text)


@app.command()
def clear(address: AddressArgument) -> None:
    """Ends forwarding; mail stays in the mailbox again."""
    with writer() as directory:
        was_set = directory.settings.clear_redirection(address)
    show({"address": address, "cleared": was_set}, "cleared" if was_set else f"{address} did not forward")


def _row(found: Account) -> dict[str, object]:
    forward = found.redirection
    return {
        "address": str(found.address),
        "targets": [] if forward is None else forward.targets,
        "keep": None if forward is None else forward.keep,
    }
