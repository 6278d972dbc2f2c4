"""`mailstack alias`: other names, groups, temporary addresses."""

from __future__ import annotations

import datetime
import os
from typing import Annotated, Literal

import typer

from mailstack.cli.context import Context, fail, group, show, talk
from mailstack.cli.directory_access import check_receives, check_separate, known_domain, reader, writer
from mailstack.directory.names import any_address
from mailstack.model.address import Address
from mailstack.model.directory import Alias

app = group("Other names of addresses, groups, temporary addresses.")

Posters = Literal["members", "domain", "listed", "all"]
DAY_S = 86_400


@app.command()
def add(
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="The new name, such as sales@example.org.")],
    targets: Annotated[
        list[str], typer.Argument(metavar="TARGET...", help="Where its mail goes; may be outside.")
    ],
    expires: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="Refuse it after this day (2026-12-31) or moment (2026-12-31T18:00+01:00); UTC if no zone.",
        ),
    ] = None,
    posters: Annotated[
        Posters | None,
        typer.Option(
            help="Who may post: all (default with one target), domain (default of a group: addresses of its"
            " own domain), members, or listed (--poster)."
        ),
    ] = None,
    poster: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS", help="May post; give it again for more.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="In place of an alias of that name, with all its settings.")
    ] = False,
) -> None:
    """Makes an alias; with several targets, a group.

    One target: another name of a mailbox, which its owner may also send as.  Several: each
    gets a copy.  Targets of this server must exist; targets outside are forwarded to, with
    a rewritten sender (SRS).  The alias itself as its target: its mail is passed on as it is to
    the [[queue.route]] of its domain, such as a mailing-list manager.
    """
    expires_at = None if expires is None else parse_expiry(expires)
    check_separate(targets)
    context = Context.load()
    check_receives(context, alias)
    with reader(context) as found:
        before = found.find(any_address(alias)) if replace else None
    with writer(context) as directory:
        made = directory.aliases.add(
            alias, targets, expires_at=expires_at, posters=posters, listed=poster or [], replaces=replace
        )
    if isinstance(before, Alias):
        _forget(context, made.address, set(before.targets) - set(made.targets))
    show(_row(made), f"added {made.address}")
    if made.is_passed_on and not any(
        r.host and r.domain.lower() == made.address.domain for r in context.config.queue.route
    ):
        talk(f"no [[queue.route]] names {made.address.domain}: add one, or its mail does not leave")
    if len(made.targets) > 1 and posters is None and not poster:
        talk(f"only {made.address.domain} may post to this group; change that with --posters")


@app.command("list")
def list_aliases(
    domain: Annotated[str, typer.Argument(metavar="[DOMAIN]", help="Only this domain.")] = "",
) -> None:
    """Lists aliases and groups with their targets."""
    with reader() as directory:
        domain = domain and known_domain(directory, domain).name
        show([_row(alias) for alias in directory.aliases(domain)])


@app.command()
def remove(alias: Annotated[str, typer.Argument(metavar="ALIAS", help="The name to remove.")]) -> None:
    """Removes an alias; mail to it is refused, also where a catch-all exists."""
    from mailstack.state.forward_targets import ForwardTargets

    context = Context.load()
    with writer(context) as directory:
        gone = directory.aliases.remove(alias)
    table = ForwardTargets(context.paths.state_db)
    table.forget(gone.address)
    table.close()
    show({"removed": str(gone.address)}, f"removed {gone.address}")


def _forget(context: Context, alias: Address, gone: set[str]) -> None:
    """A target that is left out and comes back later starts anew."""
    from mailstack.state.forward_targets import ForwardTargets

    table = ForwardTargets(context.paths.state_db)
    for target in gone:
        table.resume(alias, any_address(target))
    table.close()


def parse_expiry(text: str) -> float:
    """Unix seconds after which an alias is refused; a bare date counts to its end, in UTC."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        fail(os.EX_USAGE, f"{text!r} is not a date such as 2026-12-31 or 2026-12-31T18:00")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return moment.timestamp() + (DAY_S if len(text) <= len("2026-12-31") else 0)


def _row(alias: Alias) -> dict[str, object]:
    expires = None
    if alias.expires_at is not None:
        moment = datetime.datetime.fromtimestamp(alias.expires_at, datetime.UTC)
        expires = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "alias": str(alias.address),
        "targets": alias.targets,
        "posters": alias.posters,
        "listed": alias.listed,
        "expires": expires,
    }
