"""`mailstack queue test ADDRESS`: the way mail for an address would go, step by step, sending nothing."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import TYPE_CHECKING, Annotated

import typer

from mailstack.cli import arguments
from mailstack.cli.context import Context, as_json, cell, fail, show, talk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mailstack.model.address import Address
    from mailstack.net.delivery_walk import Step
    from mailstack.net.resolver import DnsSource, Resolver

_MARKS = {"good": "ok", "note": "note", "later": "later", "never": "never"}
_LINE = "{step:<8} {mark:<6} {text}"


def command(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Somebody elsewhere.")],
    sender: Annotated[
        str, typer.Option("--from", metavar="ADDRESS", help="Name this sender; default: the null sender.")
    ] = "",
    dns: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Resolver to ask instead of the configured ones.")
    ] = "",
) -> None:
    """Walks to where mail for ADDRESS would go and tells what every step finds; sends nothing.

    MX hosts, MTA-STS, DANE, TLS with every host, and RCPT with the first one that talks.  Exits 0
    when the address would be accepted now, 75 when mail would wait, 67 when it would come back.
    """
    # The steps say it all.
    logging.getLogger("mailstack").addHandler(logging.NullHandler())
    steps = asyncio.run(_walked(address, sender, dns))
    verdict = _verdict(steps)
    if as_json():
        show({"address": address, "result": verdict, "steps": steps})
    talk(_SAYS[verdict].format(address=address))
    if verdict != "good":
        raise typer.Exit(os.EX_NOUSER if verdict == "never" else os.EX_TEMPFAIL)


_SAYS = {
    "good": "mail for {address} would be accepted now; nothing was sent",
    "later": "mail for {address} would wait in the queue and be tried again; nothing was sent",
    "never": "mail for {address} would come back; nothing was sent",
}


def _verdict(steps: list[Step]) -> str:
    """What the first host that answered for the recipient said, else what stood in the way."""
    answered = [step.result for step in steps if step.step == "rcpt"]
    if answered:
        return next((result for result in answered if result != "later"), "later")
    return "never" if steps[-1].result == "never" and steps[-1].step == "hosts" else "later"


async def _walked(address: str, sender: str, dns: str) -> list[Step]:
    """All steps, printed as they come."""
    steps = []
    async for step in _steps(address, sender, dns):
        steps.append(step)
        if not as_json():
            text = f"{step.host}: {step.text}" if step.host else step.text
            show(step, _LINE.format(step=step.step, mark=_MARKS[step.result], text=cell(text)))
    return steps


async def _steps(address: str, sender: str, dns: str) -> AsyncIterator[Step]:
    context = Context.load()
    whom, by = arguments.address(address), arguments.address(sender) if sender else None
    _check_is_outside(context, whom)
    resolver = _resolver(context, dns)
    await resolver.start()
    try:
        async for step in _walk(context, resolver, whom, str(by or "")):
            yield step
    finally:
        await resolver.close()


def _resolver(context: Context, dns: str) -> Resolver:
    from msgspec.structs import replace

    from mailstack.model.errors import ConfigError
    from mailstack.net.resolver import Resolver

    if not dns:
        return Resolver(context.config.dns)
    try:
        return Resolver(replace(context.config.dns, servers=(dns,), trusted=()))
    except ConfigError as error:
        fail(os.EX_USAGE, f"--dns: {error.message}")


async def _walk(context: Context, resolver: DnsSource, whom: Address, sender: str) -> AsyncIterator[Step]:
    from mailstack.net.delivery_walk import Walk
    from mailstack.net.mta_sts_fetch import StsSource
    from mailstack.net.smtp_delivery import SmtpDelivery
    from mailstack.net.smtp_opening import Watch
    from mailstack.state.sts_policies import StsPolicies
    from mailstack.state.tls_facts import TlsFact
    from mailstack.state.tls_levels import TlsLevels

    config, faults = context.config, list[TlsFact]()
    policies, levels = StsPolicies(context.paths.state_db), TlsLevels(context.paths.state_db)
    sts = StsSource(
        config.outbound_tls,
        dns=resolver,
        table=policies,
        now=time.time,
        note=faults.append,
        ca_file=config.queue.ca_file,
    )
    heeded = sts if config.outbound_tls.mta_sts else None
    delivery = SmtpDelivery(
        config.queue,
        helo=config.hostname,
        dns=resolver,
        chance=lambda: 0.5,
        watch=Watch(config.outbound_tls, sts=heeded, note=lambda seen: None),
    )
    try:
        walk = Walk(delivery, sts=heeded, faults=faults, levels=levels.of)
        async for step in walk.steps(str(whom), whom.domain, sender=sender):
            yield step
    finally:
        await delivery.close()
        await sts.close()
        policies.close()
        levels.close()


def _check_is_outside(context: Context, whom: Address) -> None:
    """Ends the command for an address whose mail never leaves this server."""
    from mailstack.cli.directory_access import reader

    with reader(context) as directory:
        domain = directory.domain(whom.domain)
    if domain is not None and domain.inbound == "local":
        fail(
            os.EX_USAGE,
            f"{whom.domain} is a domain of this server: its mail does not go to the queue unless it is"
            f" forwarded, see 'mailstack forward show {whom}'",
        )
