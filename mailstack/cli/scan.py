"""`mailstack scan`: what the filter says about message files.

Works without an instance; the same pipeline as the daemon's workers, in this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailstack.cli import arguments
from mailstack.cli.context import Context, cell, fail, show, talk
from mailstack.cli.message_file import read_message
from mailstack.model.address import Address, AddressError

if TYPE_CHECKING:
    from mailstack.model.verdict import FilterAnswer, FilterRequest
    from mailstack.net import dns_table
    from mailstack.net.resolver import DnsSource

_RETURN_PATH = re.compile(rb"^return-path[ \t]*:[ \t]*<([^<>\s]*)>", re.IGNORECASE | re.MULTILINE)


def command(
    messages: Annotated[list[str], typer.Argument(metavar="MESSAGE", help="Message files; - for stdin.")],
    ip: Annotated[str, typer.Option(help="Address of the client that sent it; without: SPF is none.")] = "",
    helo: Annotated[str, typer.Option(help="What the client called itself.")] = "",
    from_: Annotated[
        str | None, typer.Option("--from", help="Envelope sender; default: the first Return-Path.")
    ] = None,
    to: Annotated[
        str, typer.Option(help="Envelope recipient; of an address here its lists, and what it taught, count.")
    ] = "",
    dns: Annotated[
        Path | None,
        typer.Option(
            help='Answers from this JSON file instead of DNS: {"example.org": {"TXT": ["v=spf1 -all"]}}.'
        ),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask nobody; look-ups fail, but for what --dns tells.")
    ] = False,
) -> None:
    """Shows the filter's verdict on message files; exits 0 whatever it is."""
    if ip:
        try:
            ip = str(ipaddress.ip_address(ip))
        except ValueError:
            fail(os.EX_USAGE, f"--ip: {ip!r} is not an IP address")
    sender, to = None if from_ is None else arguments.envelope(from_), arguments.envelope(to)
    context = Context.load(needs_instance=False)
    read = [(name, read_message(name)) for name in messages]
    table = _read_table(dns) if dns is not None else None
    account_id = _account_id(context, to) if to else 0
    if to and not account_id:
        talk(f"{to} is no address here: judged is as for somebody who has no lists and taught nothing")
    requests = [
        (name, _request(data, ip=ip, helo=helo, sender=sender, to=to, account_id=account_id))
        for name, data in read
    ]
    answers = asyncio.run(_scan(context, [request for _, request in requests], table, offline=offline))
    rows = [_row(name, answer) for (name, _), answer in zip(requests, answers, strict=True)]
    show(rows[0] if len(rows) == 1 else rows, "\n\n".join(_text(row) for row in rows))


def _account_id(context: Context, to: str) -> int:
    """The address here with this name; 0 for none, also without an instance."""
    from mailstack.directory import Directory

    if not context.paths.directory_db.exists():
        return 0
    with contextlib.closing(Directory(context.paths, options=context.config.auth)) as directory:
        found = directory.find_account(to)
    return 0 if found is None else found.id


def _request(
    message: bytes, *, ip: str, helo: str, sender: str | None, to: str, account_id: int
) -> FilterRequest:
    from mailstack.model.verdict import FilterRecipient, FilterRequest

    if sender is None:
        found = _RETURN_PATH.search(message[:524_288])
        sender = found[1].decode("utf-8", "replace") if found else ""
    sender = sender.strip().removeprefix("<").removesuffix(">")
    try:
        sender = str(Address.parse(sender)) if sender else ""
    except AddressError:
        pass  # as it stands: the checks say what they think of it
    recipient = FilterRecipient(1, account_id, to, to)
    return FilterRequest(
        "scan", ip, helo, sender, (recipient,), time.time(), message, size_octets=len(message)
    )


