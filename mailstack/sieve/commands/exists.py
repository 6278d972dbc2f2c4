"""`exists`: all of the named fields are there (RFC 5228 section 5.5)."""

from __future__ import annotations

from mailstack.sieve import fields
from mailstack.sieve.commands.header import check_names
from mailstack.sieve.context import Context
from mailstack.sieve.definition import STRING_LIST, Arg, CommandDef
from mailstack.sieve.program import Args, Block


def _run(ctx: Context, args: Args, block: Block | None) -> bool:
    names = args.strings("header_names")
    if not args.get("mime"):
        return all(ctx.message.exists(name) for name in names)
    headers = list(fields.headers(ctx, args))
    return all(any(header.exists(name) for header in headers) for name in names)


EXISTS = CommandDef("exists", "test", [Arg("header_names", STRING_LIST)], validate=check_names, run=_run)
