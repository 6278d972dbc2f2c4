"""`mailstack user grant|revoke|limits`: as whom an address may send, and how much."""

from __future__ import annotations

import os
import time
from typing import Annotated, Literal

import typer

from mailstack.cli import usage
from mailstack.cli.context import Context, fail, show
from mailstack.cli.directory_access import account, reader, writer
from mailstack.directory import names
from mailstack.directory.reader import Directory
from mailstack.directory.writer import DirectoryWriter
from mailstack.model.directory import NO_LIMIT, Account
from mailstack.model.errors import PermanentFailure
from mailstack.model.sending import LIMITS, Used

#: Rows in one transaction: daemons count messages in the same database.
_LEARNED_AT_ONCE = 1_000

What = Literal["identity", "domain", "list"]
AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="Such as alice@example.org.")]
WhatArgument = Annotated[
    What,
    typer.Argument(
        help="identity: one more address; domain: every address of a domain; list: what has a List-Id may be"
        " from anybody, for mailing-list software that posts as its members."
    ),
]
SenderArgument = Annotated[
    str, typer.Argument(metavar="[SENDER]", help="The address or domain; nothing for list.")
]
_LIMIT_HELP = "A number; none: no limit; default: the plan's."
NumberOption = Annotated[str | None, typer.Option(metavar="N", help=_LIMIT_HELP)]


def register(app: typer.Typer) -> None:
    """Puts the commands into the group `user`."""
    app.command()(grant)
    app.command()(revoke)
    app.command()(limits)
    app.command()(learn)


def grant(address: AddressArgument, what: WhatArgument, sender: SenderArgument = "") -> None:
    """Lets an address send as somebody else; counts at once.

    Its own address, plus forms and aliases it may always use.  Whoever has a list grant has
    the limits of a list too ('mailstack user limits').
    """
    pattern = _sender(what, sender)
    with writer() as directory, directory.transaction():
        if what == "list":
            directory.sending.grant_list(address, is_list=True)
        else:
            directory.accounts.grant(address, pattern)
    _show_grants(address)


def revoke(address: AddressArgument, what: WhatArgument, sender: SenderArgument = "") -> None:
    """Takes such a grant back."""
    pattern = _sender(what, sender)
    with writer() as directory, directory.transaction():
        if what == "list":
            directory.sending.grant_list(address, is_list=False)
        else:
            directory.accounts.revoke(address, pattern)
    _show_grants(address)


def limits(
    address: AddressArgument,
    recipients: Annotated[
        str | None, typer.Option(metavar="N", help="Recipients per message; default: the plan's.")
    ] = None,
    message_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Such as 10M; default: the plan's.")
    ] = None,
    messages_per_hour: NumberOption = None,
    messages_per_day: NumberOption = None,
    recipients_per_hour: NumberOption = None,
    recipients_per_day: NumberOption = None,
    new_recipients_per_hour: NumberOption = None,
    new_recipients_per_day: NumberOption = None,
) -> None:
    """Shows how much an address may send and has sent, after changing what is given.

    "New" recipients are those it never wrote to before.  Hours and days slide: a day is
    the last 24 hours.
    """
    texts = {
        "recipients": recipients,
        "messages_per_hour": messages_per_hour,
        "messages_per_day": messages_per_day,
        "recipients_per_hour": recipients_per_hour,
        "recipients_per_day": recipients_per_day,
        "new_recipients_per_hour": new_recipients_per_hour,
        "new_recipients_per_day": new_recipients_per_day,
    }
    wanted = {name: _number(text) for name, text in texts.items() if text is not None}
    if message_size is not None:
        wanted["message_octets"] = names.quota_octets(message_size)
    context = Context.load()
    if wanted:
        with writer(context) as directory:
            _change(directory, address, wanted)
    with reader(context) as found:
        show(_limits(context, found, account(found, address)))


