"""`mailstack queue`: the outbound queue, seen and steered."""

from __future__ import annotations

import contextlib
import datetime
import io
import os
import pwd
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from mailstack.cli import arguments, queue_test
from mailstack.cli.context import Context, cell, fail, group, render, show, talk

if TYPE_CHECKING:
    from mailstack.delivery.holds import Scope
    from mailstack.delivery.listing import MessageView, RecipientView
    from mailstack.delivery.queue import Queue
    from mailstack.delivery.rows import Taken

app = group("The outbound queue.")
app.command("test")(queue_test.command)

#: More than any queue holds.
_ALL = 10_000_000
#: Characters of a far server's words in a list; 'queue show' has them all.
_MAX_SAID = 100

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Queue ids; see 'queue list'.")]
All = Annotated[bool, typer.Option("--all", help="Every message.")]
Owner = Annotated[str, typer.Option(metavar="ADDRESS", help="Every message of this local address.")]
Sender = Annotated[str, typer.Option(metavar="ADDRESS", help="What this account or foreign address sends.")]
SenderDomain = Annotated[str, typer.Option(metavar="DOMAIN", help="What addresses of this domain send.")]
Destination = Annotated[str, typer.Option(metavar="DOMAIN", help="What goes to this domain.")]


@app.command("list")
def list_messages(
    owner: Owner = "",
    limit: Annotated[int, typer.Option(min=0, max=_ALL, help="Messages at most; 0: all.")] = 1_000,
) -> None:
    """Lists what waits, oldest first: why, and what comes next."""
    from mailstack.delivery import listing

    owner = owner and str(arguments.address(owner))
    with opened() as queue:
        views = listing.messages(queue, owner=owner, limit=limit or _ALL)
        count = listing.count(queue)
    show([_row(view) for view in views], _table(views))
    if not owner and count > len(views):
        talk(f"{count - len(views)} more; see --limit, or 'queue summary'")


@app.command("show")
def show_message(
    queue_id: Annotated[str, typer.Argument(metavar="ID")],
) -> None:
    """Shows a message: its recipients, what the far servers said and meant, its header."""
    from mailstack.delivery import listing

    with opened() as queue:
        view = listing.message(queue, queue_id)
        header = listing.header(queue, queue_id).decode("utf-8", "replace").replace("\r\n", "\n")
    row = {**_row(view), "header": header}
    facts = {key: value for key, value in row.items() if key not in ("recipients", "header")}
    text = f"{render(facts)}\n\n{render(row['recipients'])}\n\n{header}"
    show(row, text)


@app.command()
def summary(
    limit: Annotated[int, typer.Option(min=1, max=_ALL, help="Destinations at most.")] = 20,
) -> None:
    """Shows the destinations with most recipients, and what they said last."""
    from mailstack.delivery import listing

    with opened() as queue:
        crowds, count = listing.crowds(queue, limit=limit), listing.count(queue)
    found = [
        {
            "destination": crowd.destination,
            "waiting": crowd.waiting,
            "running": crowd.running,
            "held": crowd.held,
            "oldest": _when(crowd.oldest_at),
            "next_try": _when(crowd.next_at),
            "why": crowd.why,
        }
        for crowd in crowds
    ]
    show({"messages": count, "destinations": found}, render(found) if found else "the queue is empty")


@app.command()
def retry(ids: Ids = None, everything: All = False, owner: Owner = "") -> None:
    """Tries waiting messages now instead of at their next time."""
    from mailstack.delivery import admin

    _change(ids, everything, owner, admin.retry, "recipient", "tried now", tells_held=True)


@app.command()
def hold(
    ids: Ids = None,
    everything: All = False,
    owner: Owner = "",
    sender: Sender = "",
    sender_domain: SenderDomain = "",
    destination: Destination = "",
    reason: Annotated[str, typer.Option(help="Why; with --sender, --sender-domain, --destination.")] = "",
) -> None:
    """Stops trying until 'release'; an attempt under way still ends.

    With --sender, --sender-domain or --destination also what comes later; see 'queue holds'.
    """
    from mailstack.delivery import admin, holds

    scope = _scope(sender, sender_domain, destination)
    if scope is None:
        if reason:
            fail(os.EX_USAGE, "--reason goes with --sender, --sender-domain or --destination")
        _change(ids, everything, owner, admin.hold, "message", "held", scopes=True)
        return
    _alone(ids, everything, owner)
    why, who = reason or "an operator said so", _operator()
    with _changing() as queue:
        count = holds.hold(queue, *scope, reason=why, who=who)
    show({"messages": count}, "")
    talk(f"{_counted(count, 'message')} held, and what comes")


