"""`mailstack mailbox`: look at, check and rebuild a mailbox."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mailstack.cli import arguments, usage
from mailstack.cli.context import Context, fail, group, render, show, talk
from mailstack.cli.mailbox_merge import merge

if TYPE_CHECKING:
    from mailstack.mailbox.restore import Kept, Restored
    from mailstack.mailbox.store import Account as StoredAccount
    from mailstack.mailbox.store import MailStore
    from mailstack.model.address import Address

app = group("Look at, check and rebuild a mailbox.")


@app.command(name="list")
def list_(address: str) -> None:
    """Shows the folders of a mailbox with their counters."""
    mailbox = arguments.address(address)
    with usage.store(Context.load()) as store:
        usage.expect(store, mailbox)
        account = _limited(store, mailbox)
        rows = []
        for entry in account.folders():
            if not entry.exists:
                continue
            status = account.status(entry.name)
            rows.append(
                {
                    "folder": status.name,
                    "messages": status.messages,
                    "unseen": status.unseen,
                    "octets": status.size_octets,
                    "special_use": entry.special_use or None,
                    "uid_validity": status.uid_validity,
                    "uid_next": status.uid_next,
                }
            )
        used = usage.line(account.quota())
    show(rows, f"{render(rows)}\n\n{used}")


@app.command()
def verify(
    address: str,
    repair: bool = typer.Option(False, "--repair", help="Put right what can be; no message is ever removed."),
) -> None:
    """Compares a mailbox's index with its files; exits 65 when something is left to be done."""
    from mailstack.mailbox import recover

    mailbox, context = arguments.address(address), Context.load()
    with usage.store(context) as store:
        usage.expect(store, mailbox)
        findings = recover.verify(store, mailbox, repair=repair)
        if any(each.repaired for each in findings):
            usage.tell_all(context, store, mailbox)
    text = "\n".join(f"{'repaired' if each.repaired else 'found'}: {each.what}" for each in findings)
    if findings and not repair and "--repair" not in text:
        text += f"\nmailstack mailbox verify {mailbox} --repair puts it right"
    show(findings, text or f"{mailbox}: everything is in order")
    if any(not each.repaired for each in findings):
        raise typer.Exit(os.EX_DATAERR)


@app.command()
def rebuild(address: str) -> None:
    """Makes a mailbox's index anew from its files; mail programs will fetch everything again."""
    from mailstack.mailbox import recover

    mailbox, context = arguments.address(address), Context.load()
    with usage.store(context) as store:
        usage.expect(store, mailbox)
        rebuilt = recover.rebuild(store, mailbox)
        usage.tell_all(context, store, mailbox)
    if rebuilt.set_aside:
        talk(f"the old database is kept as {rebuilt.set_aside}")
    show(rebuilt, f"{mailbox}: {usage.messages(rebuilt.messages)} in {rebuilt.folders} folders")


@app.command()
def restore(
    address: str,
    folder: Annotated[str, typer.Option(metavar="F", help="Only what was in this folder.")] = "",
    since: Annotated[
        str,
        typer.Option(
            metavar="T",
            help="Only what was removed since then: 2h, 3d, 2026-11-22 or 2026-11-22T13:00 (UTC).",
        ),
    ] = "",
    message_id: Annotated[
        list[str] | None, typer.Option("--message-id", metavar="ID", help="Only this message; repeatable.")
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="Only show what could be brought back.")] = False,
) -> None:
    """Brings back expunged messages and deleted folders, with flags, keywords and date.

    They are kept for mailbox.expunged_keep_days.  A message the mailbox still has is left
    alone, so doing it again doubles nothing.
    """
    from mailstack.mailbox import restore as kept

    mailbox = arguments.address(address)
    start = arguments.moment("--since", since, time.time()) if since else 0.0
    folder = arguments.folder(folder) if folder else ""
    wanted = kept.Wanted(folder, start, frozenset(message_id or ()))
    with usage.store(Context.load()) as store:
        found = kept.find(store, mailbox, wanted)
        folders = [] if wanted.message_ids else kept.deleted_folders(store, mailbox, wanted)
        before = usage.folders(store, mailbox)
        if folder and not found and folder not in before and folder not in folders:
            fail(os.EX_DATAERR, f"there is no folder {folder}, and nothing that was in it is kept")
        if list_only:
            _show_kept(found, [name for name in folders if name not in before])
            return
        done = kept.restore(store, mailbox, found)
        kept.restore_folders(store, mailbox, folders)
        made = sorted(usage.folders(store, mailbox) - before)
    usage.tell(Context.load(), mailbox, {each.folder for each in done} | set(made))
    _show_restored(done, made)


def _show_kept(found: Sequence[Kept], gone: Sequence[str]) -> None:
    rows = [_kept_row(each) for each in found]
    text = render(rows) if rows else "no message could be brought back"
    if gone:
        text += f"\n\ndeleted folders: {', '.join(gone)}"
    # A folder without anything that was in it is a row as well.
    nothing = dict.fromkeys(("removed", "folder", "from", "subject", "message_id"))
    show(rows + [nothing | {"folder": name} for name in gone], text)


def _kept_row(kept: Kept) -> dict[str, object]:
    from mailstack.mailbox.restore import head

    read = head(kept)
    return {
        "removed": usage.stamp(kept.at),
        "folder": kept.folder,
        "from": read.sender,
        "subject": read.subject,
        "message_id": read.message_id,
    }


def _show_restored(done: Sequence[Restored], folders: Sequence[str]) -> None:
    counts = {
        outcome: sum(each.outcome == outcome for each in done)
        for outcome in ("restored", "there", "unreadable")
    }
    lines = [f"{usage.messages(counts['restored'])} restored"]
    if folders:
        lines.append(f"deleted folders made again: {', '.join(folders)}")
    if counts["there"]:
        lines.append(f"{usage.messages(counts['there'])} left alone: still in the mailbox")
    if counts["unreadable"]:
        lines.append(f"{usage.messages(counts['unreadable'])} cannot be read")
    show({**counts, "folders": folders, "messages": done}, "\n".join(lines))
    if counts["unreadable"]:
        raise typer.Exit(os.EX_DATAERR)


app.command()(merge)


def _limited(store: MailStore, mailbox: Address) -> StoredAccount:
    """With the limits it has, also while the directory does not know it any more."""
    from mailstack.cli.directory_access import reader
    from mailstack.model.directory import Account

    with reader() as directory:
        found = directory.find(mailbox)
    return store.of(found) if isinstance(found, Account) else store.account(mailbox)
