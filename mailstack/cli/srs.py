"""`mailstack srs`: rewrites a sender for forwarding, and finds the way back."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from mailstack.cli.context import Context, fail, group, show, talk
from mailstack.model.address import Address, AddressError
from mailstack.srs import rewrite, short

if TYPE_CHECKING:
    from mailstack.state.senders import LongSenders

app = group("Rewrites senders of forwarded mail (SRS), and back.")

#: Without an instance: good for trying, valid nowhere.
_TRIAL_SECRET = b"mailstack srs without an instance"

Secret = Annotated[
    list[str] | None,
    typer.Option("--secret", metavar="S", help="Sign and check with this, newest first; not the instance's."),
]


@dataclass(frozen=True, slots=True)
class _Keys:
    """Secrets, and where senders are kept that are too long; None: nowhere."""

    secrets: list[bytes]
    domain: str
    valid_days: int
    long_senders: LongSenders | None


@app.command()
def forward(
    sender: Annotated[str, typer.Argument(metavar="ADDRESS", help="The sender as received.")],
    domain: Annotated[str, typer.Option(metavar="NAME", help="The domain that forwards.")] = "",
    secret: Secret = None,
) -> None:
    """Shows the sender under which mail of ADDRESS is passed on."""
    keys, now = _keys(secret), time.time()
    original, ours = _parse(sender), _domain(domain or keys.domain)
    rewritten = rewrite.forward(original, domain=ours, secrets=keys.secrets, now=now)
    if isinstance(rewritten, rewrite.TooLong):
        if keys.long_senders is None:
            fail(
                os.EX_DATAERR,
                f"{sender}: rewritten it has {rewritten.octets} octets before the @, 64 are allowed;"
                " only an instance can keep such a sender",
            )
        made = short.shorten(original, domain=ours, secrets=keys.secrets, now=now)
        keys.long_senders.remember(made.key, original, now=now)
        rewritten = made.address
    show({"sender": str(original), "address": str(rewritten)}, str(rewritten))


@app.command()
def reverse(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="An SRS0 or SRS1 address.")],
    secret: Secret = None,
) -> None:
    """Shows the sender behind an SRS address; exits 65 for a bad or old one."""
    keys = _keys(secret)
    found = rewrite.reverse(
        _parse(address), secrets=keys.secrets, now=time.time(), valid_days=keys.valid_days
    )
    if isinstance(found, rewrite.BadToken):
        fail(os.EX_DATAERR, f"{address} {found.why}")
    key = short.stored_key(found)
    sender = found if key is None else keys.long_senders.find(key) if keys.long_senders else None
    if sender is None:
        fail(os.EX_DATAERR, f"{address} stands for a sender that is not kept (any more)")
    show({"address": address, "sender": str(sender)}, str(sender))


def _keys(secrets: list[str] | None) -> _Keys:
    """Those of the command line, else the instance's, else some for trying."""
    context = Context.load(drop=not secrets, needs_instance=False)
    options, hostname = context.config.srs, context.config.hostname
    if secrets:
        return _Keys([s.encode() for s in secrets], options.domain or hostname, options.valid_days, None)
    if not context.paths.directory_db.exists():
        talk("no instance: a secret for trying is used, and nobody takes bounces to these addresses")
        return _Keys([_TRIAL_SECRET], options.domain or hostname, options.valid_days, None)
    from mailstack.directory import Directory
    from mailstack.state.senders import LongSenders

    directory = Directory(context.paths, options=context.config.auth)
    try:
        domains = [domain.name for domain in directory.domains()]
        found = directory.srs_secrets()
    finally:
        directory.close()
    domain = options.domain or next(iter(domains), hostname)
    return _Keys(found, domain, options.valid_days, LongSenders(context.paths.state_db))


def _parse(text: str) -> Address:
    try:
        return Address.parse(text)
    except AddressError as error:
        fail(os.EX_DATAERR, f"{text!r} is not an address: {error}")


def _domain(text: str) -> str:
    try:
        return Address.parse(f"x@{text}").domain
    except AddressError as error:
        fail(os.EX_DATAERR, f"{text!r} is not a domain: {error}")
