"""`mailstack user stopped|release`: accounts that looked stolen, and their mail in the queue."""

from __future__ import annotations

import datetime
import os
import time
from typing import TYPE_CHECKING, Annotated

import typer

from mailstack.cli.context import Context, fail, show, talk
from mailstack.cli.directory_access import account, reader

if TYPE_CHECKING:
    from mailstack.model.directory import Account

AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="Such as alice@example.org.")]


def register(app: typer.Typer) -> None:
    """Puts the commands into the group `user`."""
    app.command()(stopped)
    app.command()(release)


def of(context: Context, account: Account) -> dict[str, object]:
    """Why an account is stopped; nothing for all others."""
    from mailstack.state.containment import Containment

    table = Containment(context.paths.state_db)
    try:
        found = table.find(account.id)
    finally:
        table.close()
    return {} if found is None else {"stopped": found.why}


def stopped() -> None:
    """Lists accounts that send nothing, because their mail looks like a thief's."""
    from mailstack.state.containment import Containment

    context = Context.load()
    table = Containment(context.paths.state_db)
    rows = []
    try:
        with reader(context) as directory:
            for found in table.listed():
                known = directory.account_by_id(found.account_id)
                since = datetime.datetime.fromtimestamp(found.since, datetime.UTC)
                rows.append(
                    {
                        "address": str(known.address) if known is not None else "",
                        "since": f"{since:%Y-%m-%dT%H:%M:%SZ}",
                        "score": round(found.score, 2),
                        "why": found.why,
                    }
                )
    finally:
        table.close()
    if not rows:
        talk("no account is stopped")
    show(rows, None if rows else "")


def release(
    address: AddressArgument,
    purge: Annotated[
        bool, typer.Option("--purge", help="Throw away what is held, without a report to anybody.")
    ] = False,
) -> None:
    """Lets an account that was stopped send again, and what is held go out.

    For a day nothing stops it again; see [containment] in the configuration.
    """
    from mailstack.cli.queue import noting
    from mailstack.delivery import holds
    from mailstack.delivery.queue import Queue
    from mailstack.state.containment import Containment

    context = Context.load()
    with reader(context) as directory:
        found = account(directory, address)
    name = str(found.address)
    table = Containment(context.paths.state_db)
    queue = Queue(context.paths, now=time.time, random_bytes=os.urandom, options=context.config.queue)
    try:
        stands = holds.find(queue, "sender", name) is not None
        if table.find(found.id) is None and not stands:
            fail(os.EX_DATAERR, f"{name} is not stopped; 'mailstack user stopped' lists who is")
        purged = 0
        if stands and purge:
            with noting() as note:
                purged = holds.purge(queue, "sender", name, note=note)
        released = holds.release(queue, "sender", name) if stands else 0
        # Last: a command that dies in between can be given again.
        table.release(found.id, now=time.time())
    finally:
        queue.close()
        table.close()
    text = f"{name} may send again; {released} held messages go out"
    if purge:
        text = f"{name} may send again; {purged} held messages are thrown away"
    show({"address": name, "released": released, "purged": purged}, text)
