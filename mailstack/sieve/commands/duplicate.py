"""Extension "duplicate": has a message with this id come before (RFC 7352)?"""

from __future__ import annotations

import hashlib

from mailstack.sieve.check import CheckContext
from mailstack.sieve.context import STEPS_PER_LOOK_UP, Context
from mailstack.sieve.control import LimitReached
from mailstack.sieve.definition import NUMBER, STRING, CommandDef, Extension, Tag
from mailstack.sieve.message import is_field_name
from mailstack.sieve.program import Args, Block
from mailstack.sieve.syntax import CommandNode

#: Each is looked up in a database, and may be remembered there.
MAX_IDS = 100


def _validate(node: CommandNode, vctx: CheckContext) -> None:
    for item in node.constants("header"):
        if not is_field_name(item.value):
            vctx.error(item.pos, f"duplicate: '{item.value[:60]}' is not the name of a header field")


def _id(ctx: Context, args: Args) -> str | None:
    unique = args["uniqueid"]
    if not isinstance(unique, str):
        header = args["header"]
        values = ctx.message.raw_values(header if isinstance(header, str) else "message-id")
        if not values:
            return None
        unique = values[0].strip().decode("utf-8", "surrogateescape")
    handle = args["handle"] if isinstance(args["handle"], str) else ""
    octets = f"{handle}\0{unique}".encode("utf-8", "surrogateescape")
    return f"duplicate:{hashlib.sha256(octets).hexdigest()}"


def _run(ctx: Context, args: Args, block: Block | None) -> bool:
    known, id_ = ctx.duplicates, _id(ctx, args)
    if known is None or id_ is None:
        return False
    limits = ctx.limits
    wanted = args["seconds"]
    ttl_s = limits.duplicate_s if not isinstance(wanted, int) or isinstance(wanted, bool) else wanted
    ttl_s = min(ttl_s, limits.max_duplicate_s)
    if ttl_s == 0:
        return False
    if id_ in ctx.duplicate_ids:
        # RFC 7352 section 3: within one run the answer stays the same.
        return ctx.duplicate_ids[id_]
    if len(ctx.duplicate_ids) >= MAX_IDS:
        raise LimitReached(f"duplicate: more than {MAX_IDS} different ids in one run")
    ctx.charge(STEPS_PER_LOOK_UP)
    seen = ctx.duplicate_ids[id_] = known.seen(id_, ttl_s)
    if not seen or args["last"]:
        known.mark(id_, ttl_s)
    return seen


DUPLICATE = Extension(
    "duplicate",
    tests=[
        CommandDef(
            "duplicate",
            "test",
            tags=[
                Tag(":handle", value=STRING),
                Tag(":header", value=STRING, group="id"),
                Tag(":uniqueid", value=STRING, group="id"),
                Tag(":seconds", value=NUMBER),
                Tag(":last"),
            ],
            validate=_validate,
            run=_run,
        )
    ],
)
