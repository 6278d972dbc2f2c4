"""Extension "environment": what is known about where the script runs (RFC 5183)."""

from __future__ import annotations

from mailstack.sieve.context import Context
from mailstack.sieve.definition import (
    COMPARATOR_TAG,
    MATCH_TAGS,
    STRING,
    STRING_LIST,
    Arg,
    CommandDef,
    Extension,
)
from mailstack.sieve.program import Args, Block

#: RFC 6785 section 4.2: there is nobody who did it.
_DURING_DELIVERY = {"imap.user": "", "imap.email": ""}


def _run(ctx: Context, args: Args, block: Block | None) -> bool:
    name = args.string("name").lower()
    value = ctx.environment.get(name, _DURING_DELIVERY.get(name))
    # RFC 5183 section 4: an item that is not known fails whatever it is compared with.
    return value is not None and args.match.match([value], args.strings("key_list"))


ENVIRONMENT = Extension(
    "environment",
    tests=[
        CommandDef(
            "environment",
            "test",
            [Arg("name", STRING), Arg("key_list", STRING_LIST)],
            [MATCH_TAGS, COMPARATOR_TAG],
            run=_run,
        )
    ],
)
