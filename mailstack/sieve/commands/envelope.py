"""Extension "envelope": MAIL FROM and RCPT TO against keys (RFC 5228 section 5.4).

Beside "from" and "to" there is "auth": who authenticated the sending, as far as known.
"""

from __future__ import annotations

from mailstack.sieve.addresses import split_envelope
from mailstack.sieve.check import CheckContext
from mailstack.sieve.context import Context
from mailstack.sieve.control import SieveError
from mailstack.sieve.definition import (
    ADDRESS_PART_TAGS,
    COMPARATOR_TAG,
    MATCH_TAGS,
    STRING_LIST,
    Arg,
    CommandDef,
    Extension,
)
from mailstack.sieve.match import SplitAddress
from mailstack.sieve.program import Args, Block
from mailstack.sieve.syntax import CommandNode


def _validate(node: CommandNode, vctx: CheckContext) -> None:
    for item in node.constants("envelope_part"):
        if item.value.lower() not in vctx.scope.envelope_parts and not vctx.scope.has_unknown:
            vctx.error(item.pos, f"unknown envelope part '{item.value[:60]}' for the envelope test")


def _run(ctx: Context, args: Args, block: Block | None) -> bool:
    values: list[str] = []
    for name in args.strings("envelope_part"):
        read = args.envelope_parts.get(name.lower())
        if read is None:
            # RFC 5228 section 5.4: unknown parts SHOULD be an error.
            raise SieveError(f"envelope: unknown envelope part '{name[:60]}'")
        value = read(ctx)
        if isinstance(value, tuple):
            values += args.address_part.values([SplitAddress(None, None, text) for text in value])
        elif (address := split_envelope(value)) is not None:
            values += args.address_part.values([address])
    return args.matches(values, "key_list")


_TEST = CommandDef(
    "envelope",
    "test",
    [Arg("envelope_part", STRING_LIST), Arg("key_list", STRING_LIST)],
    [MATCH_TAGS, COMPARATOR_TAG, ADDRESS_PART_TAGS],
    validate=_validate,
    run=_run,
)
ENVELOPE = Extension(
    "envelope",
    tests=[_TEST],
    envelope_parts={
        "from": lambda ctx: ctx.envelope.from_,
        "to": lambda ctx: ctx.envelope.to,
        "auth": lambda ctx: ctx.envelope.auth,
    },
)
