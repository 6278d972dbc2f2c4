"""`size`: octets of the message (RFC 5228 section 5.9)."""

from __future__ import annotations

from mailstack.sieve.check import CheckContext
from mailstack.sieve.context import Context
from mailstack.sieve.definition import NUMBER, Arg, CommandDef, Tag
from mailstack.sieve.program import Args, Block
from mailstack.sieve.syntax import CommandNode


def _validate(node: CommandNode, vctx: CheckContext) -> None:
    if "relation" not in node.groups:
        vctx.error(node.pos, "the size test requires the tag ':over' or ':under', but neither is specified")


def _run(ctx: Context, args: Args, block: Block | None) -> bool:
    size, limit = ctx.message.size, args.number("limit")
    return size > limit if args["over"] else size < limit


SIZE = CommandDef(
    "size",
    "test",
    [Arg("limit", NUMBER)],
    [Tag(":over", group="relation"), Tag(":under", group="relation")],
    validate=_validate,
    run=_run,
)
