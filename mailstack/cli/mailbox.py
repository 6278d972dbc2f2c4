"""`mailstack mailbox`: look at, check and rebuild a mailbox."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from mailstack.cli.context import Context, fail, group, show, talk
from mailstack.model.address import Address, AddressError

if TYPE_CHECKING:
    from mailstack.mailbox.store import MailStore

app = group("Look at, check and rebuild a mailbox.")


@app.command(name="list")
def list_(address: str) -> None:
    """Shows the folders of a mailbox with their counters."""
    from mailstack.model.errors import PermanentFailure

    mailbox = _address(address)
    with _store() as store:
        if not store.exists(mailbox):
            raise PermanentFailure(f"there is no mailbox of {mailbox}", status="1.1")
        account = store.account(mailbox)
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
    show(rows)


@app.command()
def verify(
    address: str,
    repair: bool = typer.Option(False, "--repair", help="Put right what can be; no message is ever removed."),
) -> None:
    """Compares a mailbox's index with its files; exits 65 when something is left to be done."""
    from mailstack.mailbox import recover

    mailbox = _address(address)
    with _store() as store:
        findings = recover.verify(store, mailbox, repair=repair)
    text = "\n".join(f"{'repaired' if each.repaired else 'found'}: {each.what}" for each in findings)
    show(findings, text or f"{mailbox}: everything is in order")
    if any(not each.repaired for each in findings):
        raise typer.Exit(os.EX_DATAERR)


@app.command()
def rebuild(address: str) -> None:
    """Makes a mailbox's index anew from its files; mail programs will fetch everything again."""
    from mailstack.mailbox import recover

    mailbox = _address(address)
    with _store() as store:
        rebuilt = recover.rebuild(store, mailbox)
    if rebuilt.set_aside:
        talk(f"the old database is kept as {rebuilt.set_aside}")
    show(rebuilt, f"{mailbox}: {rebuilt.messages} messages in {rebuilt.folders} folders")


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except AddressError as error:
        fail(os.EX_DATAERR, f"{text}: {error}")


@contextmanager
def _store() -> Iterator[MailStore]:
    from mailstack.mailbox.store import MailStore

    context = Context.load()
    store = MailStore(
        context.paths.mail, now=time.time, random_bytes=os.urandom, options=context.config.mailbox
    )
    try:
        yield store
    finally:
        store.close()
