"""Extension "body": what the message says (RFC 5173).

`:text` looks at the readable parts, HTML as its reader sees it; section 5.3 leaves that to us.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mailstack.sieve.check import CheckContext
from mailstack.sieve.context import Context
from mailstack.sieve.definition import (
    COMPARATOR_TAG,
    MATCH_TAGS,
    STRING_LIST,
    Arg,
    CommandDef,
    Extension,
    Tag,
)
from mailstack.sieve.parts import MimePart
from mailstack.sieve.program import Args, Block
from mailstack.sieve.syntax import CommandNode


def _wanted(part: MimePart, types: Sequence[str]) -> bool:
    """RFC 5173 section 5.2: "" is every type, "text" all of it, "text/html" that one."""
    kind = part.found.content_type
    for wanted in types:
        name = wanted.lower()
        if name.startswith("/") or name.endswith("/") or name.count("/") > 1:
            continue
        if not name or kind == name or ("/" not in name and kind.partition("/")[0] == name):
            return True
    return False


def _contents(root: MimePart, types: Sequence[str]) -> Iterator[str]:
    for part in root.walk():
        if not _wanted(part, types) or not part.is_decodable:
            continue
        if part.is_multipart:
            # Prologue and epilogue; what is between are parts of their own.
            for octets in part.around:
                yield octets.decode("utf-8", "replace")
        elif part.found.is_message and part.children:
            yield "".join(field.raw.decode("utf-8", "replace") for field in part.children[0].header.fields)
        else:
            yield part.decoded


def _values(ctx: Context, args: Args) -> Iterator[str]:
    if not ctx.message.has_body:
        return  # RFC 5173 section 4: then even "" is not found
    types = args["content"]
    if isinstance(types, tuple):
        yield from _contents(ctx.message.root, types)
    elif args["raw"]:
        yield ctx.message.body_text
    else:
        for part in ctx.message.root.readable:
            yield part.text


def _validate(node: CommandNode, vctx: CheckContext) -> None:
    for item in node.constants("content"):
        if item.value.count("/") > 1 or item.value.startswith("/"):
            vctx.warning(item.pos, f"body: '{item.value[:60]}' is no content type and matches nothing")


def _run(ctx: Context, args: Args, block: Block | None) -> bool:
    return args.match.match_without_variables(_values(ctx, args), args.strings("key_list"))


BODY = Extension(
    "body",
    tests=[
        CommandDef(
            "body",
            "test",
            [Arg("key_list", STRING_LIST)],
            [
                MATCH_TAGS,
                COMPARATOR_TAG,
                Tag(":raw", group="body"),
                Tag(":content", value=STRING_LIST, group="body"),
                Tag(":text", group="body"),
            ],
            validate=_validate,
            run=_run,
        )
    ],
)
