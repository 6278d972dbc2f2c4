"""`mailstack mailbox merge`: one folder of two."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from mailstack.cli import arguments, usage
from mailstack.cli.context import Context, fail, show


def merge(
    address: str,
    source: Annotated[str, typer.Argument(metavar="FROM", help='Such as "Sent Items"; removed afterwards.')],
    target: Annotated[str, typer.Argument(metavar="TO", help="Such as Sent.")],
) -> None:
    """Moves all messages and sub-folders of one folder into another, and removes it."""
    from mailstack.mailbox.merge import merge as merge_folders
    from mailstack.model.mailbox import MailboxError

    mailbox = arguments.address(address)
    with usage.store(Context.load()) as store:
        usage.expect(store, mailbox)
        try:
            done = merge_folders(store.account(mailbox), source, target)
        except MailboxError as error:
            fail(os.EX_DATAERR, error.text)
    lines = [f"{usage.messages(done.messages)} moved from {source} to {target}"]
    lines += [f"moved as it is: {name}" for name in done.folders]
    if done.special_use:
        lines.append(f"{target} is {done.special_use} now")
    usage.tell(Context.load(), mailbox, {"", source, target, *done.folders})
    show(done, "\n".join(lines))
