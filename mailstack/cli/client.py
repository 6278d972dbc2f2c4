"""`mailstack client`: what port 25 remembers about the clients that connect to it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from mailstack.cli import usage
from mailstack.cli.context import Context, fail, group, show, talk

app = group("Clients of port 25 that guess recipients or write to spam traps.")

ClientArgument = Annotated[
    str, typer.Argument(metavar="[ADDRESS]", help="IP address or network, as 'client list' shows it.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Everybody, the greylist too.")]


@app.command("list")
def list_clients() -> None:
    """Lists clients that are put off for guessing, and networks that wrote to spam traps."""
    from mailstack.smtp.options import cap
    from mailstack.state.guesses import Rule

    context = Context.load()
    options, now = context.config.mx, time.time()
    most = cap(options.guesses)
    guessing: dict[str, Any] = {}
    with _tables(context) as (guesses, traps, _):
        if most is not None:
            rule = Rule(most, options.guesses_ratio, options.guesses_window_s)
            guessing = guesses.guessing(rule, now=now)
        hits = [hit for hit in traps.listed() if hit[1] > now - options.trap_s]
    networks: dict[str, list[tuple[float, str]]] = {}
    for network, at, trap in hits:
        networks.setdefault(network, []).append((at, trap))
    rows = [
        {
            "client": client,
            "why": "guesses recipients",
            "count": count.unknown,
            "until": usage.stamp(until),
            "traps": [],
        }
        for client, (until, count) in sorted(guessing.items())
    ] + [
        {
            "client": network,
            "why": "writes to spam traps" if len(found) >= options.trap_hits else "wrote to a spam trap",
            "count": len(found),
            "until": usage.stamp(max(at for at, _ in found) + options.trap_s),
            "traps": sorted({trap for _, trap in found}),
        }
        for network, found in sorted(networks.items())
    ]
    show(rows, None if rows else "")
    if not rows:
        talk("no client guesses recipients or wrote to a spam trap")


@app.command()
def forget(client: ClientArgument = "", everybody: AllOption = False) -> None:
    """Forgets what a client did; takes effect within a second."""
    from mailstack.model.network import network_of, unmap

    if bool(client) == everybody:
        fail(os.EX_USAGE, "name one address or network, or say --all")
    address = unmap(client)
    with _tables(Context.load()) as (guesses, traps, greylist):
        if everybody:
            done = guesses.forget() + traps.forget() + greylist.forget()
        else:
            # One that is a network already stays what it is.
            done = guesses.forget(network_of(address, 32, 64)) + traps.forget(network_of(address, 24, 64))
    if not done and not everybody:
        fail(os.EX_DATAERR, f"nothing is remembered about {client}; 'mailstack client list' shows all")
    show({"forgotten": done}, f"forgot {done}")


@contextlib.contextmanager
def _tables(context: Context) -> Iterator[Any]:
    from mailstack.state.greylist import Greylist
    from mailstack.state.guesses import Guesses
    from mailstack.state.traps import Traps

    path = context.paths.state_db
    tables = (Guesses(path), Traps(path), Greylist(path))
    try:
        yield tables
    finally:
        for table in tables:
            table.close()
