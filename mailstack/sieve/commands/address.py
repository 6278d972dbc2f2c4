"""`address`: addresses in fields that hold addresses, against keys (RFC 5228 section 5.1)."""

from __future__ import annotations

from mailstack.sieve import fields
from mailstack.sieve.check import CheckContext
from mailstack.sieve.context import Context
from mailstack.sieve.definition import (
    ADDRESS_PART_TAGS,
    COMPARATOR_TAG,
    MATCH_TAGS,
    STRING_LIST,
    Arg,
    CommandDef,
)
from mailstack.sieve.message import is_field_name
from mailstack.sieve.program import Args, Block
from mailstack.sieve.syntax import CommandNode

#: RFC 5228 section 5.1: the test is restricted to fields that hold addresses.
# fmt: off
ADDRESS_FIELDS = frozenset(
    {
        "from", "to", "cc", "bcc", "sender", "reply-to", "resent-from", "resent-to", "resent-cc",
        "resent-bcc", "resent-sender", "resent-reply-to", "return-path", "delivered-to",
        "envelope-to", "x-original-to", "x-envelope-to", "x-envelope-from", "apparently-to",
        "disposition-notification-to", "return-receipt-to", "errors-to", "mail-followup-to",
        "mail-reply-to", "abuse-reports-to", "x-beenthere", "x-forwarded-to", "original-recipient",
        "x-sieve-redirected-from", "original-from", "original-sender", "original-to", "author",
        "content-from",
    }
)
# fmt: on


def _validate(node: CommandNode, vctx: CheckContext) -> None:
    for item in node.constants("header_list"):
        if not is_field_name(item.value):
            vctx.warning(item.pos, f"'{item.value[:60]}' can never be the name of a header field")
        elif item.value.lower() not in ADDRESS_FIELDS:
            vctx.error(item.pos, f"the header '{item.value[:60]}' is not allowed for the address test")


def _run(ctx: Context, args: Args, block: Block | None) -> bool:
    names, part = args.strings("header_list"), args.address_part
    if fields.is_plain(args):
        read, wanted = ctx.message.address_parts, [name for name in names if name.lower() in ADDRESS_FIELDS]
        values = (
            read(wanted[0], part) if len(wanted) == 1 else [v for name in wanted for v in read(name, part)]
        )
        return args.matches(values, "key_list")
    found = (
        addresses
        for header in fields.headers(ctx, args)
        for name in names
        if name.lower() in ADDRESS_FIELDS
        for addresses in header.address_fields(name)
    )
    picked = [value for addresses in fields.pick(args, found) for value in part.values(addresses)]
    return args.matches(picked, "key_list")


ADDRESS = CommandDef(
    "address",
    "test",
    [Arg("header_list", STRING_LIST), Arg("key_list", STRING_LIST)],
    [MATCH_TAGS, COMPARATOR_TAG, ADDRESS_PART_TAGS],
    validate=_validate,
    run=_run,
)
