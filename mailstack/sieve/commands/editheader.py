"""Extension "editheader": `addheader` and `deleteheader` (RFC 5293).

Fields that tell what happened to a message cannot be touched.  Settings, as Pigeonhole names
them: `sieve_editheader_protected`, `..._forbid_add`, `..._forbid_delete` (names, separated by
spaces) and `..._max_header_size` (octets of name and value).
"""

from __future__ import annotations

from collections.abc import Mapping

from mailstack.sieve.check import CheckContext
from mailstack.sieve.context import Context
from mailstack.sieve.control import SieveError
from mailstack.sieve.definition import (
    COMPARATOR_TAG,
    MATCH_TAGS,
    NUMBER,
    STRING,
    STRING_LIST,
    Arg,
    CommandDef,
    Extension,
    Tag,
)
from mailstack.sieve.limits import size
from mailstack.sieve.message import is_field_name
from mailstack.sieve.program import Args, Block
from mailstack.sieve.syntax import CommandNode

#: RFC 5293 section 6: trace fields and results of checks.
_NEVER = frozenset(
    {
        "received", "auto-submitted", "return-path", "delivered-to", "authentication-results",
        "arc-seal", "arc-message-signature", "arc-authentication-results", "dkim-signature",
        "received-spf", "x-sieve-redirected-from",
    }
)  # fmt: skip
_MAX_OCTETS = 2_048


def _names(ctx: Context, setting: str) -> frozenset[str]:
    value = ctx.settings.get(setting)
    return frozenset(value.lower().split()) if isinstance(value, str) else frozenset()


def _is_protected(ctx: Context, name: str, setting: str) -> bool:
    # RFC 5293 section 6: these may be added, but never taken away.
    never = _NEVER - {"received", "auto-submitted"} if setting.endswith("add") else _NEVER
    protected = never | _names(ctx, "sieve_editheader_protected") | _names(ctx, setting)
    # RFC 5293 section 4: a Subject can always be changed.
    return name.lower() in protected - {"subject"}


def _max_octets(settings: Mapping[str, object]) -> int:
    value = size(settings.get("sieve_editheader_max_header_size"))
    return _MAX_OCTETS if value is None else max(value, 1_024)


def _wrong_name(command: str, name: str) -> str:
    return f"{command}: the field name '{name[:60]}' is invalid"


def _validate(node: CommandNode, vctx: CheckContext) -> None:
    for item in node.constants("field_name"):
        if not is_field_name(item.value):
            vctx.error(item.pos, _wrong_name(node.name, item.value))
        elif item.value.lower() in _NEVER:
            vctx.warning(item.pos, f"{node.name}: the field {item.value} cannot be changed")
    value = node.get("value")
    for item in value.strings if value is not None and value.is_constant else ():
        if "\0" in item.value:
            text = item.value.replace("\0", "\\0")
            vctx.error(item.pos, f"addheader: the value '{text[:60]}' is invalid: it holds a NUL character")
        elif len(item.value.encode("utf-8", "surrogateescape")) > _max_octets(vctx.settings):
            most = _max_octets(vctx.settings)
            vctx.error(item.pos, f"addheader: the value is longer than {most} octets")
    index = node.get("index")
    if index is not None and index.number == 0:
        vctx.error(index.pos, f"{node.name}: fields are counted from 1")


def _add(ctx: Context, args: Args, block: Block | None) -> None:
    name, value = args.string("field_name"), args.string("value")
    if not is_field_name(name):
        raise SieveError(_wrong_name("addheader", name))
    if _is_protected(ctx, name, "sieve_editheader_forbid_add"):
        return
    if len(name) + len(value.encode("utf-8", "surrogateescape")) > _max_octets(ctx.settings):
        raise SieveError(f"addheader: the field {name} is longer than {_max_octets(ctx.settings)} octets")
    ctx.charge_edit(len(name) + len(value) + 4)
    ctx.message.add_header(name, value, last=bool(args["last"]))


def _delete(ctx: Context, args: Args, block: Block | None) -> None:
    name = args.string("field_name")
    if not is_field_name(name):
        raise SieveError(_wrong_name("deleteheader", name))
    if _is_protected(ctx, name, "sieve_editheader_forbid_delete"):
        return
    ctx.charge_edit()
    index, patterns, matcher = args["index"], args["value_patterns"], args.match
    ctx.message.delete_header(
        name,
        index=index if isinstance(index, int) and not isinstance(index, bool) else None,
        last=bool(args["last"]),
        matches=(lambda value: matcher.match([value], patterns)) if isinstance(patterns, tuple) else None,
    )


EDITHEADER = Extension(
    "editheader",
    commands=[
        CommandDef(
            "addheader",
            "action",
            [Arg("field_name", STRING), Arg("value", STRING)],
            [Tag(":last")],
            validate=_validate,
            run=_add,
        ),
        CommandDef(
            "deleteheader",
            "action",
            [Arg("field_name", STRING), Arg("value_patterns", STRING_LIST, optional=True)],
            [Tag(":index", value=NUMBER), Tag(":last", requires=":index"), MATCH_TAGS, COMPARATOR_TAG],
            validate=_validate,
            run=_delete,
        ),
    ],
)
