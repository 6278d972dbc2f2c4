"""`mailstack srs`: rewrites a sender for forwarding, and finds the way back."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from mailstack.cli import arguments, usage
from mailstack.cli.context import Context, fail, group, show, talk
from mailstack.cli.directory_access import reader, writer
from mailstack.model.address import AddressError, parse_domain
from mailstack.srs import rewrite, short

if TYPE_CHECKING:
    from mailstack.directory.srs_secrets import SrsSecret
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
    original, ours = arguments.address(sender), _domain(domain or keys.domain)
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
        arguments.address(address), secrets=keys.secrets, now=time.time(), valid_days=keys.valid_days
    )
    if isinstance(found, rewrite.BadToken):
        fail(os.EX_DATAERR, f"{address} {found.why}")
    key = short.stored_key(found)
    sender = found if key is None else keys.long_senders.find(key) if keys.long_senders else None
    if sender is None:
        fail(os.EX_DATAERR, f"{address} stands for a sender that is not kept (any more)")
    show({"address": address, "sender": str(sender)}, str(sender))


@app.command()
def secrets() -> None:
    """Lists the secrets of this instance, newest first: which one signs, and until when the others count."""
    with reader() as directory:
        found = directory.srs_secret_list()
    show([_row(secret, signs=number == 0) for number, secret in enumerate(found)])


@app.command()
def rotate(
    drop_old: Annotated[
        bool,
        typer.Option(
            "--drop-old",
            help="Accept the old secrets no more, because somebody may know them: bounces on their way are"
            " refused.",
        ),
    ] = False,
) -> None:
    """Makes a new secret, which signs within a second.

    The old one is accepted until no address it has signed is good any more (srs.valid_days
    and two days), then it is deleted.  Once a year is often enough.
    """
    context = Context.load()
    keep_s = 0.0 if drop_old else rewrite.lifetime_s(context.config.srs.valid_days)
    with writer(context) as directory:
        made = directory.srs_secrets.rotate(keep_s=keep_s)
    with reader(context) as found:
        old = [secret for secret in found.srs_secret_list() if secret.id != made.id]
    text = f"a new secret signs from now on; {len(old)} old one{'s are' if len(old) != 1 else ' is'} accepted"
    show(_row(made, signs=True) | {"accepted": len(old)}, text)


def _row(secret: SrsSecret, *, signs: bool) -> dict[str, object]:
    until = secret.accepted_until
    return {
        "id": secret.id,
        "created": usage.stamp(secret.created_at),
        "signs": signs,
        "accepted_until": None if until is None else usage.stamp(until),
    }


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
    return _Keys(
        found, domain, options.valid_days, LongSenders(context.paths.state_db, valid_days=options.valid_days)
    )


def _domain(text: str) -> str:
    try:
        return parse_domain(text)
    except AddressError as error:
        fail(os.EX_DATAERR, f"{text!r} cannot be a domain: {error}")
