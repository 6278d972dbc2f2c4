"""`mailstack domain rotate-dkim`: new DKIM keys without a signature nobody can check.

The first call makes keys that do not sign yet and prints their records; the next one looks
whether everybody can read these and lets the keys sign.  The records of the old keys stay
needed while mail they signed is under way.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mailstack.cli.context import Context, fail, show, talk
from mailstack.cli.directory_access import known_domain, reader, writer

if TYPE_CHECKING:
    from mailstack.directory.dkim import PublishedKey
    from mailstack.filters.authentication.options import DkimOptions
    from mailstack.model.dns import Answer


def rotate_dkim(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The domain, such as example.org.")],
    at_once: Annotated[
        bool,
        typer.Option("--now", help="Let the new keys sign without looking whether their records are there."),
    ] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Throw new keys away that do not sign yet.")
    ] = False,
) -> None:
    """Changes the DKIM keys of a domain, in two calls.

    The first makes new keys and prints the records to publish; the old keys go on signing.
    When the records are there, the second call finds them in the DNS, lets the new keys sign
    and retires the old ones, whose records stay needed for dkim.keep_retired_s; 'mailstack
    domain dns NAME' says when to remove them.  Exits 75 while a record is missing or wrong.
    """
    from mailstack.directory.names import new_domain

    if at_once and cancel:
        fail(os.EX_USAGE, "say --now or --cancel, not both")
    context, name = Context.load(), new_domain(name)
    if cancel:
        with writer(context) as directory:
            gone = directory.key_rotation.cancel(name)
        _show(name, "cancelled", gone, "new keys are thrown away; remove their records if you published them")
        return
    waiting = _waiting(context, name)
    if not waiting:
        with writer(context) as directory:
            made = directory.key_rotation.begin(name, keep_s=context.config.dkim.keep_retired_s)
        if not at_once:
            _show(
                name, "waiting", made, f"publish these, then run 'mailstack domain rotate-dkim {name}' again"
            )
            return
    elif not at_once:
        _expect_published(context, name, waiting)
    with writer(context) as directory:
        signing = directory.key_rotation.switch(name)
    _show(
        name, "signing", signing, f"they sign now; 'mailstack domain dns {name}' tells what may go, and when"
    )


def key_rows(keys: Sequence[PublishedKey], options: DkimOptions) -> list[dict[str, str]]:
    """Selector, algorithm and state of each key."""
    now = time.time()
    return [
        {"selector": k.selector, "algorithm": k.algorithm, "state": k.state(now, options.keep_retired_s)}
        for k in keys
    ]


def _waiting(context: Context, name: str) -> list[PublishedKey]:
    with reader(context) as directory:
        known_domain(directory, name)
        return [key for key in directory.published_keys(name) if key.signs_at is None]


def _show(name: str, state: str, keys: Sequence[PublishedKey], words: str) -> None:
    from mailstack.app.publish import Record

    records = [
        Record(f"{key.selector}._domainkey.{name}", "TXT", key.record, f"DKIM, {key.algorithm}")
        for key in keys
    ]
    lines = "\n".join(record.line for record in records)
    show({"domain": name, "state": state, "records": records}, lines)
    talk(words)


def _expect_published(context: Context, name: str, keys: Sequence[PublishedKey]) -> None:
    from mailstack.filters.authentication.dmarc_record import read_tags

    names = [f"{key.selector}._domainkey.{name}" for key in keys]
    for key, where, answer in zip(keys, names, asyncio.run(_ask(context, names)), strict=True):
        found = [read_tags(text) for text in answer.records if isinstance(text, bytes)]
        if not any(
            isinstance(tags, dict) and "".join(tags.get("p", "").split()) == key.public for tags in found
        ):
            what = "it holds another key" if found else "there is no record"
            if answer.status == "temperror":
                what = "the DNS does not answer"
            fail(
                os.EX_TEMPFAIL,
                f"{where}: {what}; the old keys go on signing. 'mailstack domain dns {name}' prints what to"
                " publish; --now does not look",
            )


async def _ask(context: Context, names: Sequence[str]) -> list[Answer]:
    from mailstack.net.resolver import Resolver

    resolver = Resolver(context.config.dns)
    await resolver.start()
    try:
        budget = resolver.new_budget()
        return [await resolver.lookup(name, "TXT", budget=budget) for name in names]
    finally:
        await resolver.close()
