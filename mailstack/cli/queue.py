"""`mailstack queue`: the outbound queue, seen and steered."""

from __future__ import annotations

import contextlib
import datetime
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from mailstack.cli.context import Context, fail, group, render, show, talk

if TYPE_CHECKING:
    from mailstack.delivery.admin import MessageView, RecipientView
    from mailstack.delivery.queue import Queue

app = group("The outbound queue.")

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Queue ids; see 'queue list'.")]
All = Annotated[bool, typer.Option("--all", help="Every message.")]
Owner = Annotated[str, typer.Option(metavar="ADDRESS", help="Every message of this local address.")]


@app.command("list")
def list_messages(owner: Owner = "") -> None:
    """Lists what waits, oldest first."""
    from mailstack.delivery import admin

    with _queue() as queue:
        views = admin.messages(queue, owner=owner)
    show([_row(view) for view in views], _table(views))


@app.command("show")
def show_message(
    queue_id: Annotated[str, typer.Argument(metavar="ID")],
) -> None:
    """Shows a message: its recipients, what the far servers said, its header."""
    from mailstack.delivery import admin

    with _queue() as queue:
        view = admin.message(queue, queue_id)
        header = admin.header(queue, queue_id).decode("utf-8", "replace").replace("\r\n", "\n")
    row = {**_row(view), "header": header}
    facts = {key: value for key, value in row.items() if key not in ("recipients", "header")}
    text = f"{render(facts)}\n\n{render(row['recipients'])}\n\n{_printable(header)}"
    show(row, text)


@app.command()
def retry(ids: Ids = None, everything: All = False, owner: Owner = "") -> None:
    """Tries waiting messages now instead of at their next time."""
    from mailstack.delivery import admin

    _change(ids, everything, owner, admin.retry, "recipient", "tried now")


@app.command()
def hold(ids: Ids = None, everything: All = False, owner: Owner = "") -> None:
    """Stops trying until 'release'; an attempt under way still ends."""
    from mailstack.delivery import admin

    _change(ids, everything, owner, admin.hold, "message", "held")


@app.command()
def release(ids: Ids = None, everything: All = False, owner: Owner = "") -> None:
    """Ends a hold; the messages are tried at once."""
    from mailstack.delivery import admin

    _change(ids, everything, owner, admin.release, "message", "released")


@app.command()
def remove(ids: Ids = None, everything: All = False, owner: Owner = "") -> None:
    """Takes messages out; nobody gets a report."""
    from mailstack.delivery import admin

    _change(ids, everything, owner, admin.remove, "message", "gone")


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
) -> None:
    from mailstack.delivery import admin
    from mailstack.net.bus import Bus

    if sum((bool(ids), everything, bool(owner))) != 1:
        fail(os.EX_USAGE, "name messages by ID, or --owner ADDRESS, or --all")
    context = Context.load()
    queue = _open(context)
    try:
        count = act(queue, admin.select(queue, ids or (), owner=owner, everything=everything))
    finally:
        queue.close()
    bus = Bus(context.paths.run, "cli")
    bus.publish("queue", {"event": "queued"})
    bus.close()
    show({f"{what}s": count}, "")
    talk(f"{count} {what} is {done}" if count == 1 else f"{count} {what}s are {done}")


@contextlib.contextmanager
def _queue() -> Iterator[Queue]:
    queue = _open(Context.load())
    try:
        yield queue
    finally:
        queue.close()


def _open(context: Context) -> Queue:
    from mailstack.delivery.queue import Queue

    return Queue(context.paths, now=time.time, random_bytes=os.urandom, options=context.config.queue)


def _row(view: MessageView) -> dict[str, object]:
    return {
        "id": view.queue_id,
        "accept_id": view.accept_id,
        "kind": view.kind,
        "state": view.state,
        "sender": view.sender,
        "owner": view.owner,
        "size_octets": view.size_octets,
        "created": _when(view.created_at),
        "next_try": _when(view.next_at),
        "needs": view.needs,
        "damage": view.damage,
        "recipients": [_recipient(recipient) for recipient in view.recipients],
    }


def _recipient(view: RecipientView) -> dict[str, object]:
    return {
        "address": view.address,
        "state": view.state,
        "tries": view.tries,
        "next_try": _when(view.next_at),
        "host": view.host,
        "reply": view.reply,
        "notify": view.notify,
    }


def _table(views: list[MessageView]) -> str:
    if not views:
        return "the queue is empty"
    return render(
        [
            {
                "id": view.queue_id,
                "state": view.state,
                "created": _when(view.created_at),
                "next try": _when(view.next_at),
                "octets": view.size_octets,
                "sender": view.sender or "<>",
                "recipients": ", ".join(r.address for r in view.recipients[:3])
                + (f" and {len(view.recipients) - 3} more" if len(view.recipients) > 3 else ""),
                "last answer": next((r.reply[:80] for r in view.recipients if r.reply), ""),
            }
            for view in views
        ]
    )


def _when(at: float | None) -> str | None:
    """ISO 8601 in UTC; a clock beyond all calendars gives the bare number."""
    if at is None:
        return None
    try:
        return datetime.datetime.fromtimestamp(int(at), datetime.UTC).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return str(at)


def _printable(text: str) -> str:
    """Safe for a terminal, line by line."""
    return "\n".join(
        "".join(c if c.isprintable() or c == "\t" else "?" for c in line) for line in text.split("\n")
    )
