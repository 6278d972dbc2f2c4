"""`mailstack apppw`: passwords for single programs and devices."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from mailstack.cli import usage
from mailstack.cli.context import Context, fail, group, show, talk
from mailstack.cli.directory_access import account, reader, writer
from mailstack.directory.values import AppPassword
from mailstack.state.logins import LastUse

app = group("Passwords for single programs and devices, each good for some protocols.")

AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose password.")]


@app.command()
def add(
    address: AddressArgument,
    name: Annotated[str, typer.Option("--name", metavar="N", help="What it is for, such as phone.")],
    scope: Annotated[
        str,
        typer.Option(metavar="LIST", help="imap, pop3, smtp, sieve, with commas between them; default: all."),
    ] = "",
) -> None:
    """Makes an app password of 100 random bits and prints it, once.

    It is typed with or without its hyphens.  It keeps working when the password of the
    address changes, until it is revoked.
    """
    scopes = [word.strip().lower() for word in scope.split(",") if word.strip()]
    if scope and not scopes:
        fail(os.EX_USAGE, "--scope wants protocols: imap, pop3, smtp, sieve")
    with writer() as directory:
        made, secret = directory.app_passwords.add(address, name, scopes)
    show(
        {"address": address, **_row(made, None), "password": secret},
        f"{address}  {made.name} ({', '.join(made.scopes)})  password: {secret}",
    )


@app.command("list")
def list_app_passwords(address: AddressArgument) -> None:
    """Lists the app passwords of an address, and when each was used last (to ten minutes)."""
    context = Context.load()
    with reader(context) as directory:
        found = account(directory, address)
        known = directory.logins.app_passwords(found.id)
    uses = usage.app_password_uses(context) if known else {}
    show([_row(one, uses.get(one.id)) for one in known])
    if not known:
        talk(f"{found.address} has no app passwords")
    if found.app_passwords_only:
        talk(f"{found.address} logs in with app passwords only")


@app.command()
def revoke(
    address: AddressArgument,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="As in the list.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Revoke all of them.")] = False,
) -> None:
    """Takes an app password back: it stops working, and open sessions of the address end."""
    if bool(name) == everything:
        fail(os.EX_USAGE, "name an app password, or say --all")
    context = Context.load()
    with writer(context) as directory:
        gone = directory.app_passwords.revoke(address, name)
    names = [one.name for one in gone]
    with reader(context) as left:
        found = account(left, address)
        if found.app_passwords_only and not left.logins.app_passwords(found.id):
            talk(f"warning: {found.address} logs in with app passwords only, and none is left")
    show({"address": address, "revoked": names}, f"revoked: {', '.join(names) or 'none'}")


def _row(found: AppPassword, use: LastUse | None) -> dict[str, object]:
    return {
        "name": found.name,
        "scopes": found.scopes,
        "created": usage.stamp(found.created_at),
        "last_used": usage.stamp(use.at) if use else None,
        "last_used_from": use.network if use else None,
        "last_used_for": use.protocol if use else None,
    }
