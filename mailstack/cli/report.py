"""`mailstack report`: DMARC and TLS reports to other domains, seen and sent."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import io
import os
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mailstack.cli.context import Context, fail, group, show, talk

if TYPE_CHECKING:
    from mailstack.app.reports import Reports, Step
    from mailstack.delivery.report_documents import Reporter

app = group("Reports to other domains: DMARC (about their mail) and TLS (about our deliveries).")

Kind = Literal["dmarc", "tls"]
Domain = Annotated[str, typer.Option(metavar="NAME", help="Only about this domain.")]
Day = Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="The day it is about, in UTC; yesterday.")]


@app.command("list")
def list_reports(
    days: Annotated[int, typer.Option(min=1, max=366, help="Days back.")] = 7, domain: Domain = ""
) -> None:
    """Lists what was sent to whom, and why others got nothing."""
    from mailstack.state.report_ledger import ReportLedger
    from mailstack.state.tls_facts import day_of

    ledger = ReportLedger(Context.load().paths.state_db)
    try:
        sent = ledger.listed(since=day_of(time.time() - days * 86_400), domain=domain.lower())
    finally:
        ledger.close()
    rows = [
        {
            "day": row.day,
            "kind": row.kind,
            "domain": row.domain,
            "target": row.target,
            "outcome": row.outcome,
            "why": row.why,
            "queue_id": row.queue_id,
            "at": datetime.datetime.fromtimestamp(row.at, datetime.UTC).isoformat(timespec="seconds"),
        }
        for row in sent
        if row.target or row.why
    ]
    if not rows:
        talk("no report was sent in that time")
    show(rows, None if rows else "")


@app.command("show")
def show_report(
    kind: Annotated[Kind, typer.Argument(help="dmarc or tls.")],
    domain: Annotated[str, typer.Argument(metavar="DOMAIN")],
    day: Day = "",
) -> None:
    """Prints the report about a domain: XML for dmarc, JSON for tls.  Today's is as far as it has come."""
    day = _day(day)

    async def work() -> str:
        async with _opened() as reports:
            reporter = await asyncio.to_thread(_reporter, reports)
            return await asyncio.to_thread(reports.document, kind, day, domain.lower(), reporter)

    text = asyncio.run(work())
    if not text:
        fail(os.EX_NOINPUT, f"nothing was counted about {domain} on {day}")
    show({"kind": kind, "day": day, "domain": domain.lower(), "document": text}, text.rstrip("\n"))


@app.command()
def send(
    day: Day = "",
    domain: Domain = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask the DNS and say what would be sent; send nothing.")
    ] = False,
) -> None:
    """Sends the reports about a day now; what was sent before is not sent again."""
    day = _day(day)
    if day >= _today():
        fail(os.EX_DATAERR, f"{day} is not over yet; reports are about whole days (UTC)")

    async def work() -> list[Step]:
        async with _opened() as reports:
            await asyncio.to_thread(_reporter, reports)
            return await reports.send(day, domain=domain.lower(), is_dry=dry_run)

    steps = asyncio.run(work())
    rows = [
        {
            "kind": step.kind,
            "domain": step.domain,
            "target": str(step.target) if step.target is not None else "",
            "outcome": step.outcome,
            "octets": len(step.report.packed) if step.report is not None else 0,
            "why": step.why,
        }
        for step in steps
    ]
    if not rows:
        talk(f"there is nothing to report about {day}")
    show(rows, None if rows else "")


@contextlib.asynccontextmanager
async def _opened() -> AsyncIterator[Reports]:
    from mailstack.app.reports import Reports
    from mailstack.delivery.queue import Queue
    from mailstack.directory.reader import Directory
    from mailstack.net.resolver import Resolver
    from mailstack.state.maillog import MailLog
    from mailstack.state.senders import LongSenders

    context = Context.load()
    config, paths = context.config, context.paths
    with contextlib.ExitStack() as stack:
        queue = Queue(paths, now=time.time, random_bytes=os.urandom, options=config.queue)
        stack.callback(queue.close)
        directory = Directory(paths, options=config.auth)
        stack.callback(directory.close)
        senders = LongSenders(paths.state_db, valid_days=config.srs.valid_days)
        stack.callback(senders.close)
        maillog = MailLog(paths.maillog_db, daemon="report", now=time.time, stream=io.StringIO())
        stack.callback(maillog.close)
        resolver = Resolver(config.dns)
        await resolver.start()
        try:
            reports = Reports(
                config,
                directory,
                queue,
                dns=resolver,
                maillog=maillog,
                long_senders=senders,
                now=time.time,
            )
            stack.callback(reports.close)
            yield reports
        finally:
            await resolver.close()


def _reporter(reports: Reports) -> Reporter:
    found = reports.reporter()
    if found is None:
        fail(os.EX_CONFIG, "nobody here can report: no domain has a DKIM key (reports.sender)")
    return found


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _day(text: str) -> str:
    if not text:
        return (datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days=1)).isoformat()
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        fail(os.EX_USAGE, f"{text!r} is no day such as 2026-11-21")