async def _scan(
    context: Context, requests: list[FilterRequest], table: dns_table.Table | None, *, offline: bool
) -> list[FilterAnswer]:
    from mailstack.app.filter_worker import Worker, make_tools
    from mailstack.app.filterd import make_setup
    from mailstack.filters.pipeline import Evaluation
    from mailstack.net.resolver import Resolver, run_check

    setup = make_setup(context.config, context.paths)
    tools = make_tools(setup)
    account_id = requests[0].recipients[0].account_id
    # Of nobody here: an address that was taught nothing, to whom every sender is a stranger.
    facts = {}
    if account_id:
        # What its scripts would do is for 'sieve explain'.
        facts = {account_id: replace(Worker(setup, tools).facts(account_id), steps=())}
    source = await _source(context, table, offline=offline)
    try:
        answers = []
        for request in requests:
            assert request.message is not None
            evaluation = Evaluation(request, request.message, facts, tools)
            answers.append(await run_check(evaluation.step, source, budget=source.new_budget()))
        return answers
    finally:
        if isinstance(source, Resolver):
            await source.close()


def _read_table(file: Path) -> dns_table.Table:
    from mailstack.model.errors import ConfigError
    from mailstack.net import dns_table

    try:
        return dns_table.load_table(file.read_bytes())
    except OSError as error:
        fail(os.EX_NOINPUT, f"{file}: {error.strerror or error}")
    except ConfigError as error:
        fail(os.EX_DATAERR, f"{file}: {error.message}")


async def _source(context: Context, table: dns_table.Table | None, *, offline: bool) -> DnsSource:
    from mailstack.net.resolver import OfflineResolver, Resolver, TableResolver

    if table is not None:  # which asks nobody either
        return TableResolver(table, context.config.dns)
    if offline:
        return OfflineResolver()
    resolver = Resolver(context.config.dns)
    await resolver.start()
    return resolver


def _row(name: str, answer: FilterAnswer) -> dict[str, object]:
    from mailstack.filters.explain import JUNK, is_junk
    from mailstack.model.verdict import RejectMail

    verdict, account = answer.verdict, answer.accounts[0]
    found = verdict.authentication
    action = verdict.action
    if action == "accept" and is_junk(account):
        refuses = any(isinstance(one, RejectMail) for one in account.actions)
        action = "reject" if refuses else "junk"
    reasons = [*verdict.reasons, *(reason for reason in account.reasons if reason.name != JUNK)]
    return {
        "file": name,
        "class": account.klass,
        "score": round(account.score, 6),
        "action": action,
        "reasons": [{"name": r.name, "weight": r.weight, "why": r.why} for r in reasons],
        "authentication": {
            "spf": {"result": found.spf.result, "domain": found.spf.domain},
            "dkim": [{"result": d.result, "domain": d.domain, "selector": d.selector} for d in found.dkim],
            "dmarc": {
                "result": found.dmarc.result,
                "domain": found.dmarc.domain,
                "policy": found.dmarc.policy,
                "disposition": found.dmarc.disposition,
            },
            "arc": {"result": found.arc.result},
        },
    }


def _text(row: dict[str, object]) -> str:
    from mailstack.filters.explain import LEAST_SAID

    lines = [f"{cell(row['file'])}: {row['class']}, score {row['score']:.3f}, {row['action']}"]
    authentication = row["authentication"]
    assert isinstance(authentication, dict)
    for method, result in authentication.items():
        for one in result if isinstance(result, list) else [result]:
            details = ", ".join(f"{k} {cell(v)}" for k, v in one.items() if k != "result" and v)
            lines.append(f"  {method:<6} {one['result']}" + (f" ({details})" if details else ""))
    reasons = row["reasons"]
    assert isinstance(reasons, list)
    small = [r for r in reasons if 0 < abs(r["weight"]) < LEAST_SAID]
    lines += [f"  {r['weight']:+.2f}  {r['name']}: {cell(r['why'])}" for r in reasons if r not in small]
    if small:
        together = sum(r["weight"] for r in small)
        lines.append(f"  {together:+.2f}  together: {', '.join(cell(r['name']) for r in small)}")
    return "\n".join(lines)