@app.command()
def release(
    ids: Ids = None,
    everything: All = False,
    owner: Owner = "",
    sender: Sender = "",
    sender_domain: SenderDomain = "",
    destination: Destination = "",
) -> None:
    """Ends a hold; what no other hold covers is tried at once."""
    from mailstack.delivery import admin, holds

    scope = _scope(sender, sender_domain, destination)
    if scope is None:
        _change(ids, everything, owner, admin.release, "message", "released", scopes=True, tells_held=True)
        return
    _alone(ids, everything, owner)
    with _changing() as queue:
        count = holds.release(queue, *scope)
    show({"messages": count}, "")
    talk(f"{_counted(count, 'message')} released")


@app.command()
def purge(
    sender: Sender = "",
    sender_domain: SenderDomain = "",
    destination: Destination = "",
) -> None:
    """Takes out what such a hold covers; nobody gets a report, and the hold stays."""
    from mailstack.delivery import holds

    scope = _scope(sender, sender_domain, destination)
    if scope is None:
        fail(os.EX_USAGE, "say which: --sender ADDRESS, --sender-domain DOMAIN or --destination DOMAIN")
    with _changing() as queue, noting() as note:
        count = holds.purge(queue, *scope, note=note)
    show({"messages": count}, "")
    talk(f"{_counted(count, 'message')} gone; 'mailstack queue release' ends the hold")


@app.command("holds")
def list_holds() -> None:
    """Lists held senders, sending domains and destinations: why, by whom, since when."""
    from mailstack.delivery import holds

    with opened() as queue:
        found = [
            {
                "scope": hold.scope,
                "name": hold.name,
                "reason": hold.reason,
                "who": hold.who,
                "since": _when(hold.since),
                "ended_by": holds.ended_by(hold),
            }
            for hold in holds.listed(queue)
        ]
    show(found, render(found) if found else "nothing is held but single messages")


@app.command()
def bounce(ids: Ids = None, everything: All = False, owner: Owner = "") -> None:
    """Tries messages once more, now, and tells their senders when that fails."""
    from mailstack.delivery import admin

    _change(ids, everything, owner, admin.give_up, "recipient", "tried for the last time", tells_held=True)


@app.command()
def remove(ids: Ids = None, everything: All = False, owner: Owner = "") -> None:
    """Takes messages out; nobody gets a report."""
    from mailstack.delivery import admin

    with noting() as note:
        _change(ids, everything, owner, partial(admin.remove, note=note), "message", "gone")


@app.command()
def verify(
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended.")] = False,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="With --repair: queue whole files without rows again; may send twice."),
    ] = False,
) -> None:
    """Compares every row with its file; exits 65 when something is wrong and not mended.

    With --repair a damaged database is set aside, and its rows are made again from the
    message files; no daemon may be running then.
    """
    from mailstack.delivery import recover

    context = Context.load()
    findings: list[recover.Finding] = []
    damage = recover.damage_of(context.paths)
    if damage:
        if not repair:
            recover.check_database(context.paths)
        aside = recover.set_database_aside(context.paths, now=time.time())
        what = f"the database was unusable ({damage}); it lies in {aside}"
        findings.append(recover.Finding("queue.db", what, "recovered"))
    queue = _open(context)
    try:
        findings += recover.recover(queue, check_all=True, repair=repair, adopt=adopt and repair)
    finally:
        queue.close()
    findings += recover.quarantined(context.paths)
    lines = [f"{finding.action}: {finding.what}" for finding in findings]
    show(findings, "\n".join(lines) or "the queue is sound")
    if any(finding.is_alarm and finding.action == "reported" for finding in findings):
        fail(os.EX_DATAERR, "mend it with --repair")


def _change(
    ids: list[str] | None,
    everything: bool,
    owner: str,
    act: Callable[[Queue, list[str]], int],
    what: str,
    done: str,
    *,
    scopes: bool = False,
    tells_held: bool = False,
) -> None:
    """Does it to the messages that are meant.

    Args:
        scopes: --sender and its like would do too.
        tells_held: says how many are held afterwards.
    """
    from mailstack.delivery import admin

    if sum((bool(ids), everything, bool(owner))) != 1:
        other = "; or --sender, --sender-domain or --destination" if scopes else ""
        fail(os.EX_USAGE, f"name messages by ID, or --owner ADDRESS, or --all{other}")
    owner = owner and str(arguments.address(owner))
    with _changing() as queue:
        chosen = admin.select(queue, ids or (), owner=owner, everything=everything)
        count = act(queue, chosen)
        held = admin.held(queue, chosen) if tells_held else 0
    show({f"{what}s": count}, "")
    talk(f"{_counted(count, what)} {done}")
    if held:
        talk(f"{_counted(held, 'message')} still held; 'mailstack queue list' says by what")


