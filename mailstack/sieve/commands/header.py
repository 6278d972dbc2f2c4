"""`header`: values of fields against keys (RFC 5228 section 5.7)."""

from __future__ import annotations

from mailstack.sieve import fields
from mailstack.sieve.check import CheckContext
from mailstack.sieve.context import Context
from mailstack.sieve.definition import COMPARATOR_TAG, MATCH_TAGS, STRING_LIST, Arg, CommandDef
from mailstack.sieve.message import is_field_name
from mailstack.sieve.program import Args, Block
from mailstack.sieve.syntax import CommandNode


def check_names(node: CommandNode, vctx: CheckContext) -> None:
    """Warns of names no field can have; they match nothing (RFC 5228 section 2.4.2.2)."""
    for item in node.constants("header_names"):
        if not is_field_name(item.value):
            vctx.warning(item.pos, f"'{item.value[:60]}' can never be the name of a header field")


def _run(ctx: Context, args: Args, block: Block | None) -> bool:
    return args.matches(fields.values(ctx, args, args.strings("header_names")), "key_list")


HEADER = CommandDef(
    "header",
    "test",
    [Arg("header_names", STRING_LIST), Arg("key_list", STRING_LIST)],
    [MATCH_TAGS, COMPARATOR_TAG],
    validate=check_names,
    run=_run,
)
