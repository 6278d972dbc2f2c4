"""`mailstack forward`: redirect an address to others; see and steer what becomes of its targets."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from mailstack.cli.context import Context, group, show, talk
from mailstack.cli.directory_access import account, check_separate, reader, writer

if TYPE_CHECKING:
    from mailstack.app.redirections import TargetView
    from mailstack.model.address import Address
    from mailstack.model.directory import Account, Alias
    from mailstack.state.forward_targets import ForwardTargets

app = group("Redirects the mail of an address to others.")

AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="The address that forwards.")]
TargetArgument = Annotated[str, typer.Argument(metavar="TARGET", help="Where to.")]


@app.command("set")
def set_forward(
    address: AddressArgument,
    targets: Annotated[list[str], typer.Argument(metavar="TARGET...", help="Where to; may be outside.")],
    keep: Annotated[
        bool, typer.Option("--keep/--no-keep", help="Also keep a copy in the mailbox (default: no).")
    ] = False,
    ask: Annotated[
        bool,
        typer.Option("--ask", help="Ask new targets outside first, by mail; they get nothing until then."),
    ] = False,
    notice: Annotated[
        bool, typer.Option("--notice/--no-notice", help="Tell the owner, by mail (default: yes).")
    ] = True,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Ask the DNS what could stand in the way.")
    ] = True,
) -> None:
    """Forwards the mail of an address; replaces the redirection it had.

    Mail that leaves gets a rewritten sender in this address's domain (SRS), so that the
    next server accepts it and bounces find their way.  Spam is not forwarded; it goes to
    the address's own Spam folder.  Targets set here need no confirmation, unless with --ask;
    setting a target that was asked again without it confirms it.
    """
    from mailstack.app.redirections import announcer, first_circle, outside

    check_separate(targets)
    context = Context.load()
    words: dict[str, str] = {}
    before = _found(context, address)
    with writer(context) as directory:
        if ask:
            per_day = context.config.forwarding.confirm_mails_per_day
            changed, words = directory.confirmations.redirect(
                address, targets, keep=keep, mails_per_day=per_day
            )
        else:
            changed = directory.settings.set_redirection(address, targets, keep=keep)
    _forget(before, changed)
    with reader(context) as found:
        leaving = outside(found, targets)
        if notice or words:
            with announcer(context.config, found) as letters:
                letters.ask(changed, words)
                if notice:
                    letters.changed(changed)
        circle = first_circle(found, changed)
    kept = " and keeps a copy" if keep else ""
    show(_row(changed), f"{changed.address} forwards to {', '.join(targets)}{kept}{_asked(words)}")
    if circle:
        talk(f"warning: {circle} sends it back here: a circle; mail stays where it has come to")
    if changed.kind == "catchall" and leaving:
        talk("warning: a catch-all that forwards outside passes spam on; other servers will trust you less")
    if check and leaving:
        _warn(context, changed, leaving)


@app.command("show")
def show_forward(address: AddressArgument) -> None:
    """Shows where an address or group forwards to, and how its targets take it."""
    from mailstack.app.redirections import record, view

    context = Context.load()
    found = _found(context, address)
    views, past = view(context.config, found), record(context.config, found.address)
    row = {**_row(found), "states": [_state(one) for one in views]}
    row |= {"forwarded_20_days": past.forwarded, "warned_20_days": past.warned}
    lines = [_line(one) for one in views] or [f"{found.address} does not forward"]
    if row["keep"] is not None:
        lines.append("a copy stays in the mailbox" if row["keep"] else "no copy stays in the mailbox")
    if past.warned:
        lines.append(
            f"{past.warned} of {past.forwarded} messages sent on in 20 days may have been refused for their"
            f" sender's DMARC policy; 'mailstack log show {found.address}' says which"
        )
    show(row, "\n".join(lines))


@app.command("list")
def list_paused() -> None:
    """Lists the targets that are paused, of all addresses."""
    with _targets() as table:
        found = table.paused()
    show(
        [
            {
                "address": one.owner,
                "target": one.target,
                "since": _when(one.paused_at),
                "next_test": _when(one.probe_at),
                "refusals": one.failures,
                "answer": one.why,
            }
            for one in found
        ],
        None if found else "no target is paused",
    )


@app.command()
def clear(address: AddressArgument) -> None:
    """Ends forwarding; mail stays in the mailbox again."""
    from mailstack.directory.names import any_address

    with writer() as directory:
        was_set = directory.settings.clear_redirection(address)
    with _targets() as table:
        table.forget(any_address(address))
    show({"address": address, "cleared": was_set}, "cleared" if was_set else f"{address} did not forward")


@app.command()
def pause(
    address: AddressArgument,
    target: TargetArgument,
    why: Annotated[str, typer.Option(metavar="TEXT", help="For whoever looks at it later.")] = "",
) -> None:
    """Sends nothing on to a target until 'resume'; mail stays in the mailbox, an alias says 'later'."""
    owner, to = _pair(address, target)
    with _targets() as table:
        table.pause(owner, to, why=why or "paused by hand", now=time.time())
    show({"address": str(owner), "target": str(to), "state": "paused"}, f"{owner}: {to} is paused")
    if to.key not in _keys(_found(Context.load(), address)):
        talk(f"{owner} does not forward to {to}; this counts for rules (Sieve) that send there")


@app.command()
def resume(address: AddressArgument, target: TargetArgument) -> None:
    """Sends mail on to a paused target again, and forgets its refusals."""
    owner, to = _pair(address, target)
    with _targets() as table:
        was_paused = table.resume(owner, to)
    text = f"{owner}: mail is sent on to {to} again" if was_paused else f"{owner}: {to} was not paused"
    show({"address": str(owner), "target": str(to), "resumed": was_paused}, text)


@app.command()
def confirm(
    word: Annotated[
        list[str], typer.Argument(metavar="WORD", help="Out of the letter; spaces do not matter.")
    ],
) -> None:
    """A target that was asked says yes: from now on it gets the mail."""
    context = Context.load()
    with writer(context) as directory:
        owner, target = directory.confirmations.confirm(
            "".join(word), days=context.config.forwarding.confirm_days
        )
    show({"address": str(owner), "target": str(target)}, f"{owner}: mail is sent on to {target} from now on")


# -- inside ---------------------------------------------------------------------------------


def _forget(before: Account | Alias, changed: Account) -> None:
    """A target that is left out and set again later starts anew."""
    from mailstack.model.address import Address
    from mailstack.model.directory import Account

    if not isinstance(before, Account) or before.redirection is None or changed.redirection is None:
        return
    gone = set(before.redirection.targets) - set(changed.redirection.targets)
    if gone:
        with _targets() as table:
            for target in gone:
                table.resume(changed.address, Address.parse(target))


def _warn(context: Context, changed: Account, leaving: list[Address]) -> None:
    from mailstack.app.forward_check import find_warnings

    routed = {route.domain.lower() for route in context.config.queue.route if route.host}
    asked = [target for target in leaving if target.domain not in routed]
    for text in asyncio.run(find_warnings(context.config, changed.address, asked)) if asked else ():
        talk(f"warning: {text}")


def _found(context: Context, text: str) -> Account | Alias:
    from mailstack.directory.names import any_address
    from mailstack.model.directory import Alias

    with reader(context) as directory:
        found = directory.find(any_address(text))
        return found if isinstance(found, Alias) else account(directory, text)


def _pair(address: str, target: str) -> tuple[Address, Address]:
    """Owner and target; the owner is an address here."""
    from mailstack.directory.names import any_address

    return _found(Context.load(), address).address, any_address(target)


@contextmanager
def _targets() -> Iterator[ForwardTargets]:
    from mailstack.state.forward_targets import ForwardTargets

    table = ForwardTargets(Context.load().paths.state_db)
    try:
        yield table
    finally:
        table.close()


def _keys(found: Account | Alias) -> set[str]:
    """The targets, as they are compared."""
    from mailstack.model.address import Address
    from mailstack.model.directory import Account

    forward = found.redirection if isinstance(found, Account) else found
    return set() if forward is None else {Address.parse(text).key for text in forward.targets}


def _row(found: Account | Alias) -> dict[str, object]:
    from mailstack.model.directory import Account

    if not isinstance(found, Account):
        return {"address": str(found.address), "targets": found.targets, "keep": None}
    forward = found.redirection
    return {
        "address": str(found.address),
        "targets": [] if forward is None else forward.targets,
        "keep": None if forward is None else forward.keep,
    }


def _asked(words: dict[str, str]) -> str:
    return f" once confirmed; asked by mail: {', '.join(words)}" if words else ""


def _state(one: TargetView) -> dict[str, object]:
    return {
        "target": one.target,
        "state": one.state,
        "refusals": one.refusals,
        "answer": one.answer,
        "since": _when(one.since),
        "next_test": _when(one.next_test),
    }


def _line(one: TargetView) -> str:
    match one.state:
        case "pending":
            return f"{one.target}  was asked and has not said yet that it wants the mail"
        case "paused":
            test = f"; next test {_when(one.next_test)}" if one.next_test else ""
            return f"{one.target}  paused since {_when(one.since)}: {one.answer}{test}"
        case "open":
            refusals = f"  refused the last {one.refusals}: {one.answer}" if one.refusals else ""
            return f"{one.target}{refusals}"


def _when(at: float | None) -> str | None:
    if at is None:
        return None
    return datetime.datetime.fromtimestamp(int(at), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
