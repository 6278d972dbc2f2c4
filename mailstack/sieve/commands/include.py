"""Extension "include": `include`, `return` and `global` (RFC 6609)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from mailstack.sieve.check import CheckContext
from mailstack.sieve.commands.variables import check_name
from mailstack.sieve.context import Context
from mailstack.sieve.control import ControlFlow, Return
from mailstack.sieve.definition import STRING, STRING_LIST, Arg, CommandDef, Extension, Tag
from mailstack.sieve.message import Message
from mailstack.sieve.parts import MimePart
from mailstack.sieve.program import Args, Block, Script
from mailstack.sieve.syntax import CommandNode, StringNode
from mailstack.sieve.variables import VARIABLES, LinkedVariables, Variables

MAX_NAME_CHARACTERS = 128
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f/\u2028\u2029\ud800-\udfff]")


def wrong_script_name(name: str) -> str | None:
    """Why a script cannot have that name; None when it can (RFC 5804 section 1.6)."""
    if not name or len(name) > MAX_NAME_CHARACTERS:
        return f"the name of a script has 1 to {MAX_NAME_CHARACTERS} characters"
    if _FORBIDDEN.search(name):
        return "the name of a script must not hold slashes or control characters"
    return None


def _validate(node: CommandNode, vctx: CheckContext) -> None:
    item = node["script"].strings[0]
    wrong = wrong_script_name(item.value)
    if wrong is not None:
        vctx.error(item.pos, f"include: {wrong}")
        return
    location = "global" if node.get("global") is not None else "personal"
    if vctx.is_upload:
        _check_upload(item, location, node, vctx)
        return
    path = f"{location}/{item.value}"
    node.data["path"] = path
    if path in vctx.includes:
        # RFC 6609 section 3.2: with :once it has been included already.
        if node.get("once") is None:
            vctx.error(item.pos, f"include: the script '{item.value}' includes itself")
        return
    source = None if vctx.storage is None else vctx.storage.get_script(item.value, location)
    if source is None:
        if node.get("optional") is None:
            vctx.error(item.pos, f"include: there is no {location} script '{item.value}'")
        return
    if (why := _too_many(vctx, path)) is not None:
        vctx.error(item.pos, f"include: {why}")
        return
    script = vctx.compile_script(source, path)
    if script is None:
        vctx.error(item.pos, f"include: the {location} script '{item.value}' has mistakes")
    else:
        node.data["script"] = script


def _check_upload(item: StringNode, location: str, node: CommandNode, vctx: CheckContext) -> None:
    # RFC 6609 section 3.2: a missing or recursive script is no error at upload time.
    if node.get("optional") is not None or vctx.storage is None:
        return
    if vctx.storage.get_script(item.value, location) is None:
        vctx.warning(item.pos, f"include: there is no {location} script '{item.value}' yet")


def _too_many(vctx: CheckContext, path: str) -> str | None:
    # Only scripts that are included count; the outermost may have no name.
    depth = sum("/" in name and name.split("/")[0] in ("personal", "global") for name in vctx.includes)
    most = vctx.limits.max_include_depth
    if depth >= most:
        return f"scripts are included more than {most} deep"
    most = vctx.limits.max_include_files
    if path not in vctx.compiled and len(vctx.files) > most:
        return f"more than {most} scripts are included"
    return None


def _include(ctx: Context, args: Args, block: Block | None) -> None:
    path, script = str(args.data["path"]), args.data.get("script")
    if not isinstance(script, Script) or (args["once"] and path in ctx.included):
        return
    ctx.included.add(path)
    mine, ctx.variables = ctx.variables, Variables(limits=ctx.limits)
    try:
        with _part_alone(ctx):
            ctx.run_block(script.block)
    except Return:
        pass
    finally:
        ctx.variables = mine


@contextmanager
def _part_alone(ctx: Context) -> Iterator[None]:
    """In a `foreverypart` an included script has the part for the message (RFC 6609 section 3.5).

    Its own loops are nested in the one around it all the same, as in Pigeonhole: they begin with
    the parts inside that part.
    """
    part, whole = ctx.part, ctx.message
    if part is None or part.is_root:
        yield
        return
    ctx.message = part.alone()
    ctx.part = ctx.message.root
    ctx.enclosing.append(whole)
    try:
        try:
            yield
        except ControlFlow:  # `return` and `stop` keep what was done before
            _put_back(ctx, part, whole)
            raise
        _put_back(ctx, part, whole)
    finally:
        ctx.enclosing.pop()
        ctx.part, ctx.message = part, whole


def _put_back(ctx: Context, part: MimePart, whole: Message) -> None:
    if not ctx.message.is_edited:
        return
    octets, ctx.message = ctx.message.to_bytes(), whole
    ctx.charge_edit(len(octets))
    if whole.holds(part):
        whole.replace_part(part, octets)


def _return(ctx: Context, args: Args, block: Block | None) -> None:
    raise Return


def _check_global(node: CommandNode, vctx: CheckContext) -> None:
    if not vctx.is_enabled(VARIABLES):
        vctx.error(node.pos, f'the global command is there only when the script requires "{VARIABLES}"')
        return
    for item in node["names"].strings:
        wrong = check_name(item.value)
        if wrong is not None:
            vctx.error(item.pos, f"global: {wrong}")
        elif item.value.lower() in vctx.own_names and item.value.lower() not in _declared(vctx):
            vctx.error(item.pos, f"global: '{item.value}' is a variable of this script already")
        else:
            _declared(vctx).add(item.value.lower())


def _declared(vctx: CheckContext) -> set[str]:
    names: set[str] = vars(vctx).setdefault("global_names", set())
    return names


def _global(ctx: Context, args: Args, block: Block | None) -> None:
    if not isinstance(ctx.variables, LinkedVariables):
        ctx.variables = LinkedVariables(ctx.variables, ctx.globals)
    ctx.variables.names.update(name.lower() for name in args.strings("names"))


class _GlobalNamespace:
    """`${global.name}`, which can be set as well."""

    def __call__(self, ctx: Context, name: str) -> str:
        return ctx.globals.get(name)

    @staticmethod
    def write(ctx: Context, name: str, value: str) -> None:
        """`set "global.name"`."""
        ctx.globals.set(name, value)


INCLUDE = Extension(
    "include",
    commands=[
        CommandDef(
            "include",
            "action",
            [Arg("script", STRING, constant=True)],
            [
                Tag(":personal", group="location"),
                Tag(":global", group="location"),
                Tag(":once"),
                Tag(":optional"),
            ],
            validate=_validate,
            run=_include,
        ),
        CommandDef("return", "control", run=_return),
        CommandDef(
            "global",
            "control",
            [Arg("names", STRING_LIST, constant=True)],
            validate=_check_global,
            run=_global,
        ),
    ],
    namespaces={"global": _GlobalNamespace()},
)
