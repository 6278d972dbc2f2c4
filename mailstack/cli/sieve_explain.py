"""`mailstack sieve explain`: what all scripts of an address would do with a message, step by step."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from mailstack.cli import arguments
from mailstack.cli.context import Context, show

if TYPE_CHECKING:
    from mailstack.app.account_view import AccountView
    from mailstack.directory import Directory
    from mailstack.model.directory import Account
    from mailstack.model.verdict import AccountAction, AccountVerdict


def explain(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose scripts.")],
    message: Annotated[str, typer.Argument(metavar="MESSAGE", help="The message; - for stdin.")],
    from_: Annotated[
        str | None, typer.Option("--from", help="Envelope sender; default: the first Return-Path.")
    ] = None,
    spam: Annotated[bool, typer.Option("--spam", help="As if the filter took it for spam.")] = False,
) -> None:
    """Shows what would become of a message: lists, operator's script, rules, own script, autoresponder.

    Nothing is done.  The sender counts as authenticated.
    """
    from mailstack.app.account_view import AccountView, OperatorScripts
    from mailstack.cli.directory_access import account, reader
    from mailstack.cli.message_file import read_message
    from mailstack.state.memory import Seen

    context = Context.load()
    octets = read_message(message)
    seen = Seen(context.paths.state_db)
    try:
        with reader(context) as directory:
            owner = account(directory, address)
            view = AccountView(
                owner,
                directory,
                OperatorScripts(context.config.sieve),
                seen=seen,
                mail=context.paths.mail,
                time_zone=context.config.server.time_zone,
                begin=lambda account_id, script, version: None,
            )
            said = _judge(context, directory, owner, view, octets, sender=from_, is_spam=spam)
    finally:
        seen.close()
    actions = [_words(action) for action in said.actions]
    notes = [*said.notes, *(f"{reason.name}: {reason.why}" for reason in said.reasons)]
    document = {"actions": actions, "notes": notes, "error": said.script_error or None}
    show(document, "\n".join([*notes, "In the end:", *(f"  {one}" for one in actions)]))


def _judge(
    context: Context,
    directory: Directory,
    owner: Account,
    view: AccountView,
    octets: bytes,
    *,
    sender: str | None,
    is_spam: bool,
) -> AccountVerdict:
    from mailstack.filters.accounts import Judge
    from mailstack.filters.authentication.dmarc import find_author
    from mailstack.filters.edits import View
    from mailstack.filters.facts import AccountFacts, DomainFacts
    from mailstack.filters.fields import Header
    from mailstack.filters.rules import Rules
    from mailstack.model.verdict import (
        Authentication,
        DmarcResult,
        FilterRecipient,
        FilterRequest,
        MessageVerdict,
        SpfResult,
    )
    from mailstack.sieve import Message

    if sender is None:
        found = Message.from_bytes(octets).header_values("return-path")
        sender = found[0] if found else ""
    else:
        sender = arguments.envelope(sender)
    own = str(owner.address)
    recipient = FilterRecipient(1, owner.id, own, own)
    request = FilterRequest("", "", "", sender.strip("<> "), (recipient,), time.time())
    trusted = Authentication(spf=SpfResult("pass"), dmarc=DmarcResult("pass"))
    verdict = (
        MessageVerdict("spam", 1.0, "junk", authentication=trusted)
        if is_spam
        else MessageVerdict(authentication=trusted)
    )
    listed = directory.sender_lists(owner.id)
    facts = AccountFacts(
        owner.filters,
        owner.plan,
        view.steps(),
        listed.blocked,
        listed.allowed,
        view,
        domain=DomainFacts(directory.mail_policy(owner.address.domain)),
    )
    judge = Judge(
        request,
        recipient,
        facts,
        verdict,
        None,
        author=find_author(Header(octets)).address,
    )
    config = context.config
    rules = Rules(cpu_clock=time.process_time, hostname=config.hostname, options=config.sieve)
    return judge.decide(rules, lambda said: View(octets, b"", len(octets)))


def _words(action: AccountAction) -> str:
    from mailstack.model.verdict import FileInto, Keep, Redirect, RejectMail, SendMail

    match action:
        case Keep() | FileInto():
            flags = f", flags {' '.join(action.flags)}" if action.flags else ""
            return f"stored in {action.mailbox}{flags}{', as changed' if action.edited else ''}"
        case Redirect():
            return f"sent on to {action.address}{', as changed' if action.edited else ''}"
        case RejectMail():
            return f"refused: {action.text}"
        case SendMail():
            what = "an automatic answer" if action.why == "vacation" else "a notification"
            return f"{what} to {', '.join(action.recipients)}"
        case _:
            return "thrown away"