def learn(
    address: AddressArgument,
    folder: Annotated[
        str, typer.Option(metavar="NAME", help="Read this folder; else the one for sent mail.")
    ] = "",
) -> None:
    """Learns from sent mail whom an address has written to before.

    After mail was brought from another server: those people are no first-time recipients,
    which are limited ('mailstack user limits').
    """
    from mailstack.app.correspondents import collect, sent_folder
    from mailstack.state.sending import Sending

    context = Context.load()
    with reader(context) as directory:
        found = account(directory, address)
    with usage.store(context) as store:
        usage.expect(store, found.address)
        mailbox = store.account(found.address)
        source = sent_folder(mailbox, folder)
        if source is None:
            fail(
                os.EX_DATAERR, f"{address} has no folder {folder or 'for sent mail; name one with --folder'}"
            )
        known = list(collect(mailbox, mailbox.status(source.name).id))
    table = Sending(context.paths.state_db)
    try:
        for start in range(0, len(known), _LEARNED_AT_ONCE):
            table.learn(found.id, known[start : start + _LEARNED_AT_ONCE], time.time())
    finally:
        table.close()
    show(
        {"address": str(found.address), "folder": source.name, "correspondents": len(known)},
        f"{len(known)} correspondents of {found.address} are known from {source.name}",
    )


def _change(directory: DirectoryWriter, address: str, wanted: dict[str, int | None]) -> None:
    if wanted.get("recipients") == NO_LIMIT:
        fail(os.EX_DATAERR, "a message cannot have recipients without end: give a number up to 10000")
    directory.sending.limit(address, wanted)


def _sender(what: What, sender: str) -> str:
    """The pattern of a grant, checked to be what was said."""
    if what == "list":
        if sender:
            fail(os.EX_USAGE, "a list grant names no sender: 'mailstack user grant ADDRESS list'")
        return ""
    if not sender:
        fail(os.EX_USAGE, f"say which {'address' if what == 'identity' else 'domain'}")
    pattern = names.sender_pattern(sender)
    if ("@" in pattern) != (what == "identity"):
        known = "an address" if "@" in pattern else "a whole domain"
        fail(os.EX_DATAERR, f"{sender} is {known}, not {'one address' if what == 'identity' else 'a domain'}")
    return pattern


def _number(text: str) -> int | None:
    word = text.strip().lower()
    if word in ("none", "unlimited"):
        return NO_LIMIT
    if word == "default":
        return None
    if not (word.isascii() and word.isdigit()) or len(word) > 12:
        raise PermanentFailure(f"{text!r} is not a number; write it like 500, none or default")
    return int(word)


def _show_grants(address: str) -> None:
    with reader() as directory:
        found = account(directory, address)
        show(
            {
                "address": str(found.address),
                "other_names": directory.addresses_of(found.id)[1:],
                "may_send_as": sorted(directory.identities(found.id)),
                "list": found.sending.is_list,
            }
        )


def _limits(context: Context, directory: Directory, found: Account) -> dict[str, object]:
    from mailstack.smtp.policy import limits as per_message
    from mailstack.smtp.policy.sending import caps_of, counts_new, plan_of
    from mailstack.state.sending import Sending

    config, now = context.config, time.time()
    table = Sending(context.paths.state_db)
    try:
        used, started_at = table.used(found.id, now), table.started_at()
    finally:
        table.close()
    caps = caps_of(found, config.sending)
    document: dict[str, object] = {
        "address": str(found.address),
        "limits_of": plan_of(found),
        "recipients_per_message": per_message.recipients(found, config.smtp),
        "message_octets": per_message.message_octets(found, config.smtp),
        "counts_new_recipients": counts_new(found, started_at, config.sending, now),
    }
    for name in LIMITS:
        document[name] = {"sent": _of(used, name), "limit": getattr(caps, name), "own": _is_own(found, name)}
    return document


def _of(used: Used, name: str) -> int:
    return int(getattr(used, name))


def _is_own(found: Account, name: str) -> bool:
    return getattr(found.sending, name) is not None
