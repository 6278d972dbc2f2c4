"""`mailstack sieve apply`: rules and script over mail that is in a folder already."""

from __future__ import annotations

import io
import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from mailstack.cli import usage
from mailstack.cli.context import Context, cell, fail, show, talk
from mailstack.cli.directory_access import account, reader
from mailstack.cli.progress import progress

if TYPE_CHECKING:
    from mailstack.app.apply_rules import Application
    from mailstack.app.stored_changes import Change, Report
    from mailstack.directory import Directory
    from mailstack.mailbox.store import MailStore


def apply(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose mail.")],
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Where it is, such as INBOX.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would become of which message.")
    ] = False,
) -> None:
    """Runs the rules and the active script of an address over a folder.

    Messages are filed, copied, flagged; what a script throws away goes to Trash.  Nothing
    leaves: redirects, refusals, answers and notifications are counted and left out.  Over
    Spam only rules marked "also for spam" run.  Doing it again changes nothing more.
    Exits 65 when something could not be done with a message; it is where it was then.
    """
    from mailstack.model.mailbox import MailboxError

    context = Context.load()
    with reader(context) as directory, usage.store(context) as store:
        try:
            application = _open(context, directory, store, address, folder)
        except MailboxError as error:
            fail(os.EX_DATAERR, f"{address}, {folder}: {error.text}")
        if not application.steps:
            talk(f"no rule and no script of {address} runs over {folder}")
        with progress(f"looking through {folder}", len(application.rows)) as step:
            report = application.run(step, dry_run=dry_run)
    if not dry_run and report.changes:
        usage.tell(context, application.owner.address, {folder, *report.moved, *report.copied})
        _note(context, str(application.owner.address), folder, report)
    show(_document(report, dry_run=dry_run), _text(report, dry_run=dry_run))
    if report.failed:
        for problem in report.problems:
            talk(problem)
        raise typer.Exit(os.EX_DATAERR)


def _open(context: Context, directory: Directory, store: MailStore, address: str, folder: str) -> Application:
    from mailstack.app.account_view import OperatorScripts
    from mailstack.app.apply_rules import Application, StoredView
    from mailstack.filters.rules import Rules
    from mailstack.state.memory import Seen

    config, owner = context.config, account(directory, address)
    usage.expect(store, owner.address)
    view = StoredView(
        owner,
        directory,
        OperatorScripts(config.sieve),
        seen=Seen(context.paths.state_db),
        mail=context.paths.mail,
        time_zone=config.server.time_zone,
        begin=lambda account_id, script, version: None,
    )
    rules = Rules(cpu_clock=time.process_time, hostname=config.hostname, options=config.sieve)
    return Application(owner, store.of(owner), view, rules, folder, now=time.time())


def _note(context: Context, address: str, folder: str, report: Report) -> None:
    """The mail log says why messages are in other folders."""
    from mailstack.state.maillog import MailLog

    log = MailLog(context.paths.maillog_db, daemon="cli", now=time.time, stream=io.StringIO())
    try:
        log.write(
            "applied",
            received_by=[address],
            to=address,
            mailbox=folder,
            messages=report.messages,
            changed=len(report.changes),
            moved=", ".join(f"{n} to {place}" for place, n in sorted(report.moved.items())) or "none",
        )
    finally:
        log.close()


def _document(report: Report, *, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "messages": report.messages,
        "changed": len(report.changes),
        "moved": report.moved,
        "copied": report.copied,
        "flagged": report.flagged,
        "left_out": report.left_out,
        "failed": report.failed,
        "problems": report.problems,
        "changes": report.changes,
    }


def _text(report: Report, *, dry_run: bool) -> str:
    lines = [_line(change) for change in report.changes] if dry_run else []
    verb = "would be " if dry_run else ""
    lines += [f"{usage.messages(report.messages)} looked at, {len(report.changes)} {verb}changed"]
    lines += _counted(f"{verb}moved to", report.moved) + _counted(f"{verb}copied to", report.copied)
    if report.flagged:
        lines.append(f"{usage.messages(report.flagged)}: flags {verb}changed")
    lines += [f"{name}: left out {number} times" for name, number in sorted(report.left_out.items())]
    if report.failed:
        lines.append(f"{usage.messages(report.failed)} left alone because of mistakes")
    return "\n".join(lines)


def _counted(words: str, counter: Counter[str]) -> list[str]:
    return [f"{usage.messages(number)} {words} {place}" for place, number in sorted(counter.items())]


def _line(change: Change) -> str:
    does = [f"copied to {place}" for place in change.copies]
    does += [f"moved to {change.target}"] if change.target else []
    does += [f"+{name}" for name in change.plus] + [f"-{name}" for name in change.minus]
    return cell(f"{change.uid}  {change.subject or '(no subject)'}: {', '.join(does)}")