@contextlib.contextmanager
def noting() -> Iterator[Callable[[Taken], None]]:
    """What writes into the mail log that an operator took something out."""
    from mailstack.state.maillog import MailLog

    who = _operator()
    log = MailLog(Context.load().paths.maillog_db, daemon="cli", now=time.time, stream=io.StringIO())
    try:
        yield lambda one: log.removed(one.queue_id, to=one.recipients, who=who, owner=one.owner)
    finally:
        log.close()


def _counted(count: int, what: str) -> str:
    return f"{count} {what} is" if count == 1 else f"{count} {what}s are"


def _scope(sender: str, sender_domain: str, destination: str) -> tuple[Scope, str] | None:
    """The one hold that is meant; None when single messages are."""
    given: list[tuple[Scope, str]] = [
        ("sender", sender),
        ("sender-domain", sender_domain),
        ("destination", destination),
    ]
    named = [(scope, name) for scope, name in given if name]
    if len(named) > 1:
        fail(os.EX_USAGE, "give one of --sender, --sender-domain and --destination")
    return named[0] if named else None


def _alone(ids: list[str] | None, everything: bool, owner: str) -> None:
    if ids or everything or owner:
        fail(os.EX_USAGE, "name messages, or a sender or domain, not both")


def _operator() -> str:
    """Who types, as far as the machine knows."""
    named = os.environ.get("SUDO_USER") or os.environ.get("USER")
    if named:
        return named
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"


@contextlib.contextmanager
def _changing() -> Iterator[Queue]:
    """The queue; afterwards the daemon is told to look."""
    from mailstack.net.bus import Bus

    context = Context.load()
    queue = _open(context)
    try:
        yield queue
    finally:
        queue.close()
    bus = Bus(context.paths.run, "cli")
    bus.publish("queue", {"event": "queued"})
    bus.close()


@contextlib.contextmanager
def opened() -> Iterator[Queue]:
    """The queue, to be looked at."""
    queue = _open(Context.load())
    try:
        yield queue
    finally:
        queue.close()


def _open(context: Context) -> Queue:
    from mailstack.delivery import recover
    from mailstack.delivery.queue import Queue
    from mailstack.model.errors import TemporaryFailure

    try:
        return Queue(context.paths, now=time.time, random_bytes=os.urandom, options=context.config.queue)
    except TemporaryFailure:
        recover.check_database(context.paths)  # which says what to do
        raise


def _row(view: MessageView) -> dict[str, object]:
    return {
        "id": view.queue_id,
        "accept_id": view.accept_id,
        "kind": view.kind,
        "priority": view.rank,
        "state": view.state,
        "sender": view.sender,
        "owner": view.owner,
        "size_octets": view.size_octets,
        "created": _when(view.created_at),
        "next_try": _when(view.next_at),
        "needs": view.needs,
        "damage": view.damage,
        "recipients": [_recipient(view, recipient) for recipient in view.recipients],
    }


def _recipient(message: MessageView, view: RecipientView) -> dict[str, object]:
    from mailstack.delivery import listing

    return {
        "address": view.address,
        "state": view.state,
        "tries": view.tries,
        "next_try": _when(view.next_at),
        "given_up": _when(view.given_up_at),
        "host": view.host,
        "reply": view.reply,
        "why": view.why,
        "outlook": listing.outlook(message, view, now=time.time()),
        "notify": view.notify,
    }


def _table(views: list[MessageView]) -> str:
    from mailstack.delivery import listing

    if not views:
        return "the queue is empty"
    now = time.time()
    return render(
        [
            {
                "id": view.queue_id,
                "state": view.state,
                "created": _when(view.created_at),
                "octets": view.size_octets,
                "sender": view.sender or "<>",
                "recipients": ", ".join(r.address for r in view.recipients[:3])
                + (f" and {len(view.recipients) - 3} more" if len(view.recipients) > 3 else ""),
                "why": next((r.why for r in _open_ones(view) if r.why), ""),
                "what comes": next((listing.outlook(view, r, now=now) for r in _open_ones(view)), ""),
                "what was said": next((_said(r) for r in _open_ones(view) if r.reply), ""),
            }
            for view in views
        ]
    )


def _said(view: RecipientView) -> str:
    """The far server's own words, as many as a list has room for."""
    said = cell(f"{view.host}: {view.reply}" if view.host else view.reply)
    return said if len(said) <= _MAX_SAID else said[: _MAX_SAID - 3] + "..."


def _open_ones(view: MessageView) -> list[RecipientView]:
    return [r for r in view.recipients if r.state not in ("delivered", "failed")]


def _when(at: float | None) -> str | None:
    """ISO 8601 in UTC; a clock beyond all calendars gives the bare number."""
    if at is None:
        return None
    try:
        return datetime.datetime.fromtimestamp(int(at), datetime.UTC).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return str(at)
