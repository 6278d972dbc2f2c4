"""`mailstack ban`: networks that may not log in for a while."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from typing import Annotated

import typer

from mailstack.cli import usage
from mailstack.cli.context import Context, fail, group, show, talk
from mailstack.state.bans import Ban, Bans, Spared, parse_network

app = group("Networks that may not log in for a while, after too many wrong passwords.")

#: The longest ban an operator may type in: none is for ever.
MAX_DAYS = 365
_TIME = re.compile(r"(\d{1,6})([smhd])\Z")
_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

NetworkArgument = Annotated[
    str,
    typer.Argument(metavar="NETWORK", help="An address or network: 192.0.2.7, 192.0.2.0/24, 2001:db8::/64."),
]


@app.command("list")
def list_bans(
    ended: Annotated[
        bool, typer.Option("--all", help="Also those that are over and make the next one longer.")
    ] = False,
) -> None:
    """Lists the networks that may not log in now, why, and until when."""
    context = Context.load()
    now = time.time()
    with _bans(context) as bans:
        found = bans.found(now=now, ended=ended)
    show([_row(ban, now) for ban in found])
    if not found:
        talk("no network is shut out")
    _warn_if_off(context)


@app.command()
def add(
    network: NetworkArgument,
    time_: Annotated[
        str, typer.Option("--for", metavar="TIME", help="30m, 12h or 7d; at most a year.")
    ] = "1d",
    why: Annotated[str, typer.Option(metavar="TEXT", help="Why, for who looks at the list.")] = "",
) -> None:
    """Shuts a network out of 465, 587, IMAP, POP3 and ManageSieve at once; mail to port 25 still comes in.

    A single IPv6 address means its /64.
    """
    seconds = _seconds(time_)
    context = Context.load()
    now = time.time()
    with _bans(context) as bans:
        made = bans.add(network, now=now, seconds=seconds, why=why)
    show(_row(made, now), f"{made.network} may not log in until {usage.stamp(made.until)}")
    spared = Spared(context.config.bans).why(made.network.partition("/")[0])
    if spared:
        talk(f"warning: wrong passwords would never shut {made.network} out: {spared}")
    _warn_if_off(context)


@app.command()
def clear(
    network: Annotated[str, typer.Argument(metavar="[NETWORK]", help="As in the list.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Lift every ban.")] = False,
) -> None:
    """Lifts the bans of a network and of all inside it, and forgets its wrong passwords."""
    if bool(network) == everything:
        fail(os.EX_USAGE, "name a network, or say --all")
    with _bans(Context.load()) as bans:
        lifted = bans.clear(network)
    text = f"lifted: {', '.join(lifted)}"
    if not lifted:
        text = f"{parse_network(network)} was not shut out" if network else "no network was shut out"
    show({"lifted": lifted}, text)


@contextlib.contextmanager
def _bans(context: Context) -> Iterator[Bans]:
    bans = Bans(context.paths.state_db)
    try:
        yield bans
    finally:
        bans.close()


def _seconds(text: str) -> int:
    found = _TIME.match(text)
    seconds = int(found[1]) * _UNIT_S[found[2]] if found else 0
    if not 1 <= seconds <= MAX_DAYS * 86_400:
        fail(os.EX_USAGE, f"--for wants a time such as 30m, 12h or 7d, at most {MAX_DAYS}d")
    return seconds


def _row(ban: Ban, now: float) -> dict[str, object]:
    return {
        "network": ban.network,
        "since": usage.stamp(ban.since),
        "until": usage.stamp(ban.until),
        "in_force": ban.holds(now),
        "by": "operator" if ban.is_by_operator else "wrong passwords",
        "before": ban.step,
        "why": ban.why,
    }


def _warn_if_off(context: Context) -> None:
    if not context.config.bans.enabled:
        talk("warning: bans.enabled is off in the configuration, so nobody is shut out")
